//! Whatever becomes of the repository or its branch, the last good plans stay in force.

use crate::bed::{Bed, eventually};
use crate::process::{Process, run};

/// A settled plan, followed by a process that looks often.
async fn settled() -> (Bed, Process) {
    let bed = Bed::open().await;
    bed.plan("web", "traffic: {v1: 100}");
    let process = Process::start(bed.repository.home(), &bed.run_arguments(&["--interval", "1s"]));
    bed.until_settled("web", "v1=100").await;
    (bed, process)
}

/// Somebody changes the weights by hand: a plan that is in force puts them back.
async fn is_in_force(bed: &Bed, wanted: &str) {
    let mut live = bed.live("web").unwrap();
    live["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v3".into();
    bed.store().put(live).unwrap();
    bed.until_weights("web", wanted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_missing_is_named_and_waited_for() {
    let bed = Bed::open().await;
    bed.repository.delete();
    let once = bed.once().await;
    assert_eq!(once.code, 3, "{once:?}");
    let says = format!("error: plan repository: {} is not a Git repository", bed.repository.location());
    assert!(once.stderr.contains(&says), "{}", once.stderr);
    let process = Process::start(bed.repository.home(), &bed.run_arguments(&["--interval", "1s"]));
    eventually("it is said", || process.log().contains("is not a Git repository")).await;
    bed.repository.init();
    bed.plan("web", "traffic: {v1: 100}");
    bed.until_settled("web", "v1=100").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_is_missing_is_named_with_the_one_that_may_be_meant() {
    let bed = Bed::open().await;
    bed.plan("web", "traffic: {v1: 100}");
    let once = run(bed.repository.home(), &bed.run_arguments(&["--once", "--branch", "mian"])).await;
    assert_eq!(once.code, 3, "{once:?}");
    assert!(once.stderr.contains("has no branch `mian`") && once.stderr.contains("`main`"), "{}", once.stderr);
    assert_eq!(bed.live("web"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository_is_said_to_be_empty() {
    let bed = Bed::open().await;
    let once = bed.once().await;
    assert_eq!(once.code, 3, "{once:?}");
    assert!(once.stderr.contains("error: plan repository: the repository has no branch"), "{}", once.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forced_push_is_followed_and_said() {
    let (bed, process) = settled().await;
    let first = bed.repository.tip();
    bed.plan("web", "traffic: {v2: 100}");
    bed.until_settled("web", "v2=100").await;
    bed.repository.force(&first);
    bed.until_settled("web", "v1=100").await;
    assert!(process.log().contains("history was rewritten"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_is_deleted_and_made_again_loses_nothing() {
    let (bed, process) = settled().await;
    bed.repository.branch("aside");
    bed.repository.git(&["branch", "-D", "main"]);
    eventually("it is said", || process.log().contains("the branch is gone")).await;
    is_in_force(&bed, "v1=100").await;
    assert!(process.log().contains("the last good plans stay in force"), "{}", process.log());
    bed.repository.branch("main");
    bed.plan("web", "traffic: {v2: 100}");
    bed.until_settled("web", "v2=100").await;
    assert!(process.log().contains("the plan repository is read again"), "{}", process.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_deleted_and_made_again_loses_nothing() {
    let (bed, process) = settled().await;
    bed.repository.delete();
    eventually("it is said", || process.log().contains("is not a Git repository")).await;
    is_in_force(&bed, "v1=100").await;
    bed.repository.init();
    bed.plan("web", "traffic: {v2: 100}");
    bed.until_settled("web", "v2=100").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn law_03_a_restart_without_the_repository_still_heeds_a_stop_and_puts_drift_back() {
    let bed = Bed::open().await;
    let first = bed.start();
    let steps = "from: {v1: 100}\n  steps: [{weight: 10, hold: 1h}]";
    bed.plan("web", &format!("{steps}\n  traffic: {{v1: 100}}"));
    bed.plan("api", "traffic: {v1: 100}");
    bed.until_settled("web", "v1=100").await;
    bed.until_settled("api", "v1=100").await;
    bed.plan("web", &format!("{steps}\n  traffic: {{v2: 100}}"));
    bed.until_weights("web", "v1=90 v2=10").await;
    drop(first);
    bed.repository.delete();
    let _second = bed.start();
    let stop = bed.ask(&["stop", "web", "--reason", "ada"]).await;
    assert_eq!(stop.code, 0, "{stop:?}");
    bed.until_weights("web", "v1=100").await;
    let mut live = bed.live("api").unwrap();
    live["spec"]["http"][0]["route"][0]["destination"]["subset"] = "v2".into();
    bed.store().put(live).unwrap();
    bed.until_weights("api", "v1=100").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_of_another_repository_of_the_same_name_are_left_alone() {
    let (bed, _process) = settled().await;
    let other = tempfile::tempdir().unwrap();
    let name = bed.repository.path().file_name().unwrap();
    let elsewhere = other.path().join(name);
    std::fs::create_dir_all(&elsewhere).unwrap();
    let git = |arguments: &[&str]| {
        let mut command = bed.repository.command(arguments);
        assert!(command.current_dir(&elsewhere).status().unwrap().success(), "{arguments:?}");
    };
    git(&["init", "--quiet", "--initial-branch", "main"]);
    git(&["commit", "--quiet", "--allow-empty", "-m", "Start"]);
    let repo = elsewhere.display().to_string();
    let arguments = bed.on_cluster(&["run", "--once", "--repo", &repo]);
    let answer = crate::process::run(bed.repository.home(), &arguments).await;
    assert!(answer.stderr.contains("it is left alone"), "{answer:?}");
    let journal = bed.journal("web").unwrap();
    assert_eq!(journal.phase, tidegate::rollout::Phase::Settled);
}
