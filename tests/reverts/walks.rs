//! Reverts in mid-walk, after settling, of advances, and what walks again afterwards.

use tidegate::rollout::Phase;

use crate::bed::{Bed, NO_HOLDS, TO_V2};

const AT_25: Phase = Phase::Walking { weight: 25 };
/// From v1 to v2, up to where the walk of the plan stays.
const UP: [&str; 2] = ["v1=90 v2=10", "v1=75 v2=25"];

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_in_mid_walk_and_the_revert_of_the_revert() {
    let bed = Bed::open(&[]).await;
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &UP, &AT_25).await;
    let revert = |bed: &Bed| drop(bed.repository.revert("HEAD"));
    bed.leads_to(revert, &["v1=100"], &Phase::Settled).await;
    assert_eq!((bed.proven("v1"), bed.proven("v2")), (100, 0));
    bed.leads_to(revert, &UP, &AT_25).await;
    bed.leads_to(revert, &["v1=100"], &Phase::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_before_the_first_step_has_converged() {
    let bed = Bed::open(&[]).await;
    let both = |bed: &Bed| {
        bed.edit("Everything to v2", &[TO_V2]);
        std::thread::sleep(std::time::Duration::from_millis(150));
        bed.repository.revert("HEAD");
    };
    bed.leads_to(both, &["v1=90 v2=10", "v1=100"], &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_and_its_revert_pushed_together_move_nothing() {
    let bed = Bed::open(&[]).await;
    let both = |bed: &Bed| {
        bed.repository.branch("aside");
        bed.edit("Everything to v2", &[TO_V2]);
        bed.repository.revert("HEAD");
        bed.repository.git(&["push", "--quiet", ".", "aside:main"]);
    };
    bed.leads_to(both, &[], &Phase::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_after_settling_walks_again_when_it_is_reverted() {
    let bed = Bed::open(&[NO_HOLDS]).await;
    let whole = ["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"];
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &whole, &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 100);
    let revert = |bed: &Bed| drop(bed.repository.revert("HEAD"));
    bed.leads_to(revert, &["v1=100"], &Phase::Settled).await;
    assert_eq!((bed.proven("v1"), bed.proven("v2")), (100, 0));
    bed.leads_to(revert, &whole, &Phase::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_while_the_target_has_not_passed_its_hold() {
    let bed = Bed::open(&[NO_HOLDS, ("settle: {hold: 0s}", "settle: {hold: 2h}")]).await;
    let whole = ["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"];
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &whole, &Phase::Target).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &["v1=100"], &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_in_mid_walk_of_the_second_walk_and_of_both() {
    let third = ("# The third is not born yet.", "v3: {labels: {version: v3}}");
    let bed = Bed::open(&[NO_HOLDS, third]).await;
    let whole = ["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"];
    let first = bed.repository.tip();
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &whole, &Phase::Settled).await;
    let to_v3 = [("traffic: {v2: 100}", "traffic: {v3: 100}"), ("weight: 25, hold: 0s", "weight: 25, hold: 1h")];
    let second = ["v2=90 v3=10", "v2=75 v3=25"];
    bed.leads_to(|bed| drop(bed.edit("Everything to v3", &to_v3)), &second, &AT_25).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &["v2=100"], &Phase::Settled).await;
    assert_eq!((bed.proven("v1"), bed.proven("v2"), bed.proven("v3")), (100, 100, 0));
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &second, &AT_25).await;
    let all = |bed: &Bed| {
        bed.repository.git(&["revert", "--no-commit", &format!("{first}..HEAD")]);
        bed.repository.commit_all("Back to the start");
    };
    bed.leads_to(all, &["v1=100"], &Phase::Settled).await;
    assert_eq!((bed.proven("v1"), bed.proven("v2"), bed.proven("v3")), (100, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_one_of_several_advances_by_hand() {
    let bed = Bed::open(&[NO_HOLDS]).await;
    let ten = ("traffic: {v1: 100}", "traffic: {v1: 90, v2: 10}");
    let half = ("traffic: {v1: 90, v2: 10}", "traffic: {v1: 50, v2: 50}");
    bed.leads_to(|bed| drop(bed.edit("A tenth", &[ten])), &["v1=90 v2=10"], &Phase::Settled).await;
    bed.leads_to(|bed| drop(bed.edit("Half", &[half])), &["v1=75 v2=25", "v1=50 v2=50"], &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 50);
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &["v1=90 v2=10"], &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 10, "what it had before stays proven");
    let again = |bed: &Bed| drop(bed.repository.revert("HEAD"));
    bed.leads_to(again, &["v1=75 v2=25", "v1=50 v2=50"], &Phase::Settled).await;
}
