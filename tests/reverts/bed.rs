//! A service in three versions, its plan in a repository, the binary between both, and what a watch saw of it.

use std::time::{Duration, Instant};

use kube::Client;
use kube::api::ListParams;
use serde_json::{Value, json};
use tidegate::rollout::{Journal, Phase};

use crate::process::Process;
use crate::support::controlplane::ControlPlane;
use crate::support::kubernetes::{self, Endpoint, Recorder, endpoint_slice, eventually, ready_pod, service};
use crate::support::repository::Repository;
use crate::support::world::CONVERGENCE_WAIT;
use crate::timeline::{self, Change};

const SOON: Duration = Duration::from_secs(60);
/// Longer than whatever still follows weights: the drain of a subset is two convergence waits.
const CALM: Duration = Duration::from_millis(800);
const KINDS: [&str; 2] = ["VirtualService", "DestinationRule"];

/// The file of the plan.
pub const FILE: &str = "plans/shop.yaml";
/// The name of the service, of its plan and of both objects.
pub const NAME: &str = "shop";

/// The plan of all cases. A walk stays at 25; what commits change stands apart, so that reverts of one do not
/// conflict with others.
const PLAN: &str = "\
apiVersion: tidegate.dev/v1alpha1
kind: CanaryPlan
metadata: {name: shop, namespace: NAMESPACE}
spec:
  service: shop
  versions:
    v1: {labels: {version: v1}}
    v2: {labels: {version: v2}}
    # The third is not born yet.
  from: {v1: 100}
  steps:
    - {weight: 10, hold: 0s}
    - {weight: 25, hold: 1h}
    - {weight: 50, hold: 1h}
  # What the target has to pass.
  settle: {hold: 0s}
  # Where callers go.
  traffic: {v1: 100}
  # How they go.
  http: {timeout: 10s}
  # Who may interfere.
  pause: false
";

/// An edit of the plan: what stands there, and what takes its place.
pub type Edit = (&'static str, &'static str);

/// Sends everything to v2, by the steps.
pub const TO_V2: Edit = ("traffic: {v1: 100}", "traffic: {v2: 100}");
/// Lets a walk pass all steps.
pub const NO_HOLDS: Edit = ("hold: 1h", "hold: 0s");

/// One case.
pub struct Bed {
    pub repository: Repository,
    pub namespace: String,
    client: Client,
    kubeconfig: String,
    recorder: Recorder,
    process: Process,
}

impl Bed {
    /// The plan with these edits, live and settled on v1.
    pub async fn open(edits: &[Edit]) -> Self {
        Self::open_with(edits, &[]).await
    }

    /// The same, with more flags of `tidegate run`.
    pub async fn open_with(edits: &[Edit], flags: &[&str]) -> Self {
        let plane = tokio::task::spawn_blocking(ControlPlane::shared).await.unwrap();
        let client = plane.client().await;
        let namespace = kubernetes::namespace(&client, "reverts").await;
        service(&client, &namespace, NAME, 8080).await;
        let pods: Vec<_> = (1..=3).map(|v| (format!("v{v}"), format!("10.1.0.{v}"))).collect();
        for (version, ip) in &pods {
            ready_pod(&client, &namespace, version, json!({"app": NAME, "version": version}), ip).await;
        }
        let endpoints: Vec<_> = pods.iter().map(|(pod, ip)| Endpoint::of(pod, ip)).collect();
        endpoint_slice(&client, &namespace, NAME, NAME, &endpoints).await;
        let recorder = Recorder::start(&client, &namespace).await;
        let repository = Repository::empty();
        let plan = edits.iter().fold(PLAN.replace("NAMESPACE", &namespace), |text, (from, to)| text.replace(from, to));
        repository.commit("Everything to v1", &[(FILE, plan)]);
        let (kubeconfig, wait) = (plane.kubeconfig().display().to_string(), format!("{CONVERGENCE_WAIT:?}"));
        let location = repository.location();
        let run = ["run", "--repo", &location, "--repo-name", &namespace, "--convergence-wait", &wait];
        let on = ["--kubeconfig", &kubeconfig, "--context", "testbed"];
        let process = Process::start(repository.home(), &[&run[..], &on, flags].concat());
        let bed = Self { repository, namespace, client, kubeconfig, recorder, process };
        bed.until("v1=100", &Phase::Settled).await;
        bed
    }

    /// A client of the API server.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The file by which to reach it.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig.clone()
    }

    /// Commits the plan with these edits; each must find its place.
    pub fn edit(&self, message: &str, edits: &[Edit]) -> String {
        self.write(edits);
        self.repository.commit_all(message)
    }

    /// Edits the plan in the working tree alone.
    pub fn write(&self, edits: &[Edit]) {
        let mut text = std::fs::read_to_string(self.repository.path().join(FILE)).unwrap();
        for (from, to) in edits {
            assert!(text.contains(from), "{from} is not in {text}");
            text = text.replace(from, to);
        }
        self.repository.write(FILE, text);
    }

    /// Waits until the plan of the tip is in force in this phase, at these weights, and nothing is written any more.
    pub async fn until(&self, weights: &str, phase: &Phase) {
        let what = format!("{weights} and {phase:?} by the tip");
        let holds = || async {
            let Some((live, journal)) = self.live() else { return false };
            timeline::weights(&live["spec"]) == weights && journal.phase == *phase && self.in_force(&journal).await
        };
        let shown = || self.live().map(|(live, journal)| (timeline::weights(&live["spec"]), journal.phase));
        let reached = tokio::time::timeout(SOON, async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(reached.await.is_ok(), "not {what}: {:?}\n{}", shown(), self.process.log());
        self.calm().await;
    }

    /// Whether the journal speaks of the plan as it is at the tip; of one that is not there, that it is let go.
    async fn in_force(&self, journal: &Journal) -> bool {
        let Ok(text) = self.repository.command(&["show", &format!("HEAD:{FILE}")]).output() else { return false };
        if !text.status.success() {
            return matches!(journal.phase, Phase::Released { .. });
        }
        let parsed = tidegate::plan::parse_file(FILE, &text.stdout);
        parsed.documents.iter().any(|(document, _)| match document {
            tidegate::plan::Document::Plan(plan) => plan.digest == journal.plan.digest,
            tidegate::plan::Document::Object(_) => false,
        })
    }

    /// Waits until nothing has been written for longer than anything takes.
    pub async fn calm(&self) {
        let (end, mut seen) = (Instant::now() + SOON, usize::MAX);
        while seen != self.recorder.events().len() {
            assert!(Instant::now() < end, "still written after {SOON:?}: {}", self.process.log());
            seen = self.recorder.events().len();
            tokio::time::sleep(CALM).await;
        }
    }

    /// Waits until the reason of the plan is of this name, as `tidegate status` would tell it.
    pub async fn until_reason(&self, reason: &str) {
        eventually(reason, SOON, || async { self.process.log().contains(reason) }).await;
    }

    /// Does something to the repository, waits until that has led to this phase, and checks that the watch saw exactly
    /// these weights from the commit on; returns all changes of both objects.
    pub async fn leads_to(&self, act: impl FnOnce(&Self), weights: &[&str], phase: &Phase) -> Vec<Change> {
        let from = self.newest().await;
        let standing = timeline::weights(&self.live().unwrap().0["spec"]);
        act(self);
        self.until(weights.last().unwrap_or(&standing.as_str()), phase).await;
        self.saw(from, weights)
    }

    /// Checks the weights that the watch saw after a resourceVersion, and every single write of this case.
    fn saw(&self, from: u64, weights: &[&str]) -> Vec<Change> {
        let events = timeline::events(&self.recorder);
        timeline::check_every_write(&events);
        let passed = events.iter().take_while(|event| version(&event.object) <= from).count();
        let changes = timeline::changes(&events, passed);
        let standing = events[..passed].iter().rev().find(|event| event.kind == KINDS[0]);
        let mut walk: Vec<String> =
            standing.map(|event| timeline::weights(&event.object["spec"])).into_iter().collect();
        walk.extend(changes.iter().filter(|change| change.kind == KINDS[0]).map(|change| change.what.clone()));
        walk.dedup();
        assert_eq!(walk.get(1..).unwrap_or_default(), weights, "{}", self.process.log());
        changes
    }

    /// The greatest resourceVersion of both objects.
    pub async fn newest(&self) -> u64 {
        let mut newest = 0;
        for kind in KINDS {
            let api = kubernetes::api(&self.client, &self.namespace, "networking.istio.io/v1", kind);
            let list = api.list(&ListParams::default()).await.unwrap();
            let versions = list.items.iter().map(|object| object.metadata.resource_version.clone().unwrap());
            newest = versions.map(|version| version.parse().unwrap()).chain([newest]).max().unwrap();
        }
        newest
    }

    /// The last VirtualService that the watch saw, with its journal.
    pub fn live(&self) -> Option<(Value, Journal)> {
        let events = timeline::events(&self.recorder);
        let live = events.into_iter().rev().find(|event| event.kind == KINDS[0] && !event.deleted)?.object;
        let journal = Journal::on(&live)?.ok()?;
        Some((live, journal))
    }

    /// The spec of the VirtualService.
    pub fn spec(&self) -> Value {
        self.live().unwrap().0["spec"].clone()
    }

    /// What a version has proven.
    pub fn proven(&self, name: &str) -> u8 {
        let journal = self.live().unwrap().1;
        journal.proof.iter().find(|(version, _)| version.as_str() == name).map_or(0, |(_, proof)| proof.weight)
    }
}

fn version(object: &Value) -> u64 {
    object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap()
}
