//! `tidegate rollback`: one plan's document, or a whole commit.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::bed::{Bed, plan};
use crate::git_http::GitHttp;
use crate::process::Answer;
use crate::remote::{Remote, Way, committed};
use crate::repository::Repository;
use crate::sshd::Sshd;

const STEPS: &str = "from: {v1: 100}\n  steps: [{weight: 10, hold: 1h}, {weight: 50, hold: 1h}]\n  settle: {hold: 0s}";

/// Commits to the repository, and pushes.
fn push(repository: &Repository, message: &str, files: &[(&str, String)]) -> String {
    let commit = repository.commit(message, files);
    repository.push(false);
    commit
}

/// Brings the clone to where the bare repository is.
fn pull(repository: &Repository) {
    repository.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
}

fn web(traffic: &str) -> Vec<(&'static str, String)> {
    vec![("plans/web.yaml", plan("web", &format!("traffic: {traffic} # ours")))]
}

/// What it says on standard error, with the exit code.
fn refused(answer: &Answer) -> (i32, &str) {
    assert_eq!(answer.stdout, "", "{answer:?}");
    (answer.code, &answer.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_goes_where_the_cluster_says_and_traffic_follows() {
    let bed = Bed::open().await;
    let spec = |traffic: &str| vec![("plans/web.yaml", plan("web", &format!("{STEPS}\n  traffic: {traffic}")))];
    let first = bed.repository.commit("First", &spec("{v1: 100}"));
    let remote = Remote::file(&bed.repository);
    let mut run = bed.on_cluster(&["run", "--convergence-wait", "100ms"]);
    run.extend(remote.arguments());
    let _process = crate::process::Process::start(bed.repository.home(), &run);
    bed.until_settled("web", "v1=100").await;
    let raise = push(&bed.repository, "Raise", &spec("{v2: 100}"));
    bed.until_held("web", "v1=90 v2=10").await;
    let back = remote.ask_on(&bed, &["rollback", "web", "--reason", "errors at checkout"]).await;
    let commit = committed(&back);
    assert_eq!(
        back.stdout,
        format!("committed main@sha1:{commit}\nto see what comes of it: tidegate status; tidegate why shop/web\n")
    );
    let message = remote.git(&bed.repository, &["log", "-1", "--format=%an <%ae>%n%B", &commit]);
    assert_eq!(
        message,
        format!(
            "Grace <grace@example.com>\nRestore shop/web to {}\n\nTidegate-Plan: shop/web\nTidegate-Reason: errors at \
             checkout\nTidegate-Restores: {first}\nTidegate-Undoes: {raise}",
            &first[..10]
        )
    );
    bed.until_settled("web", "v1=100").await;
    pull(&bed.repository);
    // From settled to settled: without steps, two targets in a row.
    push(&bed.repository, "Pin it", &[("plans/web.yaml", plan("web", "traffic: {v3: 100}"))]);
    bed.until_settled("web", "v3=100").await;
    committed(&remote.ask_on(&bed, &["rollback", "shop/web"]).await);
    bed.until_settled("web", "v1=100").await;
    let told = remote.ask_on(&bed, &["history", "web"]).await;
    let lines: Vec<&str> = told.stdout.lines().collect();
    let undone = format!("; undone by {} of Grace: errors at checkout", &commit[..10]);
    assert!(lines[4].starts_with(&raise[..10]) && lines[4].ends_with(&undone), "{lines:#?}");
    // Nothing that settled before is left.
    let none = remote.ask_on(&bed, &["rollback", "web"]).await;
    assert_eq!(refused(&none).0, 1, "{none:?}");
    assert!(none.stderr.contains("the cluster knows no state that shop/web could go back to\nhint: "), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_prints_the_commit_and_pushes_nothing() {
    let repository = Repository::with(&web("{v1: 100}"));
    let remote = Remote::file(&repository);
    let first = repository.tip();
    let second = push(&repository, "Split", &web("{v1: 50, v2: 50}"));
    let before = remote.references(&repository);
    let dry = remote.ask(&["rollback", "web", "--to", &first[..8], "--dry-run", "--reason", "slow"]).await;
    assert_eq!((dry.code, dry.stderr.as_str()), (0, ""));
    let shown = dry.stdout.replace(&first, "FIRST").replace(&first[..10], "FIRST").replace(&second, "SECOND");
    let shown: String =
        shown.lines().filter(|line| !line.starts_with("index ")).map(|line| format!("{line}\n")).collect();
    insta::assert_snapshot!(shown, @r"
    would commit onto main@sha1:SECOND:

        Restore shop/web to FIRST

        Tidegate-Plan: shop/web
        Tidegate-Reason: slow
        Tidegate-Restores: FIRST
        Tidegate-Undoes: SECOND

    diff --git a/plans/web.yaml b/plans/web.yaml
    --- a/plans/web.yaml
    +++ b/plans/web.yaml
    @@ -4,4 +4,4 @@ metadata: {name: web, namespace: shop}
     spec:
       service: web
       versions: {v1: {labels: {version: v1}}, v2: {labels: {version: v2}}, v3: {labels: {version: v3}}}
    -  traffic: {v1: 50, v2: 50} # ours
    +  traffic: {v1: 100} # ours
    ");
    assert_eq!(remote.references(&repository), before);
    let same = remote.ask(&["rollback", "web", "--to", &second]).await;
    let says = format!("nothing to do: the document of shop/web says what it said at {}\n", &second[..10]);
    assert_eq!((same.code, same.stdout.as_str()), (0, says.as_str()));
    assert_eq!(remote.references(&repository), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_restored_past_moves_removals_and_commits_of_others() {
    let repository = Repository::with(&web("{v1: 100}"));
    let remote = Remote::file(&repository);
    let first = repository.tip();
    push(&repository, "Split", &web("{v1: 50, v2: 50}"));
    let [(_, api), (_, now)] = [("", plan("api", "traffic: {v1: 100}")), web("{v1: 40, v2: 60}").remove(0)];
    std::fs::remove_file(repository.path().join("plans/web.yaml")).unwrap();
    push(&repository, "Move it", &[("plans/all.yaml", format!("# All\n---\n{api}---\n{now}"))]);
    committed(&remote.ask(&["rollback", "shop/web", "--to", &first]).await);
    let old = web("{v1: 100}").remove(0).1;
    let whole = remote.git(&repository, &["show", "main:plans/all.yaml"]);
    assert_eq!(whole, format!("# All\n---\n{api}---\n{old}").trim_end());
    pull(&repository);
    let removal = push(&repository, "Remove it", &[("plans/all.yaml", format!("# All\n---\n{api}"))]);
    let name = remote.ask(&["rollback", "web", "--to", &first]).await;
    let says = "error: no plan of the branch has the name `web`\nhint: write one that was removed as namespace/name\n";
    assert_eq!(refused(&name), (2, says));
    let back = committed(&remote.ask(&["rollback", "shop/web", "--to", &first]).await);
    assert_eq!(remote.git(&repository, &["show", "main:plans/web.yaml"]), old.trim_end());
    let undoes = remote.git(&repository, &["log", "-1", "--format=%(trailers:key=Tidegate-Undoes,valueonly)", &back]);
    assert_eq!(undoes, removal);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_rolled_back_is_told_and_changes_nothing() {
    let repository = Repository::with(&[("plans/api.yaml", plan("api", "traffic: {v1: 100}"))]);
    let remote = Remote::file(&repository);
    let (never, first) = (repository.tip(), push(&repository, "Add web", &web("{v1: 100}")));
    let before = remote.references(&repository);
    let missing = remote.ask(&["rollback", "web", "--to", &never]).await;
    let says = format!(
        "error: no file has the plan shop/web at {}\nhint: `tidegate history PLAN` lists the commits that have it\n",
        &never[..10]
    );
    assert_eq!(refused(&missing), (1, says.as_str()));
    let unknown = remote.ask(&["rollback", "web", "--to", "deadbeef"]).await;
    assert_eq!(unknown.code, 2, "{unknown:?}");
    assert!(unknown.stderr.starts_with("error: no commit `deadbeef` is known\n"), "{unknown:?}");
    let far = remote.ask(&["rollback", "web"]).await;
    assert!(far.code == 2 && far.stderr.contains("kubeconfig"), "{far:?}");
    let both = remote.ask(&["rollback", "web", "--commit", &first]).await;
    assert!(both.code == 2 && both.stderr.contains("cannot be used with"), "{both:?}");
    let neither = remote.ask(&["rollback"]).await;
    assert!(neither.code == 2 && neither.stderr.contains("<PLAN>"), "{neither:?}");
    let author = remote.ask(&["rollback", "web", "--to", &first, "--git-author", "Ada"]).await;
    assert!(author.code == 2 && author.stderr.contains("`Ada` is not an author"), "{author:?}");
    let key = remote.ask(&["rollback", "web", "--to", &first, "--git-signing-key", "/none"]).await;
    assert!(key.code == 2 && key.stderr.contains("cannot sign with the key in /none"), "{key:?}");
    let gone = remote.ask(&["rollback", "web", "--to", &first, "--branch", "mian"]).await;
    assert!(gone.code == 3 && gone.stderr.contains("no branch `mian`"), "{gone:?}");
    assert_eq!(remote.references(&repository), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_commit_is_reverted_as_git_does_it() {
    let lines = |change: &str| {
        (0..20).map(|n| if n == 9 { format!("{change}\n") } else { format!("{n}\n") }).collect::<String>()
    };
    let repository = Repository::with(&[("notes/a.txt", lines("old")), ("run.sh", "echo\n".to_owned())]);
    repository.git(&["update-index", "--chmod=+x", "run.sh"]);
    repository.git(&["commit", "--quiet", "-m", "Make it a program"]);
    repository.git(&["checkout", "--quiet", "--force", "HEAD"]);
    let remote = Remote::file(&repository);
    let files = [("notes/a.txt", lines("new")), ("run.sh", "echo new\n".to_owned()), ("notes/b.txt", "b\n".to_owned())];
    let change = push(&repository, "Change two, add one", &files);
    push(&repository, "Go on", &[("notes/a.txt", lines("new") + "more\n")]);
    let ours = committed(&remote.ask(&["rollback", "--commit", &change[..12], "--reason", "wrong"]).await);
    let theirs = repository.revert(&change);
    let tree = |commit: &str| remote.git(&repository, &["rev-parse", &format!("{commit}^{{tree}}")]);
    assert_eq!(tree(&ours), repository.git(&["rev-parse", &format!("{theirs}^{{tree}}")]));
    let message = remote.git(&repository, &["log", "-1", "--format=%B", &ours]);
    let git = repository.git(&["log", "-1", "--format=%B"]);
    assert!(message.starts_with(&git), "{message}\nis not\n{git}");
    assert!(message.contains("\nTidegate-Reason: wrong\n"), "{message}");
    repository.force(&format!("{theirs}^"));
    pull(&repository);
    // A merge, by either parent.
    repository.branch("side");
    repository.commit("On the side", &[("notes/side.txt", "s\n")]);
    repository.branch("main");
    repository.commit("On main", &[("notes/main.txt", "m\n")]);
    let merge = repository.merge("side");
    repository.push(false);
    for (mainline, gone) in [("1", "notes/side.txt"), ("2", "notes/main.txt")] {
        let dry = remote.ask(&["rollback", "--commit", &merge, "--mainline", mainline, "--dry-run"]).await;
        assert!(dry.code == 0 && dry.stdout.contains(&format!("diff --git a/{gone} b/{gone}\ndeleted")), "{dry:?}");
        assert!(dry.stdout.contains(", reversing\n    changes made to "), "{dry:?}");
    }
    let third = remote.ask(&["rollback", "--commit", &merge, "--mainline", "3"]).await;
    let says = format!("error: {merge} has no parent number 3\nhint: parent 1 is the branch that was merged into\n");
    assert_eq!(refused(&third), (2, says.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_that_conflicts_names_the_files_and_pushes_nothing() {
    let repository = Repository::with(&web("{v1: 100}"));
    let remote = Remote::file(&repository);
    let change = push(&repository, "Split", &web("{v1: 50, v2: 50}"));
    push(&repository, "Split on", &web("{v1: 30, v2: 70}"));
    let before = remote.references(&repository);
    let conflict = remote.ask(&["rollback", "--commit", &change]).await;
    assert_eq!(
        refused(&conflict),
        (1, format!(
            "error: reverting {change} conflicts with later commits in plans/web.yaml; nothing was pushed\nhint: revert it in a \
             clone with `git revert`, or one plan alone: `tidegate rollback PLAN`\n"
        )
        .as_str())
    );
    assert_eq!(remote.references(&repository), before);
    // The plan alone goes back all the same.
    let first = repository.git(&["rev-parse", &format!("{change}^")]);
    committed(&remote.ask(&["rollback", "web", "--to", &first]).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_has_credentials_of_its_own_and_a_signature() {
    let repository = Repository::with(&web("{v1: 100}"));
    let remote = Remote::of(&repository, |home| {
        let server = GitHttp::start(home);
        server.rule(|rules| rules.basic = Some(("pusher".into(), "sesame".into())));
        Way::Http(server)
    });
    let first = repository.tip();
    push(&repository, "Split", &web("{v1: 50, v2: 50}"));
    let (home, before) = (repository.home(), remote.references(&repository));
    let file = |name: &str, text: &str| {
        std::fs::write(home.join(name), text).unwrap();
        home.join(name).display().to_string()
    };
    let (reading, pushing) = (file("reading", "only-reads"), file("pushing", "sesame"));
    crate::sshd::key(&home.join("signing"), "ed25519", "");
    let signing = home.join("signing").display().to_string();
    let back =
        ["rollback", "web", "--to", &first, "--git-signing-key", &signing, "--git-author", "Bo <bo@example.com>"];
    let refused = remote.ask(&[&back[..], &["--git-token-file", &reading]].concat()).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(!refused.stderr.contains("only-reads"), "{refused:?}");
    assert_eq!(remote.references(&repository), before);
    let more = ["--git-token-file", &reading, "--git-push-password-file", &pushing, "--git-push-user", "pusher"];
    let commit = committed(&remote.ask(&[&back[..], &more].concat()).await);
    let object = remote.git(&repository, &["cat-file", "commit", &commit]);
    assert!(object.contains("author Bo <bo@example.com> ") && object.contains("BEGIN SSH SIGNATURE"), "{object}");
}

/// Rolls a plan back and forth while another writer pushes 50 commits, four in the time of a rollback: each
/// lands once, none is lost, the line is straight.
async fn beside_another_writer(way: impl FnOnce(&std::path::Path) -> Way) {
    const PUSHES: u64 = 50;
    let repository = Repository::with(&web("{v1: 100}"));
    let remote = Remote::of(&repository, way);
    let first = repository.tip();
    let second = push(&repository, "Split", &web("{v1: 50, v2: 50}"));
    remote.lead(&repository);
    let (ended, pause_ms) = (AtomicBool::new(false), AtomicU64::new(100));
    let mut commits = Vec::new();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for number in 0..PUSHES {
                repository
                    .commit(&format!("Other {number}"), &[("plans/api.yaml", plan("api", &format!("# {number}")))]);
                std::thread::sleep(Duration::from_millis(pause_ms.load(Ordering::Acquire)));
                while !repository.command(&["push", "--quiet", "origin", "main"]).output().unwrap().status.success() {
                    pull(&repository);
                }
            }
            ended.store(true, Ordering::Release);
        });
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            while !ended.load(Ordering::Acquire) || commits.len() < 2 {
                let to = if commits.len() % 2 == 0 { &first } else { &second };
                let begun = Instant::now();
                let back = handle.block_on(remote.ask(&["rollback", "shop/web", "--to", to]));
                pause_ms.store(u64::try_from(begun.elapsed().as_millis() / 4).unwrap(), Ordering::Release);
                commits.push(committed(&back));
            }
        });
        writer.join().unwrap();
    });
    let log = |arguments: &[&str]| remote.git(&repository, &[&["log", "--format=%H"], arguments, &["main"]].concat());
    let landed: Vec<String> =
        log(&["--reverse", "--grep", "^Tidegate-Restores: "]).lines().map(str::to_owned).collect();
    println!("{} rollbacks landed beside {PUSHES} pushes", landed.len());
    let pushes = usize::try_from(PUSHES).unwrap();
    assert_eq!(landed, commits);
    assert_eq!(log(&["--grep", "^Other "]).lines().count(), pushes);
    assert_eq!(log(&["--merges"]), "");
    assert_eq!(log(&[]).lines().count(), 2 + pushes + commits.len());
    assert_eq!(remote.references(&repository).lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rollbacks_land_once_beside_another_writer_in_a_folder() {
    beside_another_writer(|_| Way::File).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollbacks_land_once_beside_another_writer_over_http() {
    beside_another_writer(|home| Way::Http(GitHttp::start(home))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollbacks_land_once_beside_another_writer_over_ssh() {
    beside_another_writer(|home| Way::Ssh(Sshd::start(home))).await;
}
