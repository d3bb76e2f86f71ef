//! A namespace with services in three versions, their plans, the binary on them, and hands that write as others.

use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::rollout::{Journal, Phase};

use crate::controlplane::ControlPlane;
use crate::kubernetes::{self, Recorded, Recorder, eventually};
use crate::process::{Answer, Process, run};
use crate::repository::Repository;

pub const SOON: Duration = Duration::from_secs(60);
pub const ROUTE: &str = "VirtualService";
pub const RULE: &str = "DestinationRule";
/// The services whose DestinationRules have to carry a copy of the journal.
pub const COPIED: [&str; 2] = ["copy", "copy-gone"];

pub struct Bed<'a> {
    plane: &'a ControlPlane,
    pub client: Client,
    pub namespace: String,
    pub repository: Repository,
    pub recorder: Recorder,
}

impl<'a> Bed<'a> {
    /// A namespace of its own with these services.
    pub async fn open(plane: &'a ControlPlane, services: &[&str]) -> Self {
        let client = plane.client().await;
        let namespace = kubernetes::namespace(&client, "drift").await;
        kubernetes::ready_services(&client, &namespace, services).await;
        let recorder = Recorder::start(&client, &namespace).await;
        Self { plane, client, namespace, repository: Repository::empty(), recorder }
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let kubeconfig = self.plane.kubeconfig().display().to_string();
        let on = ["--kubeconfig", &kubeconfig, "--context", "testbed"];
        arguments.iter().chain(&on).map(|text| (*text).to_owned()).collect()
    }

    /// Starts the binary on this namespace's repository.
    pub fn start(&self) -> Process {
        let location = self.repository.location();
        let run = ["run", "--repo", &location, "--repo-name", &self.namespace, "--convergence-wait", "100ms"];
        Process::start(self.repository.home(), &self.arguments(&run))
    }

    /// Runs another command of the binary.
    pub async fn ask(&self, arguments: &[&str]) -> Answer {
        run(self.repository.home(), &self.arguments(arguments)).await
    }

    /// Commits the plans of services with the same lines of `spec`.
    pub fn plan(&self, services: &[&str], spec: &str) {
        let files: Vec<(String, String)> = services
            .iter()
            .map(|service| {
                let head = "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan";
                let versions =
                    "{v1: {labels: {version: v1}}, v2: {labels: {version: v2}}, v3: {labels: {version: v3}}}";
                let plan = format!(
                    "{head}\nmetadata: {{name: {service}, namespace: {}}}\nspec:\n  service: {service}\n  versions: \
                     {versions}\n  from: {{v1: 100}}\n{spec}\n",
                    self.namespace
                );
                (format!("plans/{service}.yaml"), plan)
            })
            .collect();
        self.repository.commit(spec, &files);
    }

    /// The last state of an object that the independent watch saw.
    pub fn live(&self, kind: &str, name: &str) -> Option<Value> {
        let last = self.recorder.events().into_iter().rev().find(|event| event.kind == kind && event.name == name);
        last.filter(|event| !event.deleted).map(|event| event.object)
    }

    /// Waits until each service is at these weights and in this phase, with everything written that comes with it.
    pub async fn until(&self, services: &[&str], weights: &[(&str, u64)], phase: &Phase) {
        let wanted: Vec<_> = weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight)).collect();
        for service in services {
            let there = || async {
                let Some(live) = self.live(ROUTE, service) else { return false };
                let copied = || self.live(RULE, service).is_some_and(|rule| Journal::on(&rule).is_some());
                let whole = match phase {
                    Phase::Settled => copied(),
                    _ => true,
                };
                kubernetes::weights(&live) == wanted
                    && Journal::on(&live).and_then(Result::ok).is_some_and(|journal| {
                        journal.phase == *phase && (*phase == Phase::Settled || journal.converged.is_some())
                    })
                    && whole
            };
            eventually(&format!("{service} at {weights:?} and {phase:?}"), SOON, there).await;
        }
    }

    pub fn api(&self, kind: &str) -> Api<DynamicObject> {
        kubernetes::api(&self.client, &self.namespace, "networking.istio.io/v1", kind)
    }

    /// Changes an object as this field manager does: what of it the patch gives, as `kubectl edit` would.
    pub async fn edit(&self, kind: &str, name: &str, manager: &str, patch: &Value) {
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        self.api(kind).patch(name, &params, &Patch::Merge(patch)).await.unwrap();
    }

    /// Applies an object server-side with force, as GitOps tools do.
    pub async fn apply(&self, kind: &str, name: &str, manager: &str, spec: &Value) {
        let object = json!({"apiVersion": "networking.istio.io/v1", "kind": kind,
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec});
        self.api(kind).patch(name, &PatchParams::apply(manager).force(), &Patch::Apply(&object)).await.unwrap();
    }

    /// How long after `done` both objects of a service were as they had been `before`, once each of the kinds that a
    /// hand struck was seen to be other, by the events from `passed` on.
    pub async fn repaired(
        &self,
        name: &str,
        before: &[Value; 2],
        struck: &[&str],
        passed: usize,
        done: Instant,
    ) -> Duration {
        let end = Instant::now() + SOON;
        loop {
            if let Some(at) = repaired_at(name, &self.recorder.events(), passed, struck, before) {
                return at.saturating_duration_since(done);
            }
            let live = [ROUTE, RULE].map(|kind| self.live(kind, name).map(|live| essence(kind, &live)));
            assert!(Instant::now() < end, "{name} is not repaired: {live:#?}, it was {before:#?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Both objects as they matter.
    pub fn both(&self, name: &str) -> [Value; 2] {
        [ROUTE, RULE].map(|kind| essence(kind, &self.live(kind, name).unwrap()))
    }
}

/// What of an object tidegate makes: its spec, label, owner, and the position in its journal. A copy of a journal that
/// was written in mid-walk is none to go by, so one on a DestinationRule that is lost then comes with the next settling.
pub fn essence(kind: &str, object: &Value) -> Value {
    let mut spec = object["spec"].clone();
    if let Some(subsets) = spec["subsets"].as_array_mut() {
        subsets.sort_by_key(|subset| subset["name"].as_str().map(str::to_owned));
    }
    let journal = match Journal::on(object) {
        Some(Ok(journal)) => json!([journal.phase.name(), journal.state.traffic.to_string()]),
        Some(Err(error)) => json!(error.to_string()),
        None => Value::Null,
    };
    let walks = kind == RULE && !COPIED.iter().any(|name| object["metadata"]["name"] == *name);
    let journal = if walks { Value::Null } else { journal };
    let metadata = &object["metadata"];
    let label = &metadata["labels"]["app.kubernetes.io/managed-by"];
    json!({"spec": spec, "label": label, "owner": metadata["annotations"]["tidegate.dev/plan"], "journal": journal})
}

/// When both objects were as before again, after each that was struck had been other.
fn repaired_at(
    name: &str,
    events: &[Recorded],
    passed: usize,
    struck: &[&str],
    before: &[Value; 2],
) -> Option<Instant> {
    let mut now = before.clone().map(Some);
    let mut unseen = struck.to_vec();
    let mut whole_at = None;
    for event in events.iter().skip(passed).filter(|event| event.name == name) {
        let place = usize::from(event.kind == RULE);
        now[place] = (!event.deleted).then(|| essence(event.kind, &event.object));
        if now[place].as_ref() != Some(&before[place]) {
            unseen.retain(|kind| *kind != event.kind);
        }
        let whole = now.iter().zip(before).all(|(now, before)| now.as_ref() == Some(before));
        whole_at = if whole { whole_at.or(Some(event.at)) } else { None };
    }
    whole_at.filter(|_| unseen.is_empty())
}
