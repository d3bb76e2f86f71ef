//! `tidegate pause`, `resume` and `advance`: commits that change one value.

use crate::bed::{Bed, plan};
use crate::process::Process;
use crate::remote::{Remote, committed};
use crate::repository::Repository;

const STEPS: &str = "from: {v1: 100}\n  steps: [{name: first, weight: 10, hold: 1h}, {weight: 50, hold: 1h}]";

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_is_advanced_step_by_step_and_settled_by_commits() {
    let bed = Bed::open().await;
    let spec = |traffic: &str| [("plans/web.yaml", plan("web", &format!("{STEPS}\n  traffic: {traffic}")))];
    bed.repository.commit("First", &spec("{v1: 100}"));
    let remote = Remote::file(&bed.repository);
    let mut run = bed.on_cluster(&["run", "--convergence-wait", "100ms"]);
    run.extend(remote.arguments());
    let _process = Process::start(bed.repository.home(), &run);
    bed.until_settled("web", "v1=100").await;
    let settled = remote.ask_on(&bed, &["advance", "web"]).await;
    assert_eq!((settled.code, settled.stdout.as_str()), (0, "nothing to do: shop/web is settled\n"));
    bed.repository.commit("Raise", &spec("{v2: 100}"));
    bed.repository.push(false);
    bed.until_held("web", "v1=90 v2=10").await;
    let first = committed(&remote.ask_on(&bed, &["advance", "web", "--reason", "all good"]).await);
    bed.until_held("web", "v1=50 v2=50").await;
    let diff = remote.git(&bed.repository, &["show", "--format=%s", "--unified=0", &first]);
    assert!(diff.starts_with("Advance shop/web past 10 %\n"), "{diff}");
    assert!(diff.contains("\n+  steps: [{name: first, weight: 10, hold: 0s}, {weight: 50, hold: 1h}]"), "{diff}");
    committed(&remote.ask_on(&bed, &["advance", "web"]).await);
    bed.until_held("web", "v2=100").await;
    // What the target has to hold is not the step's to end.
    assert!(remote.git(&bed.repository, &["show", "main:plans/web.yaml"]).contains("\n  settle: {hold: 1h}"));
    committed(&remote.ask_on(&bed, &["advance", "web"]).await);
    bed.until_settled("web", "v2=100").await;
    assert!(remote.git(&bed.repository, &["show", "main:plans/web.yaml"]).contains("\n  settle: {hold: 0s}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_and_its_end_are_commits_that_leave_the_file_as_it_was() {
    let text = plan("web", "traffic: {v1: 100} # all");
    let repository = Repository::with(&[("plans/web.yaml", &text)]);
    let remote = Remote::file(&repository);
    let before = remote.git(&repository, &["rev-parse", "main^{tree}"]);
    let resume = remote.ask(&["resume", "web"]).await;
    assert_eq!((resume.code, resume.stdout.as_str()), (0, "nothing to do: shop/web is not paused\n"));
    let pause = committed(&remote.ask(&["pause", "web", "--reason", "ada is away"]).await);
    let shown = remote.git(&repository, &["show", "--format=%an%n%B", "--unified=0", &pause]);
    assert!(
        shown.starts_with("Grace\nPause shop/web\n\nTidegate-Plan: shop/web\nTidegate-Reason: ada is away\n"),
        "{shown}"
    );
    assert_eq!(shown.lines().filter(|line| line.starts_with(['+', '-']) && line.len() > 14).count(), 2, "{shown}");
    let again = remote.ask(&["pause", "shop/web"]).await;
    assert_eq!((again.code, again.stdout.as_str()), (0, "nothing to do: shop/web is paused\n"));
    committed(&remote.ask(&["resume", "web"]).await);
    assert_eq!(remote.git(&repository, &["rev-parse", "main^{tree}"]), before);
}
