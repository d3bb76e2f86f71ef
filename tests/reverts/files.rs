//! Reverts that remove a plan's file, bring one back, or undo a rename.

use tidegate::rollout::Phase;

use crate::bed::{Bed, Edit, FILE, NO_HOLDS, TO_V2};

const AT_25: Phase = Phase::Walking { weight: 25 };
const LET_GO: Phase = Phase::Released { prune: false, elsewhere: false };
const UP: [&str; 2] = ["v1=90 v2=10", "v1=75 v2=25"];
const RENAMED: Edit = ("{name: shop,", "{name: store,");

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_that_removes_a_settled_plan_and_one_that_brings_it_back() {
    let bed = Bed::open(&[]).await;
    // The first commit adds the file.
    let added = bed.repository.tip();
    bed.leads_to(|bed| drop(bed.repository.revert(&added)), &[], &LET_GO).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &[], &Phase::Settled).await;
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &UP, &AT_25).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_that_removes_a_plan_in_mid_walk_and_one_that_brings_it_back() {
    let bed = Bed::open(&[]).await;
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &UP, &AT_25).await;
    let remove = |bed: &Bed| drop(bed.repository.remove("No plan", &[FILE]));
    bed.leads_to(remove, &["v1=100"], &LET_GO).await;
    assert_eq!(bed.proven("v2"), 0);
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &UP, &AT_25).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &["v1=100"], &LET_GO).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_the_whole_walk_and_of_the_plan_that_walked() {
    let bed = Bed::open(&[NO_HOLDS]).await;
    let whole = ["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"];
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &whole, &Phase::Settled).await;
    let remove = |bed: &Bed| drop(bed.repository.remove("No plan", &[FILE]));
    bed.leads_to(remove, &[], &LET_GO).await;
    let back = |bed: &Bed| drop(bed.repository.revert("HEAD"));
    bed.leads_to(back, &[], &Phase::Settled).await;
    assert_eq!(bed.proven("v2"), 100, "a removal of a settled plan takes nothing away");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_a_renamed_file_moves_nothing() {
    let bed = Bed::open(&[]).await;
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &UP, &AT_25).await;
    let moved = |bed: &Bed| {
        bed.repository.git(&["mv", FILE, "plans/store.yaml"]);
        bed.repository.commit_all("Another file");
        std::thread::sleep(std::time::Duration::from_millis(500));
        bed.repository.revert("HEAD");
    };
    bed.leads_to(moved, &[], &AT_25).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD~2")), &["v1=100"], &Phase::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_a_renamed_plan_keeps_what_was_reached() {
    let bed = Bed::open(&[]).await;
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &UP, &AT_25).await;
    bed.leads_to(|bed| drop(bed.edit("Another name", &[RENAMED])), &[], &AT_25).await;
    assert_eq!(bed.live().unwrap().1.owner.plan.name, "store");
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &[], &AT_25).await;
    assert_eq!(bed.live().unwrap().1.owner.plan.name, "shop");
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD~2")), &["v1=100"], &Phase::Settled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_a_rename_that_also_raised() {
    let bed = Bed::open(&[]).await;
    bed.leads_to(|bed| drop(bed.edit("Another name, everything to v2", &[RENAMED, TO_V2])), &UP, &AT_25).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &["v1=100"], &Phase::Settled).await;
    assert_eq!((bed.live().unwrap().1.owner.plan.name.as_str(), bed.proven("v2")), ("shop", 0));
}
