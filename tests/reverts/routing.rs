//! Reverts of what is not weights: routes, pins, versions. Subsets come first and go last.

use tidegate::rollout::Phase;

use crate::bed::{Bed, Edit, NO_HOLDS};

const THIRD: Edit = ("# The third is not born yet.", "v3: {labels: {version: v3}}");
const AT_25: Phase = Phase::Walking { weight: 25 };

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_routes_and_pins_alone() {
    let bed = Bed::open(&[]).await;
    let before = bed.spec();
    let pin = "pins: [{name: qa, match: [{headers: {qa: {exact: 'yes'}}}], to: v2}]";
    let edits: [Edit; 2] = [("timeout: 10s", "timeout: 3s, retries: {attempts: 2}"), ("# Who may interfere.", pin)];
    let changes = bed.leads_to(|bed| drop(bed.edit("A pin and a time-out", &edits)), &[], &Phase::Settled).await;
    assert_eq!(changes.iter().map(|change| change.kind).collect::<Vec<_>>(), ["VirtualService"]);
    assert_eq!(bed.spec()["http"].as_array().unwrap().len(), 2);
    let changes = bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &[], &Phase::Settled).await;
    assert_eq!(changes.iter().map(|change| change.kind).collect::<Vec<_>>(), ["VirtualService"], "in one write");
    assert_eq!(bed.spec(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_routes_that_have_not_settled() {
    let bed = Bed::open(&[("settle: {hold: 0s}", "settle: {hold: 2h}")]).await;
    let before = bed.spec();
    let edit: Edit = ("timeout: 10s", "timeout: 1s");
    bed.leads_to(|bed| drop(bed.edit("Another time-out", &[edit])), &[], &Phase::Target).await;
    let changes = bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &[], &Phase::Settled).await;
    assert_eq!((changes.len(), bed.spec()), (1, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_a_visibility_takes_it_off_again() {
    let bed = Bed::open(&[]).await;
    let before = bed.spec();
    let objects = "objects: {virtualService: {exportTo: [.]}, destinationRule: {exportTo: [.]}}";
    let edit: Edit = ("# Who may interfere.", objects);
    let changes = bed.leads_to(|bed| drop(bed.edit("For this namespace", &[edit])), &[], &Phase::Settled).await;
    assert_eq!((changes.len(), &bed.spec()["exportTo"]), (2, &serde_json::json!(["."])));
    let changes = bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &[], &Phase::Settled).await;
    assert_eq!((changes.len(), bed.spec()), (2, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_an_added_version_takes_its_subset_last() {
    let bed = Bed::open(&[]).await;
    let to_v3: Edit = ("traffic: {v1: 100}", "traffic: {v3: 100}");
    let changes = bed
        .leads_to(|bed| drop(bed.edit("Everything to v3", &[THIRD, to_v3])), &["v1=90 v3=10", "v1=75 v3=25"], &AT_25)
        .await;
    let order: Vec<_> = changes.iter().map(|change| (change.kind, change.what.as_str())).collect();
    let up = [("VirtualService", "v1=90 v3=10"), ("VirtualService", "v1=75 v3=25")];
    assert_eq!(order, [&[("DestinationRule", "v1 v2 v3")][..], &up].concat(), "the subset first");
    let changes = bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &["v1=100"], &Phase::Settled).await;
    let order: Vec<_> = changes.iter().map(|change| (change.kind, change.what.as_str())).collect();
    assert_eq!(order, [("VirtualService", "v1=100"), ("DestinationRule", "v1 v2")], "weights first, the removal last");
    assert_eq!(bed.proven("v3"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_a_removed_version_brings_its_subset_first() {
    let bed = Bed::open(&[NO_HOLDS]).await;
    let whole = ["v2=10 v1=90", "v2=25 v1=75", "v2=50 v1=50", "v2=100"];
    let dropped: [Edit; 3] = [
        ("    v1: {labels: {version: v1}}\n", ""),
        ("  from: {v1: 100}\n", ""),
        ("traffic: {v1: 100}", "traffic: {v2: 100}"),
    ];
    let changes = bed.leads_to(|bed| drop(bed.edit("v2 alone", &dropped)), &whole, &Phase::Settled).await;
    let last = changes.last().unwrap();
    assert_eq!((last.kind, last.what.as_str()), ("DestinationRule", "v2"), "its subset goes last");
    let changes = bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &["v1=100"], &Phase::Settled).await;
    let order: Vec<_> = changes.iter().map(|change| (change.kind, change.what.as_str())).collect();
    assert_eq!(order.first().unwrap().0, "DestinationRule", "a missing subset is put back first: {order:?}");
    assert_eq!(order.last().unwrap(), &("VirtualService", "v1=100"));
    assert_eq!((bed.proven("v1"), bed.proven("v2")), (100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revert_of_a_new_build_in_mid_walk() {
    let bed = Bed::open(&[]).await;
    let edits: [Edit; 2] = [
        ("v2: {labels: {version: v2}}", "v2: {labels: {version: v2}, build: '2'}"),
        ("traffic: {v1: 100}", "traffic: {v2: 100}"),
    ];
    let up = ["v1=90 v2=10", "v1=75 v2=25"];
    bed.leads_to(|bed| drop(bed.edit("Build 2", &edits)), &up, &AT_25).await;
    let other: Edit = ("build: '2'", "build: '3'");
    let again = ["v1=100", "v1=90 v2=10", "v1=75 v2=25"];
    bed.leads_to(|bed| drop(bed.edit("Build 3", &[other])), &again, &AT_25).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &again, &AT_25).await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD~2")), &["v1=100"], &Phase::Settled).await;
}
