//! A namespace with a service in three versions, its plan repository, a proxy, and an independent watch.

use std::time::Duration;

use kube::Client;
use serde_json::Value;
use tidegate::rollout::{Journal, Phase};

use crate::controlplane::ControlPlane;
use crate::kubernetes::{self, Recorder, eventually};
use crate::process::Process;
use crate::proxy::{CONTEXT, Proxy};
use crate::repository::Repository;

pub const SOON: Duration = Duration::from_secs(60);

pub struct Shop {
    pub client: Client,
    pub namespace: String,
    pub repository: Repository,
    pub proxy: Proxy,
    pub recorder: Recorder,
}

impl Shop {
    /// A shop in a namespace of its own, with these services.
    pub async fn open(prefix: &str, services: &[&str]) -> Self {
        let plane = ControlPlane::shared();
        let client = plane.client().await;
        let namespace = kubernetes::namespace(&client, prefix).await;
        kubernetes::ready_services(&client, &namespace, services).await;
        let recorder = Recorder::start(&client, &namespace).await;
        let proxy = Proxy::start(&plane.kubeconfig_text()).await;
        Self { client, namespace, repository: Repository::empty(), proxy, recorder }
    }

    /// Starts the binary on this shop.
    pub fn start(&self) -> Process {
        self.start_with(&[])
    }

    /// The same with more variables in its environment.
    pub fn start_with(&self, environment: &[(String, String)]) -> Process {
        let (repository, kubeconfig) = (self.repository.location(), self.proxy.kubeconfig().display().to_string());
        let arguments = [
            "run",
            "--repo",
            &repository,
            "--repo-name",
            &self.namespace,
            "--kubeconfig",
            &kubeconfig,
            "--context",
            CONTEXT,
            "--convergence-wait",
            "100ms",
            "--git-notes",
        ];
        Process::start_with(self.repository.home(), &arguments, environment)
    }

    /// Commits the plan of a service; `spec` is what stands beside service and labels.
    pub fn plan(&self, service: &str, spec: &str) {
        self.repository.commit(spec, &[(format!("plans/{service}.yaml"), plan(&self.namespace, service, spec))]);
    }

    /// The last state of a VirtualService that the independent watch saw.
    pub fn live(&self, service: &str) -> Option<Value> {
        let last = self.recorder.events().into_iter().rev();
        last.filter(|event| event.kind == "VirtualService" && event.name == service).map(|event| event.object).next()
    }

    pub fn journal(&self, service: &str) -> Option<Journal> {
        Journal::on(&self.live(service)?).and_then(Result::ok)
    }

    /// Waits until the watch has seen these weights as the last ones.
    pub async fn until_live(&self, service: &str, weights: &[(&str, u64)]) {
        let wanted: Vec<_> = weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight)).collect();
        let there = || async { self.live(service).is_some_and(|live| kubernetes::weights(&live) == wanted) };
        eventually(&format!("{service} at {weights:?}"), SOON * 2, there).await;
    }

    /// The position that the repository's notes have of a plan.
    pub fn noted(&self, service: &str) -> Option<Journal> {
        let place = format!("refs/notes/tidegate:positions/{0}/{0}/{service}/{CONTEXT}", self.namespace);
        let shown = self.repository.command(&["show", &place]).output().unwrap();
        let text = shown.status.success().then(|| String::from_utf8(shown.stdout).unwrap())?;
        Some(Journal::decode(&text).unwrap())
    }

    /// Waits until these weights are settled and the journal's copy is written.
    pub async fn until_settled(&self, service: &str, weights: &[(&str, u64)]) {
        self.until_live(service, weights).await;
        let settled = || async {
            let copied = self.recorder.events().into_iter().rev().find(|event| event.kind == "DestinationRule");
            let copied = copied.and_then(|event| Journal::on(&event.object)).and_then(Result::ok);
            let journal = self.journal(service);
            let is = |journal: &Journal| journal.phase == Phase::Settled;
            journal.as_ref().is_some_and(is)
                && copied.map(|copied| copied.settled) == journal.map(|journal| journal.settled)
        };
        eventually(&format!("{service} settled at {weights:?}"), SOON, settled).await;
    }
}

/// A plan of three versions.
pub fn plan(namespace: &str, service: &str, spec: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {service}, namespace: {namespace}}}\n\
         spec:\n  service: {service}\n  from: {{v1: 100}}\n{spec}\n"
    )
}
