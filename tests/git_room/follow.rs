//! A repository followed by its thread.

use std::time::{Duration, Instant};

use tidegate::git::{GitError, Seen, Sight, Snapshot, Source, follow, hints};
use tokio::sync::{mpsc::Receiver, watch};

use super::support::repository::Repository;
use super::{bytes, source, state};

/// The next sight that `wanted` finds something in.
async fn next<T>(seen: &mut Receiver<Seen>, mut wanted: impl FnMut(Result<Sight, GitError>) -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = wanted(seen.recv().await.unwrap().outcome) {
                return found;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), found).await.unwrap()
}

fn moved(outcome: Result<Sight, GitError>) -> Option<Snapshot> {
    match outcome {
        Ok(Sight::Moved(snapshot)) => Some(*snapshot),
        _ => None,
    }
}

/// With an hour between looks, only hints tell of a change.
fn hourly(repository: &Repository) -> Source {
    Source { interval: Duration::from_secs(3600), ..source(&repository.location(), "") }
}

/// A counter that nobody raises.
fn unasked() -> watch::Receiver<u64> {
    watch::channel(0).1
}

#[tokio::test]
async fn who_is_asked_to_looks_at_once() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let (ask, asked) = watch::channel(0);
    let (mut seen, thread) = follow(hourly(&repository), state(&repository), asked).unwrap();
    next(&mut seen, moved).await;
    for _ in 0..3 {
        ask.send_modify(|count| *count += 1);
        next(&mut seen, |outcome| matches!(outcome, Ok(Sight::Unchanged { .. })).then_some(())).await;
    }
    drop(seen);
    thread.join().unwrap();
}

#[tokio::test]
async fn a_commit_is_seen_by_its_hint_however_the_reference_is_kept() {
    let repository = Repository::with(&[("a.yaml", "0")]);
    let (mut seen, thread) = follow(hourly(&repository), state(&repository), unasked()).unwrap();
    assert_eq!(next(&mut seen, moved).await.from, None);
    for count in 1..4 {
        let tip = repository.commit("Change", &[("a.yaml", &count.to_string())]);
        let snapshot = next(&mut seen, moved).await;
        assert_eq!(snapshot.tip, tip);
        assert_eq!(bytes(snapshot.changes["a.yaml"].now.as_ref()), count.to_string().as_bytes());
        assert_eq!(snapshot.changes["a.yaml"].versions.len(), 1);
        repository.git(&["pack-refs", "--all"]);
        repository.git(&["gc", "--quiet", "--prune=now"]);
    }
    drop(seen);
    thread.join().unwrap();
}

#[tokio::test]
async fn a_repository_that_is_not_there_yet_or_is_replaced_heals() {
    let repository = Repository::empty();
    repository.delete();
    let (mut seen, thread) = follow(hourly(&repository), state(&repository), unasked()).unwrap();
    next(&mut seen, |outcome| matches!(outcome, Err(GitError::NotARepository { .. })).then_some(())).await;
    repository.init();
    repository.commit("First", &[("a.yaml", "1")]);
    assert_eq!(next(&mut seen, moved).await.changes.len(), 1);
    repository.delete();
    repository.init();
    let tip = repository.commit("Afresh", &[("b.yaml", "1")]);
    let mut last = next(&mut seen, moved).await;
    while last.tip != tip {
        last = next(&mut seen, moved).await;
    }
    assert!(last.rewritten);
    drop(seen);
    thread.join().unwrap();
}

#[tokio::test]
async fn hints_come_again_after_the_repository_was_replaced() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let (_, watcher) = hints(&hourly(&repository)).unwrap();
    assert!(watcher.stand());
    repository.delete();
    assert!(!watcher.stand());
    repository.init();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!watcher.stand());
}

#[tokio::test]
async fn reading_a_repository_gives_no_hint() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let (hints, _watcher) = hints(&hourly(&repository)).unwrap();
    for _ in 0..3 {
        super::mirror(&repository, "").look().unwrap();
        repository.git(&["log", "--oneline"]);
        repository.git(&["status"]);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*hints.borrow(), 0);
}

#[tokio::test]
async fn a_commit_among_a_thousand_plans_is_delivered_soon() {
    let files: Vec<(String, String)> = (0..1000)
        .map(|n| (format!("plans/team-{}/plan-{n}.yaml", n % 20), format!("name: {n}\n").repeat(50)))
        .collect();
    let repository = Repository::with(&files);
    let source = Source { path: "plans".into(), ..hourly(&repository) };
    let (mut seen, thread) = follow(source, state(&repository), unasked()).unwrap();
    let first = Instant::now();
    assert_eq!(next(&mut seen, moved).await.changes.len(), 1000);
    println!("first sight of 1,000 plans: {:?}", first.elapsed());
    let mut took = Vec::new();
    for count in 0..30 {
        repository.write("plans/team-3/plan-3.yaml", format!("name: {count}\n").repeat(50));
        repository.git(&["add", "--all"]);
        let tree = repository.git(&["write-tree"]);
        let commit = repository.git(&["commit-tree", "-p", "HEAD", "-m", "Change", &tree]);
        tokio::time::sleep(Duration::from_millis(40)).await;
        // The reference moves within the call; that of the process is no part of the way from Git to a snapshot.
        let file = repository.path().join(".git/refs/heads/main");
        let staged = file.with_extension("lock");
        std::fs::write(&staged, format!("{commit}\n")).unwrap();
        std::fs::rename(staged, file).unwrap();
        let moved_at = Instant::now();
        let snapshot = next(&mut seen, moved).await;
        took.push(moved_at.elapsed());
        assert_eq!((snapshot.changes.len(), snapshot.tip), (1, commit));
    }
    took.sort();
    println!(
        "reference moved → snapshot received: median {:?}, worst {:?}",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    drop(seen);
    thread.join().unwrap();
}
