//! Reverts of several commits at once, of merges, and of commits that changed more than the plan.

use tidegate::rollout::Phase;

use crate::bed::{Bed, Edit, NO_HOLDS, TO_V2};

const TEN: Edit = ("traffic: {v1: 100}", "traffic: {v1: 90, v2: 10}");
const HALF: Edit = ("traffic: {v1: 90, v2: 10}", "traffic: {v1: 50, v2: 50}");
const ALL: Edit = ("traffic: {v1: 50, v2: 50}", "traffic: {v2: 100}");

/// Three commits, each settled.
async fn advanced() -> Bed {
    let bed = Bed::open(&[NO_HOLDS]).await;
    for (edit, weights) in [(TEN, &["v1=90 v2=10"][..]), (HALF, &["v1=75 v2=25", "v1=50 v2=50"]), (ALL, &["v2=100"])] {
        bed.leads_to(|bed| drop(bed.edit("Advance", &[edit])), weights, &Phase::Settled).await;
    }
    bed
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_several_commits_in_one() {
    let bed = advanced().await;
    let revert = |bed: &Bed| {
        bed.repository.git(&["revert", "--no-commit", "HEAD~3..HEAD"]);
        bed.repository.commit_all("Back to v1");
    };
    bed.leads_to(revert, &["v1=100"], &Phase::Settled).await;
    assert_eq!((bed.proven("v1"), bed.proven("v2")), (100, 0));
    let again = |bed: &Bed| drop(bed.repository.revert("HEAD"));
    bed.leads_to(again, &["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"], &Phase::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reverts_of_several_commits_one_by_one_pushed_together() {
    let bed = advanced().await;
    let revert = |bed: &Bed| {
        bed.repository.branch("aside");
        bed.repository.git(&["revert", "--no-edit", "HEAD~3..HEAD"]);
        // The branch moves once.
        bed.repository.git(&["push", "--quiet", ".", "aside:main"]);
    };
    bed.leads_to(revert, &["v1=100"], &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn reverts_of_several_commits_pushed_one_by_one() {
    let bed = advanced().await;
    for (commit, weights) in [("HEAD", "v1=50 v2=50"), ("HEAD~2", "v1=90 v2=10"), ("HEAD~4", "v1=100")] {
        bed.leads_to(|bed| drop(bed.repository.revert(commit)), &[weights], &Phase::Settled).await;
    }
    assert_eq!(bed.proven("v2"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_a_merge() {
    let bed = Bed::open(&[]).await;
    let merge = |bed: &Bed| {
        bed.repository.branch("feature");
        bed.edit("Another policy", &[("http: {timeout: 10s}", "http: {timeout: 7s}")]);
        bed.edit("Everything to v2", &[TO_V2]);
        bed.repository.branch("main");
        bed.repository.commit("Meanwhile", &[("README", "another change")]);
        bed.repository.merge("feature");
    };
    let up = ["v1=90 v2=10", "v1=75 v2=25"];
    let walking = Phase::Walking { weight: 25 };
    let before = bed.spec();
    bed.leads_to(merge, &up, &walking).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &["v1=100"], &Phase::Settled).await;
    assert_eq!((bed.proven("v2"), bed.spec()), (0, before));
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &up, &walking).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_beside_a_document_that_cannot_be_read() {
    let bed = Bed::open(&[]).await;
    let up = ["v1=90 v2=10", "v1=75 v2=25"];
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &up, &Phase::Walking { weight: 25 }).await;
    let advance = bed.repository.tip();
    bed.repository.commit("A broken neighbour", &[("plans/other.yaml", "kind: CanaryPlan\nspec: [")]);
    bed.leads_to(|bed| drop(bed.repository.revert(&advance)), &["v1=100"], &Phase::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_an_invalid_commit_moves_nothing() {
    let bed = Bed::open(&[]).await;
    let up = ["v1=90 v2=10", "v1=75 v2=25"];
    let walking = Phase::Walking { weight: 25 };
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &up, &walking).await;
    let both = |bed: &Bed| {
        bed.edit("A slip", &[("traffic: {v2: 100}", "traffic: {v2: 90}")]);
        std::thread::sleep(std::time::Duration::from_millis(500));
        bed.repository.revert("HEAD");
    };
    bed.leads_to(both, &[], &walking).await;
}
