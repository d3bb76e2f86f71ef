//! `tidegate stop`: the break glass.

use kube::{
    Api, Client, Config,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    config::Kubeconfig,
};
use tidegate::rollout::{Phase, STOP, WAY_BACK};

use crate::bed::{Bed, eventually};

const STEPS: &str = "from: {v1: 100}\n  steps: [{weight: 10, hold: 1h}, {weight: 50, hold: 1h}]";

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_goes_back_and_stays_until_it_is_taken_off() {
    let bed = Bed::open().await;
    let process = bed.start();
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    bed.until_settled("web", "v1=100").await;
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
    bed.until_weights("web", "v1=90 v2=10").await;
    let stop = bed.ask(&["stop", "shop/web", "--reason", "ada: errors at checkout"]).await;
    assert_eq!((stop.code, stop.stderr.as_str()), (0, ""));
    assert_eq!(
        stop.stdout,
        "stopped shop/web: VirtualService shop/web carries tidegate.dev/stop\n\
         tidegate takes it off once Git asks for what traffic went back to\n\
         by hand, for the next commit to rise: kubectl -n shop annotate virtualservice web tidegate.dev/stop-\n"
    );
    bed.until_weights("web", "v1=100").await;
    let why = bed.ask(&["why", "web"]).await;
    assert!(why.stdout.contains("ada: errors at checkout"), "{}", why.stdout);
    // A commit that asks for the same again is read, and does not make it rise.
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 50, v2: 50}}"));
    let tip = bed.repository.tip();
    eventually("the commit is read", || process.log().contains(&tip)).await;
    bed.plan("api", "traffic: {v1: 100}");
    bed.until_settled("api", "v1=100").await;
    assert_eq!(bed.weights("web"), "v1=100");
    // As kubectl does it.
    let mut live = bed.live("web").unwrap();
    live["metadata"]["annotations"].as_object_mut().unwrap().remove(STOP).unwrap();
    bed.store().put(live).unwrap();
    bed.until_weights("web", "v1=90 v2=10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_cannot_be_stopped() {
    let bed = Bed::open().await;
    let stop = bed.ask(&["stop", "web", "--reason", "x"]).await;
    assert_eq!((stop.code, stop.stdout.as_str()), (2, ""));
    assert!(stop.stderr.starts_with("error: no plan `web` is applied in this cluster"), "{}", stop.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_on_the_route_is_taken_without_tidegate_and_kept_with_it() {
    let bed = Bed::open().await;
    let mut process = bed.start();
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v1: 100}}"));
    bed.until_settled("web", "v1=100").await;
    bed.plan("web", &format!("{STEPS}\n  traffic: {{v2: 100}}"));
    bed.until_held("web", "v1=90 v2=10").await;
    process.kill().await;
    // As `kubectl patch --type=json` sends it.
    let live = bed.live("web").unwrap();
    let patch = live["metadata"]["annotations"][WAY_BACK].as_str().expect("a way back");
    let patch: Patch<()> = Patch::Json(serde_json::from_str(patch).unwrap());
    let kubeconfig = Kubeconfig::read_from(bed.kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &Default::default()).await.unwrap();
    let client = Client::try_from(config).unwrap();
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("networking.istio.io", "v1", "VirtualService"));
    let routes: Api<DynamicObject> = Api::namespaced_with(client, "shop", &kind);
    routes.patch("web", &PatchParams::default(), &patch).await.unwrap();
    assert_eq!(bed.weights("web"), "v1=100");
    let process = bed.start();
    eventually("it is understood", || {
        bed.journal("web").is_some_and(|journal| matches!(journal.phase, Phase::WentBack { .. }))
    })
    .await;
    let restore = bed.journal("web").unwrap().restore.expect("Git is to follow");
    assert!(restore.to.is_some() && restore.reason.starts_with("weights were lowered by hand"), "{restore:?}");
    eventually("the commit is tried where the branch is checked out", || {
        process.log().contains("the push was refused")
    })
    .await;
    let why = bed.ask(&["why", "web"]).await;
    assert!(why.stdout.contains("went back: weights were lowered by hand"), "{}", why.stdout);
    assert_eq!(bed.weights("web"), "v1=100");
    assert!(bed.live("web").unwrap()["metadata"]["annotations"][WAY_BACK].is_null());
}
