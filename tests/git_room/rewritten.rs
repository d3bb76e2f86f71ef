//! Branches whose history was rewritten, under each policy.

use std::fs;

use tidegate::git::{HistoryPolicy, Look, Mirror, Objection, Refused, Trust};

use super::support::repository::Repository;
use super::{NONE, accepted, paths, source, state};

fn mirror(repository: &Repository, history: HistoryPolicy) -> Mirror {
    let source = source(&repository.location(), "").trusting(Trust { history, ..Trust::default() });
    Mirror::open(source, &state(repository)).unwrap()
}

fn refused(mirror: &mut Mirror) -> Refused {
    match mirror.look().unwrap() {
        Look::Refused(refused) => refused,
        other => panic!("it was accepted: {other:?}"),
    }
}

/// A repository with two commits of which the second was accepted, and its branch without the second.
fn rewritten(history: HistoryPolicy) -> (Repository, Mirror, String) {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let root = repository.tip();
    repository.commit("To be lost", &[("a.yaml", "2")]);
    let mut mirror = mirror(&repository, history);
    let lost = accepted(&mut mirror).tip;
    repository.force(&root);
    repository.commit("Instead", &[("b.yaml", "1")]);
    (repository, mirror, lost)
}

#[test]
fn a_held_rewrite_counts_once_a_new_commit_names_what_is_given_up() {
    let (repository, mut mirror, lost) = rewritten(HistoryPolicy::Hold);
    let told = refused(&mut mirror);
    assert_eq!(told.objection, Objection::Rewritten { from: lost.clone(), policy: HistoryPolicy::Hold });
    assert!(told.to_string().contains("history was rewritten"), "{told}");
    assert!(told.hint().contains(&format!("Tidegate-Accept-Rewrite: {lost}")), "{}", told.hint());
    repository.commit(&format!("Start anew\n\nTidegate-Accept-Rewrite: {}", repository.tip()), NONE);
    refused(&mut mirror);
    repository.commit(&format!("Start anew\n\nTidegate-Accept-Rewrite: {lost}"), NONE);
    let tip = repository.commit("And on", NONE);
    let moved = accepted(&mut mirror);
    assert_eq!((moved.tip, moved.rewritten), (tip.clone(), true));
    assert_eq!(mirror.look().unwrap(), Look::Unchanged(tip));
}

#[test]
fn a_rejected_rewrite_counts_only_once_the_branch_descends_again() {
    for history in [HistoryPolicy::Hold, HistoryPolicy::Reject] {
        let (repository, mut mirror, lost) = rewritten(history);
        refused(&mut mirror);
        if history == HistoryPolicy::Reject {
            repository.commit(&format!("Start anew\n\nTidegate-Accept-Rewrite: {lost}"), NONE);
            assert!(refused(&mut mirror).hint().contains(&format!("contains {lost} again")));
        }
        repository.force(&lost);
        assert_eq!(mirror.look().unwrap(), Look::Unchanged(lost.clone()));
        let next = repository.commit("On", &[("a.yaml", "3")]);
        let moved = accepted(&mut mirror);
        assert_eq!((moved.tip, moved.rewritten), (next, false));
    }
}

#[test]
fn a_rewrite_while_nobody_looked_is_seen_and_what_was_accepted_is_in_force() {
    for history in [HistoryPolicy::Accept, HistoryPolicy::Hold, HistoryPolicy::Reject] {
        let (repository, first, lost) = rewritten(history);
        drop(first);
        let mut second = mirror(&repository, history);
        let Look::Moved(moved) = second.look().unwrap() else { panic!("nothing is in force") };
        assert_eq!(moved.from, None);
        if history == HistoryPolicy::Accept {
            assert_eq!((&moved.tip, moved.rewritten, &moved.refused), (&repository.tip(), true, &None));
            continue;
        }
        assert_eq!((&moved.tip, moved.rewritten), (&lost, false));
        assert!(moved.refused.is_some());
        assert_eq!(paths(&moved), [("a.yaml", true)]);
        second.accept(&moved);
        refused(&mut second);
        // Upkeep keeps what is in force, though no branch leads there any more.
        for _ in 0..50 {
            repository.commit("More", NONE);
            refused(&mut second);
            second.tidy().unwrap();
        }
        assert!(second.commit(&lost).is_ok());
    }
}

#[test]
fn a_branch_deleted_and_made_anew_from_nothing_is_a_rewrite_even_without_the_old_mirror() {
    for lose_mirror in [false, true] {
        let repository = Repository::with(&[("a.yaml", "1")]);
        let mut mirror = mirror(&repository, HistoryPolicy::Hold);
        let lost = accepted(&mut mirror).tip;
        repository.branch("aside");
        repository.git(&["branch", "-D", "main"]);
        assert_eq!(mirror.look().unwrap(), Look::BranchGone);
        repository.git(&["checkout", "--quiet", "--orphan", "main"]);
        repository.commit("From nothing", &[("b.yaml", "1")]);
        if lose_mirror {
            drop(mirror);
            fs::remove_dir_all(state(&repository).join("mirror.git")).unwrap();
            mirror = self::mirror(&repository, HistoryPolicy::Hold);
        }
        let told = refused(&mut mirror);
        assert_eq!(told.objection, Objection::Rewritten { from: lost.clone(), policy: HistoryPolicy::Hold });
        repository.commit(&format!("Yes\n\nTidegate-Accept-Rewrite: {lost}"), NONE);
        assert!(accepted(&mut mirror).rewritten);
    }
}

#[test]
fn what_was_accepted_is_of_one_branch() {
    let repository = Repository::with(&[("a.yaml", "1")]);
    let mut main = mirror(&repository, HistoryPolicy::Reject);
    accepted(&mut main);
    drop(main);
    repository.git(&["checkout", "--quiet", "--orphan", "other"]);
    let tip = repository.commit("Other", &[("b.yaml", "1")]);
    let other = tidegate::git::Source { branch: "other".into(), ..source(&repository.location(), "") };
    let other = other.trusting(Trust { history: HistoryPolicy::Reject, ..Trust::default() });
    let mut other = Mirror::open(other, &state(&repository)).unwrap();
    assert_eq!(accepted(&mut other).tip, tip);
}
