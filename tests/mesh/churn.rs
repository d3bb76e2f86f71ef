//! Endpoints that change all the time make istiod gather changes for seconds before it tells the proxies: the hold of a
//! step has to wait for them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::bed::{Mesh, Place, SOON, listener_port, namespace, subset_weight};
use crate::support::kubernetes::{self, Recorded, Recorder};
use crate::support::repository::Repository;
use crate::support::workloads;

const NAMESPACE: &str = "churn";
const NAME: &str = "shop";
const HOLD: Duration = Duration::from_secs(2);
/// How often an endpoint of another Service changes.
const EVERY: Duration = Duration::from_millis(25);
/// How much later than the write the proxy has to have some step, for the test to mean anything.
const DELAYED: Duration = Duration::from_millis(1_500);

/// Law 7: a step is held from when the proxies have it, however long that takes.
pub async fn law_07_hold_time_starts_only_when_the_proxies_have_the_step(mesh: Arc<Mesh>) {
    let client = mesh.client().await;
    namespace(&client, NAMESPACE).await;
    let port = listener_port();
    workloads::service(&client, NAMESPACE, NAME, port, &["v1", "v2"], None).await;
    workloads::service(&client, NAMESPACE, "noise", port, &["v1"], None).await;
    let repository = Repository::empty();
    let plan = |traffic: &str| {
        let text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {NAME}, namespace: {NAMESPACE}}}\n\
             spec:\n  service: {NAME}\n  port: {port}\n  versions:\n    v1: {{labels: {{version: v1}}}}\n    \
             v2: {{labels: {{version: v2}}}}\n  traffic: {traffic}\n"
        );
        [("plans/shop.yaml", text)]
    };
    let at = Place { namespace: NAMESPACE, route: NAME, rule: NAME, versions: vec!["v1".into(), "v2".into()] };
    let _process = mesh.follow(&repository, NAMESPACE, &["--istiod", &mesh.istiod.url()]);
    let id = repository.commit("Begin", &plan("{v1: 100}"));
    mesh.settled(&client, &at, &id, &[&mesh.caller]).await;
    let recorder = Recorder::start(&client, NAMESPACE).await;
    let churn = Churn::start(&client);
    let walk = format!("{{v2: 100}}\n  steps: [{{weight: 10, hold: {HOLD:?}}}, {{weight: 50, hold: {HOLD:?}}}]");
    repository.commit("Walk", &plan(&walk));

    let mut delays = Vec::new();
    for (step, next) in [(10, 50), (50, 100)] {
        let written = wrote(&recorder, step).await;
        let mut not_yet = written;
        let there = loop {
            let asked = Instant::now();
            if tokio::task::block_in_place(|| subset_weight(&mesh.caller, NAMESPACE, NAME, "v2")) == Some(step) {
                break Instant::now();
            }
            not_yet = asked;
            let early = recorder.events().iter().any(|event| gives(event, next));
            assert!(!early, "step {next} was written while the proxy did not have step {step} yet");
            assert!(written.elapsed() < SOON, "the proxy does not get step {step}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let held = wrote(&recorder, next).await.saturating_duration_since(not_yet);
        assert!(held >= HOLD, "step {step} was held {held:?} of {HOLD:?} after the proxy did not have it yet");
        delays.push(there - written);
    }
    println!("proxies had the steps {delays:?} after they were written");
    assert!(delays.iter().any(|delay| *delay > DELAYED), "the churn delayed nothing: {delays:?}");
    drop(churn);
}

/// When the watch saw this weight of the new version.
async fn wrote(recorder: &Recorder, weight: u64) -> Instant {
    recorder.wait_for(SOON, |event| gives(event, weight)).await.at
}

fn gives(event: &Recorded, weight: u64) -> bool {
    event.kind == "VirtualService" && event.weights.contains(&("v2".to_owned(), weight))
}

/// Changes an endpoint all the time; dropped, it ends.
struct Churn(JoinHandle<()>);

impl Churn {
    fn start(client: &Client) -> Self {
        let entries = kubernetes::api(client, NAMESPACE, "networking.istio.io/v1", "WorkloadEntry");
        Self(tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            for weight in (1..=100).cycle() {
                ticks.tick().await;
                let patch = json!({"spec": {"weight": weight}});
                entries.patch("noise-v1", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
            }
        }))
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.0.abort();
    }
}
