//! Which commit changed what.

use std::collections::BTreeSet;

use tidegate::git::{Reader, Sight, Snapshot};

use super::support::repository::Repository;
use super::{accepted, bytes, mirror, source, state};

#[test]
fn versions_follow_first_parents_and_a_merge_is_one_commit() {
    let repository = Repository::with(&[("a.yaml", "1"), ("b.yaml", "1")]);
    let root = repository.tip();
    let second = repository.commit("Second", &[("a.yaml", "2")]);
    repository.branch("side");
    repository.commit("Side one", &[("a.yaml", "3")]);
    repository.commit("Side two", &[("a.yaml", "4")]);
    repository.branch("main");
    let main = repository.commit("Main", &[("b.yaml", "2")]);
    let merge = repository.merge("side");
    let revert = repository.revert(&merge);
    let removal = repository.remove("Remove", &["b.yaml"]);

    let mut mirror = mirror(&repository, "");
    let tip = accepted(&mut mirror).tip;
    let versions = |path: &str, until: Option<&str>, limit| -> Vec<String> {
        let versions = mirror.versions_of(path, &tip, until, limit).unwrap();
        versions.into_iter().map(|version| version.commit).collect()
    };
    assert_eq!(versions("a.yaml", None, 500), [&revert, &merge, &second, &root].map(String::as_str));
    assert_eq!(versions("b.yaml", None, 500), [&removal, &main, &root].map(String::as_str));
    assert_eq!(versions("a.yaml", Some(&main), 500), [&revert, &merge].map(String::as_str));
    assert_eq!(versions("a.yaml", None, 2), [&revert].map(String::as_str));
    assert_eq!(versions("none.yaml", None, 500), Vec::<String>::new());
    let removed = mirror.versions_of("b.yaml", &tip, None, 1).unwrap();
    assert_eq!(removed[0].file, None);
    let reverted = mirror.versions_of("a.yaml", &tip, None, 500).unwrap();
    assert_eq!(reverted[0].file, reverted[2].file);
}

#[test]
fn one_walk_answers_for_every_path_and_stops_at_what_was_accepted() {
    let repository = Repository::with(&[("a.yaml", "1"), ("b.yaml", "1")]);
    let mut mirror = mirror(&repository, "");
    let from = accepted(&mut mirror).tip;
    // A merge of the accepted line into another leaves the accepted tip off the first-parent line.
    repository.git(&["checkout", "--quiet", "-b", "local"]);
    let local = repository.commit("Local", &[("a.yaml", "2")]);
    repository.branch("main");
    let theirs = repository.commit("Theirs", &[("b.yaml", "2")]);
    assert_eq!(accepted(&mut mirror).tip, theirs);
    repository.branch("local");
    let merge = repository.merge("main");
    repository.git(&["branch", "-f", "main", "local"]);
    let moved = accepted(&mut mirror);
    assert!(!moved.rewritten);
    let paths: BTreeSet<String> = moved.files.keys().cloned().collect();
    let found = mirror.introduced(&paths, &merge, Some(&theirs), 500).unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), ["a.yaml"]);
    assert_eq!(found["a.yaml"][0].commit, local);
    let both = BTreeSet::from(["a.yaml".to_owned(), "b.yaml".to_owned()]);
    let found = mirror.introduced(&both, &merge, Some(&from), 500).unwrap();
    assert_eq!(found["b.yaml"][0].commit, merge);
}

#[test]
fn a_commit_tells_who_when_and_what_without_control_characters() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let id = repository.commit("Clear \u{1b}[2J screen\n\nbody", &[("a.yaml", "2")]);
    let mut mirror = mirror(&repository, "");
    accepted(&mut mirror);
    let commit = mirror.commit(&id).unwrap();
    assert_eq!((commit.author.as_str(), commit.subject.as_str()), ("Ada", "Clear \\u{1b}[2J screen"));
    assert_eq!(commit.time.as_second().to_string(), repository.git(&["show", "-s", "--format=%ct", &id]));
    assert!(mirror.commit(&"0".repeat(40)).is_err());
    assert!(mirror.commit("main").is_err());
}

fn seen(reader: &mut Reader) -> Snapshot {
    let Sight::Moved(snapshot) = reader.see().unwrap() else { panic!("nothing moved") };
    reader.accept();
    *snapshot
}

#[test]
fn a_snapshot_carries_the_bytes_of_every_version_since_the_last_and_the_commits() {
    let repository = Repository::with(&[("a.yaml", "1"), ("b.yaml", "1")]);
    let mut reader = Reader::open(source(&repository.location(), ""), &state(&repository)).unwrap();
    seen(&mut reader);
    let change = repository.commit("Change", &[("a.yaml", "2")]);
    let comment = repository.commit("Comment", &[("a.yaml", "2 # two")]);
    let removal = repository.remove("Remove", &["b.yaml"]);
    let snapshot = seen(&mut reader);
    let versions = &snapshot.changes["a.yaml"].versions;
    let told: Vec<_> = versions.iter().map(|v| (v.commit.as_str(), bytes(v.content.as_ref()))).collect();
    assert_eq!(told, [(comment.as_str(), &b"2 # two"[..]), (change.as_str(), &b"2"[..])]);
    let gone = &snapshot.changes["b.yaml"];
    assert_eq!((&gone.now, &gone.versions[0].commit, &gone.versions[0].content), (&None, &removal, &None));
    assert_eq!(snapshot.commits.len(), 3);
    assert_eq!(snapshot.commits[&change].subject, "Change");
}

#[test]
fn after_a_forced_push_back_the_versions_are_those_of_the_older_line() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let root = repository.tip();
    repository.commit("To be dropped", &[("a.yaml", "2")]);
    let mut reader = Reader::open(source(&repository.location(), ""), &state(&repository)).unwrap();
    seen(&mut reader);
    repository.force(&root);
    let snapshot = seen(&mut reader);
    assert!(snapshot.rewritten);
    assert_eq!(snapshot.changes["a.yaml"].versions[0].commit, root);
}

#[test]
fn at_most_fifty_versions_of_a_file_are_carried() {
    let repository = Repository::with(&[("a.yaml", "start")]);
    for count in 0..60 {
        repository.commit("Change", &[("a.yaml", &count.to_string())]);
    }
    let mut reader = Reader::open(source(&repository.location(), ""), &state(&repository)).unwrap();
    let snapshot = seen(&mut reader);
    let versions = &snapshot.changes["a.yaml"].versions;
    assert_eq!((versions.len(), bytes(versions[49].content.as_ref())), (50, &b"10"[..]));
}
