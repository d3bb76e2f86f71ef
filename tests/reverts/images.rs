//! Proof belongs to what runs: an image that changes behind a live label, and the weights that follow.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tidegate::plan::VersionName;
use tidegate::rollout::{Phase, What};

use crate::bed::{Bed, NAME, NO_HOLDS, TO_V2};
use crate::support::kubernetes::{Endpoint, endpoint_slice, eventually, ready_pod, run_image};

const AT_25: Phase = Phase::Walking { weight: 25 };
const UP: [&str; 2] = ["v1=90 v2=10", "v1=75 v2=25"];
const WHOLE: [&str; 4] = ["v1=90 v2=10", "v1=75 v2=25", "v1=50 v2=50", "v2=100"];
const SOON: Duration = Duration::from_secs(60);

/// Something that happens in the cluster, as an act of [`Bed::leads_to`].
fn here<T>(act: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(act))
}

/// What `tidegate why` prints.
fn why(bed: &Bed) -> String {
    let plan = format!("{}/{NAME}", bed.namespace);
    let kubeconfig = bed.kubeconfig();
    let arguments = ["why", &plan, "--kubeconfig", &kubeconfig, "--context", "testbed"];
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_changes_behind_the_label_in_mid_walk_walks_again_from_the_way_back_state() {
    let bed = Bed::open(&[]).await;
    let client = bed.client();
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &UP, &AT_25).await;
    let again = ["v1=100", "v1=90 v2=10", "v1=75 v2=25"];
    // A rollout: another pod behind the label, then it alone.
    let labels = json!({"app": NAME, "version": "v2"});
    ready_pod(client, &bed.namespace, "v2-new", labels, "10.1.0.9").await;
    run_image(client, &bed.namespace, "v2-new", "none.invalid/shop:2.1").await;
    let (v1, old) = (Endpoint::of("v1", "10.1.0.1"), Endpoint::of("v2", "10.1.0.2"));
    let new = || Endpoint::of("v2-new", "10.1.0.9");
    let slice = |endpoints: &[Endpoint<'_>]| here(endpoint_slice(client, &bed.namespace, NAME, NAME, endpoints));
    bed.leads_to(|_| slice(&[v1, old, new()]), &again, &AT_25).await;
    let change = "from none.invalid/none to none.invalid/none and none.invalid/shop:2.1";
    let journal = bed.live().unwrap().1;
    let back = journal.transitions.iter().rfind(|there| there.what == What::WentBack).unwrap();
    assert_eq!(back.note, format!("the images of v2 changed {change}: it walks again"));
    assert!(why(&bed).contains(&format!("; the images of version v2 changed {change}")), "{}", why(&bed));
    bed.leads_to(|_| slice(&[Endpoint::of("v1", "10.1.0.1"), new()]), &[], &AT_25).await;
    // In place, as `kubectl set image` does to a pod.
    let image = |image| here(run_image(client, &bed.namespace, "v2-new", image));
    bed.leads_to(|_| image("none.invalid/shop:2.2"), &again, &AT_25).await;
    // And what the walk goes back to is never doubted: a revert is at once.
    here(run_image(client, &bed.namespace, "v1", "none.invalid/shop:1.1"));
    bed.calm().await;
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &["v1=100"], &Phase::Settled).await;
    assert_eq!((bed.proven("v1"), bed.proven("v2")), (100, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_changes_behind_a_settled_label_loses_its_proof_and_moves_nothing() {
    let bed = Bed::open(&[NO_HOLDS, ("settle: {hold: 0s}", "settle: {hold: 5s}")]).await;
    let client = bed.client();
    bed.leads_to(|bed| drop(bed.edit("Everything to v2", &[TO_V2])), &WHOLE, &Phase::Settled).await;
    let image = |pod: &'static str, image: &'static str| here(run_image(client, &bed.namespace, pod, image));
    bed.leads_to(|_| image("v2", "none.invalid/shop:2.1"), &[], &Phase::Settled).await;
    let changes = || bed.live().unwrap().1.image_changes();
    assert!(changes().contains_key(&VersionName::new("v2")), "{:?}", changes());
    let said = why(&bed);
    let sentence = "the images of version v2 changed from none.invalid/none to none.invalid/shop:2.1: traffic stays";
    assert!(said.contains(sentence), "{said}");
    eventually("the proof to be back", SOON, || async { changes().is_empty() }).await;
    bed.calm().await;
    let last = bed.live().unwrap().1.transitions.last().cloned().unwrap();
    assert_eq!((last.what, last.note.as_str()), (What::Settled, "the images of v2 have stood `settle`"));
    // Labels that are used again: what is behind them walks.
    bed.leads_to(|_| image("v1", "none.invalid/shop:3"), &[], &Phase::Settled).await;
    let up = ["v1=10 v2=90", "v1=25 v2=75", "v1=50 v2=50", "v1=100"];
    bed.leads_to(|bed| drop(bed.repository.revert("HEAD")), &up, &Phase::Settled).await;
}
