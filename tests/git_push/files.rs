//! What drafts read, and whole commits that are reverted.

use std::convert::Infallible;

use tidegate::git::{Draft, Files, GitError, Published};

use super::bed::{Bed, WEB, landed};

#[test]
fn a_draft_reads_the_tip_and_what_is_below_it() {
    let bed = Bed::file();
    let first = bed.tip();
    let second = bed.push("Second", &[(WEB, "second\n"), ("plans/big.yaml", &"a".repeat(300_000))]);
    bed.push("Elsewhere", &[("README.md", "more\n")]);
    std::os::unix::fs::symlink("web.yaml", bed.repository.path().join("plans/link.yaml")).unwrap();
    let tip = bed.push("Link", &[("other/web.yaml", "not a plan\n")]);
    bed.repository.branch("side");
    let beside = bed.repository.commit("Beside", &[(WEB, "side\n")]);
    bed.repository.git(&["push", "--quiet", "origin", "side"]);
    let published = bed.publisher().publish::<GitError>(&mut |files: &Files<'_>| {
        assert_eq!(files.tip(), tip);
        assert_eq!(files.paths(&tip)?, ["plans/big.yaml", WEB]);
        assert_eq!(files.paths(&first)?, [WEB]);
        assert_eq!(files.read(&first, WEB)?.unwrap(), b"traffic: {v1: 100}\n");
        assert_eq!(files.read(&second, WEB)?.unwrap(), b"second\n");
        for none in ["plans/none.yaml", "plans", "plans/link.yaml"] {
            assert_eq!(files.read(&tip, none)?, None, "{none}");
        }
        assert!(matches!(files.read(&tip, "plans/big.yaml"), Err(GitError::TooLarge { .. })));
        assert_eq!(files.first_parent_commits(WEB)?, [second.clone(), first.clone()]);
        assert_eq!((files.parent(&second)?, files.parent(&first)?), (Some(first.clone()), None));
        assert_eq!(files.commit(&second)?.subject, "Second");
        assert_eq!(files.find(&second[..8])?, second);
        assert_eq!(files.find(&format!("main@sha1:{second}"))?, second);
        for unknown in ["", "abc", "main", "HEAD~1", &"0".repeat(40), &beside] {
            assert!(matches!(files.find(unknown), Err(GitError::Unknown { .. })), "{unknown}");
        }
        Ok(Draft::Nothing { why: "read".to_owned() })
    });
    assert!(matches!(published, Ok(Published::Nothing { .. })), "{published:?}");
}

fn reverted(bed: &Bed, commit: &str) -> Published {
    let trailers = vec![("Tidegate-Reason".to_owned(), "errors".to_owned())];
    let draft = Draft::Revert { commit: commit.to_owned(), trailers };
    bed.publisher().publish::<Infallible>(&mut |_: &Files<'_>| Ok(draft.clone())).unwrap()
}

/// The tree that `git revert` makes of it, and its message.
fn by_git(bed: &Bed, commit: &str) -> (String, String) {
    bed.repository.git(&["fetch", "--quiet", "origin"]);
    bed.repository.git(&["reset", "--quiet", "--hard", "origin/main"]);
    bed.repository.revert(commit);
    let told = (bed.repository.git(&["rev-parse", "HEAD^{tree}"]), bed.repository.git(&["log", "-1", "--format=%B"]));
    bed.repository.git(&["reset", "--quiet", "--hard", "origin/main"]);
    told
}

#[test]
fn a_whole_commit_is_reverted_as_git_does() {
    let bed = Bed::file();
    let long: String = (0..40).map(|line| format!("line {line}\n")).collect();
    bed.push("Add", &[("plans/long.yaml", &long), ("plans/gone.yaml", "gone\n")]);
    bed.repository.remove("Remove \"it\"", &["plans/gone.yaml"]);
    let two = bed.push("Two files", &[("plans/long.yaml", &long.replace("line 3\n", "three\n")), (WEB, "2\n")]);
    bed.push("Later", &[("plans/long.yaml", &long.replace("line 3\n", "three\n").replace("line 30\n", "thirty\n"))]);
    bed.repository.branch("side");
    bed.repository.commit("Side", &[("plans/side.yaml", "side\n")]);
    bed.repository.branch("main");
    bed.repository.commit("Meanwhile", &[("README.md", "meanwhile\n")]);
    let merge = bed.repository.merge("side");
    bed.repository.push(false);
    for commit in [two.clone(), bed.git(&["rev-parse", &format!("{two}^")]), merge] {
        let (tree, message) = by_git(&bed, &commit);
        let commit = landed::<Infallible>(Ok(reverted(&bed, &commit)));
        assert_eq!(bed.git(&["rev-parse", "main^{tree}"]), tree);
        let said = bed.git(&["log", "-1", "--format=%B", &commit]);
        assert!(said.starts_with(&message) && said.contains("\nTidegate-Reason: errors\nTidegate-Undoes: "), "{said}");
    }
    assert!(matches!(reverted(&bed, &two), Published::Nothing { .. }));
}

#[test]
fn a_revert_that_conflicts_is_left_to_a_person() {
    let bed = Bed::file();
    let bad = bed.push("Bad", &[(WEB, "bad\n"), ("plans/also.yaml", "bad\n")]);
    let tip = bed.push("Worse", &[(WEB, "worse\n")]);
    let Published::Branch { name, why } = reverted(&bed, &bad) else { panic!("no branch") };
    assert_eq!((name.clone(), bed.tip()), (format!("tidegate/revert-{}", &bad[..12]), tip));
    assert_eq!(why, format!("reverting {bad} conflicts with later commits in {WEB}"));
    let text = bed.git(&["show", &format!("{name}:{WEB}")]);
    assert!(text.contains("<<<<<<<") && text.contains("worse") && text.contains("traffic: {v1: 100}"), "{text}");
    assert_eq!(bed.git(&["ls-tree", "--name-only", &name, "plans/also.yaml"]), "");
    bed.git(&["fsck", "--strict", "--no-dangling"]);
}
