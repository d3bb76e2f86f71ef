//! Pushes that a repository refuses, and what it says.

use std::process::Command;

use tidegate::git::{Access, Operation, PublishOptions, PushError, Secret};

use super::bed::{Bed, WEB, landed, options, refused, says};
use super::support::repository::Repository;

fn words(error: PushError) -> String {
    match error {
        PushError::Refused { words, .. } => words,
        other => panic!("another error: {other:?}"),
    }
}

#[test]
fn a_hook_s_no_is_told_in_its_words_and_asked_for_once() {
    for bed in [Bed::http(), Bed::ssh()] {
        let before = bed.tip();
        let count = bed.repository.home().join("count");
        let hook =
            format!("echo run >> {}\necho 'only by \u{1b}[31mreview'\necho 'ask ada' >&2\nexit 1", count.display());
        bed.hook("pre-receive", &hook);
        let source = bed.source();
        let mut publisher = bed.publisher_of(&source, options());
        let error = refused(publisher.publish(&mut says(WEB, "2\n")));
        assert!(error.is_refusal());
        let said = words(error);
        assert_eq!(said, "pre-receive hook declined (only by \\u{1b}[31mreview; ask ada)", "{}", bed.name());
        assert_eq!(std::fs::read_to_string(&count).unwrap(), "run\n");
        let counted = source.meter.requests();
        assert!(counted.contains(&(Operation::Push, "refused", 1)), "{counted:?}");
        std::fs::remove_file(bed.bare.join("hooks/pre-receive")).unwrap();
        bed.hook("update", "[ \"$1\" != refs/heads/main ]");
        let told = "hook declined (error: hook declined to update refs/heads/main)";
        assert_eq!(words(refused(publisher.publish(&mut says(WEB, "2\n")))), told);
        assert_eq!(bed.tip(), before);
        std::fs::remove_file(bed.bare.join("hooks/update")).unwrap();
        landed(publisher.publish(&mut says(WEB, "2\n")));
        bed.is_linear_and_whole();
        assert!(bed.leftovers().is_empty());
    }
}

#[test]
fn settings_of_a_server_refuse_or_do_not_matter() {
    for bed in [Bed::http(), Bed::ssh()] {
        for name in ["receive.denyNonFastForwards", "receive.denyDeletes", "receive.fsckObjects"] {
            bed.git(&["config", name, "true"]);
        }
        let mut publisher = bed.publisher();
        landed(publisher.publish(&mut says(WEB, "2\n")));
        bed.git(&["config", "receive.maxInputSize", "100"]);
        let said = words(refused(publisher.publish(&mut says(WEB, "3\n"))));
        assert!(said.contains("unpack"), "{}: {said}", bed.name());
        bed.git(&["config", "--unset", "receive.maxInputSize"]);
        bed.git(&["config", "core.bare", "false"]);
        let said = words(refused(publisher.publish(&mut says(WEB, "3\n"))));
        assert!(said.starts_with("branch is currently checked out"), "{}: {said}", bed.name());
        bed.git(&["config", "core.bare", "true"]);
        landed(publisher.publish(&mut says(WEB, "3\n")));
    }
}

#[test]
fn who_may_only_read_is_told_so() {
    let bed = Bed::http();
    let before = bed.tip();
    bed.git(&["config", "http.receivepack", "false"]);
    let error = refused(bed.publisher().publish(&mut says(WEB, "2\n")));
    assert!(matches!(error, PushError::ReadOnlyCredentials { .. }), "{error:?}");
    bed.git(&["config", "http.receivepack", "true"]);
    bed.http_server().rule(|rules| rules.push_basic = Some(("x-access-token".into(), "sesame".into())));
    let error = refused(bed.publisher().publish(&mut says(WEB, "2\n")));
    assert!(matches!(error, PushError::ReadOnlyCredentials { .. }), "{error:?}");
    let with = |token: &str| {
        let access = Access { token: Some(Secret::new(token)), ..bed.access() };
        bed.publisher_of(&bed.source(), PublishOptions { access: Some(access), ..options() })
    };
    let error = refused(with("open").publish(&mut says(WEB, "2\n")));
    assert!(matches!(error, PushError::ReadOnlyCredentials { .. }), "{error:?}");
    let echo = ("403 Forbidden".into(), "Content-Type: text/plain\r\n".into(), "sesame is for reading".into());
    bed.http_server().rule(|rules| rules.push_instead = Some(echo));
    let error = refused(with("sesame").publish(&mut says(WEB, "2\n")));
    assert!(error.to_string().ends_with("credentials: … is for reading"), "{error}");
    bed.http_server().rule(|rules| rules.push_instead = None);
    assert_eq!(bed.tip(), before);
    landed(with("sesame").publish(&mut says(WEB, "2\n")));

    let bed = Bed::ssh();
    let mut publisher = bed.publisher();
    let super::bed::Way::Ssh(server) = &bed.way else { panic!("not over SSH") };
    let key = std::fs::read_to_string(server.authorized_keys()).unwrap();
    let only = "case \\\"$SSH_ORIGINAL_COMMAND\\\" in git-receive-pack*) echo 'ERROR: this key may only read' >&2; exit 1;; \
                *) eval \\\"$SSH_ORIGINAL_COMMAND\\\";; esac";
    std::fs::write(server.authorized_keys(), format!("command=\"{only}\" {key}")).unwrap();
    let error = refused(publisher.publish(&mut says(WEB, "2\n")));
    let PushError::ReadOnlyCredentials { words, .. } = error else { panic!("{error:?}") };
    assert!(words.contains("this key may only read"), "{words}");
    std::fs::write(server.authorized_keys(), key).unwrap();
    landed(publisher.publish(&mut says(WEB, "2\n")));
}

fn unfit(bed: &Bed) -> String {
    match refused(bed.publisher().publish(&mut says(WEB, "2\n"))) {
        PushError::Unfit { what, .. } => what,
        other => panic!("another error: {other:?}"),
    }
}

#[test]
fn a_branch_that_a_work_tree_has_checked_out_stays() {
    let bed = Bed::file();
    let tree = bed.repository.home().join("tree");
    bed.git(&["worktree", "add", "--quiet", "--force", tree.to_str().unwrap(), "main"]);
    assert!(unfit(&bed).contains("`refs/heads/main` is checked out"));
    bed.git(&["config", "receive.denyCurrentBranch", "updateInstead"]);
    assert!(unfit(&bed).contains("checked out"));
    bed.git(&["config", "receive.denyCurrentBranch", "ignore"]);
    landed(bed.publisher().publish(&mut says(WEB, "2\n")));
    let source = bed.source_with(&bed.repository.location(), bed.access());
    let error = refused(bed.publisher_of(&source, options()).publish(&mut says(WEB, "2\n")));
    assert!(matches!(error, PushError::Unfit { .. }), "{error:?}");
    bed.repository.branch("elsewhere");
    landed(bed.publisher_of(&source, options()).publish(&mut says(WEB, "3\n")));
    assert_eq!(bed.repository.git(&["show", &format!("main:{WEB}")]), "3");
    assert_eq!(bed.repository.git(&["reflog", "main", "-1", "--format=%gs"]), "push");
}

#[test]
fn hooks_that_only_git_can_run_are_not_left_out() {
    let bed = Bed::file();
    for hook in ["pre-receive", "update", "reference-transaction", "post-receive"] {
        bed.hook(hook, "exit 0");
        assert!(unfit(&bed).contains(&format!("a hook `{hook}`")));
        std::fs::remove_file(bed.bare.join("hooks").join(hook)).unwrap();
    }
    bed.git(&["config", "core.hooksPath", "checks"]);
    std::fs::create_dir(bed.bare.join("checks")).unwrap();
    std::fs::write(bed.bare.join("checks/update"), "not executable").unwrap();
    landed(bed.publisher().publish(&mut says(WEB, "2\n")));
    bed.push("Another text", &[(WEB, "1\n")]);
    bed.hook("../checks/update", "exit 0");
    assert!(unfit(&bed).contains("a hook `update`"));
}

#[test]
fn a_shallow_clone_is_not_pushed_to() {
    let bed = Bed::file();
    bed.push("Second", &[(WEB, "2\n")]);
    let shallow = bed.repository.home().join("shallow.git");
    let from = format!("file://{}", bed.bare.display());
    bed.repository.git(&["clone", "--quiet", "--bare", "--depth=1", &from, shallow.to_str().unwrap()]);
    let source = bed.source_with(shallow.to_str().unwrap(), bed.access());
    let error = refused(bed.publisher_of(&source, options()).publish(&mut says(WEB, "3\n")));
    assert!(error.to_string().ends_with("is a shallow clone"), "{error}");
}

#[test]
fn a_lock_is_waited_for_a_little_and_never_broken() {
    let bed = Bed::file();
    let lock = bed.bare.join("refs/heads/main.lock");
    std::fs::write(&lock, "").unwrap();
    let mut publisher = bed.publisher();
    let packs = || std::fs::read_dir(bed.bare.join("objects/pack")).unwrap().count();
    let before = (bed.tip(), packs());
    let said = words(refused(publisher.publish(&mut says(WEB, "2\n"))));
    assert!(said.starts_with("failed to lock"), "{said}");
    assert_eq!((lock.exists(), bed.tip(), packs()), (true, before.0, before.1), "nothing is left of it");
    let removed = Command::new("sh").args(["-c", "sleep 0.03; rm \"$0\"", lock.to_str().unwrap()]).spawn();
    landed(publisher.publish(&mut says(WEB, "2\n")));
    assert!(removed.unwrap().wait().unwrap().success());
}

#[test]
fn a_repository_without_the_branch_is_not_given_one() {
    let bed = Bed::file();
    bed.git(&["branch", "--quiet", "-m", "main", "trunk"]);
    let error = refused(bed.publisher().publish(&mut says(WEB, "2\n")));
    assert!(error.to_string().ends_with("has no branch `main`"), "{error}");
    let empty = Repository::empty();
    let source = bed.source_with(&empty.location(), bed.access());
    refused(bed.publisher_of(&source, options()).publish(&mut says(WEB, "2\n")));
}
