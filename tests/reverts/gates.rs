//! Reverts while something keeps traffic from rising: none of it holds up the way back.

use std::time::Duration;

use tidegate::rollout::Phase;

use crate::bed::{Bed, Edit, TO_V2};

const AT_25: Phase = Phase::Walking { weight: 25 };
const UP: [&str; 2] = ["v1=90 v2=10", "v1=75 v2=25"];
const PAUSE: Edit = ("pause: false", "pause: true");
const SUSPEND: Edit = ("pause: false", "suspend: true");

/// The plan in mid-walk at 25, with the commit that led there.
async fn walking(flags: &[&str]) -> (Bed, String) {
    let bed = Bed::open_with(&[], flags).await;
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &UP, &AT_25).await;
    let advance = bed.repository.tip();
    (bed, advance)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_while_paused() {
    let (bed, advance) = walking(&[]).await;
    bed.leads_to(|bed| drop(bed.edit("Pause", &[PAUSE])), &[], &AT_25).await;
    bed.leads_to(|bed| drop(bed.repository.revert(&advance)), &["v1=100"], &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_while_suspended_counts_once_it_is_resumed() {
    let (bed, advance) = walking(&[]).await;
    let from = bed.newest().await;
    let suspended = bed.edit("Suspend", &[SUSPEND]);
    bed.until_reason("Suspended").await;
    bed.repository.revert(&advance);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.newest().await, from, "a suspended plan writes nothing");
    bed.leads_to(|bed| drop(bed.repository.revert(&suspended)), &["v1=100"], &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_that_comes_after_git_was_away_for_too_long() {
    let (bed, advance) = walking(&["--max-git-age", "1s", "--interval", "500ms"]).await;
    let away = bed.repository.home().join("away");
    let back = |bed: &Bed| {
        std::fs::rename(bed.repository.path(), &away).unwrap();
        std::thread::sleep(Duration::from_secs(2));
        std::fs::rename(&away, bed.repository.path()).unwrap();
        bed.repository.revert(&advance);
    };
    bed.leads_to(back, &["v1=100"], &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_while_nothing_may_rise_for_want_of_an_endpoint() {
    let bed = Bed::open(&[]).await;
    // A pod of v2 is there, none of the version that the second commit adds.
    let absent = [TO_V2, ("# The third is not born yet.", "v4: {labels: {version: v4}}")];
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &absent)), &UP, &AT_25).await;
    let to_v4 = [("traffic: {v2: 100}", "traffic: {v4: 100}")];
    // What is given up goes first, though what is asked for instead cannot be reached.
    bed.leads_to(|bed| drop(bed.edit("Everything to v4", &to_v4)), &["v1=100"], &Phase::Starting).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &UP, &AT_25).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD~2")), &["v1=100"], &Phase::Settled).await;
}
