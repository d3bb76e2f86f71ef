//! Replicas of the real binary, each behind a proxy of its own, before one API server that an independent watch sees.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::rollout::{Journal, Phase};

use crate::process::{self, Process};
use crate::proxy::{CONTEXT, Kind, Proxy};
use crate::support::controlplane::ControlPlane;
use crate::support::git_http::GitHttp;
use crate::support::kubernetes::{self, Recorder, eventually};
use crate::support::repository::Repository;

pub const SOON: Duration = Duration::from_secs(60);
pub const LEASE: &str = "plans";
const AUTHOR: &str = "Tide <tide@example.com>";

/// One replica.
pub struct Replica {
    pub name: String,
    pub proxy: Proxy,
    process: Process,
    home: PathBuf,
}

pub struct Bed {
    pub client: Client,
    pub namespace: String,
    pub repository: Repository,
    pub recorder: Recorder,
    location: String,
    bare: String,
    _server: Option<GitHttp>,
}

impl Bed {
    /// A namespace with the Service `web`, whose plan is in a bare repository of this machine; nothing runs yet.
    pub async fn open(prefix: &str) -> Self {
        Self::prepare(prefix, false).await
    }

    /// The same, and the repository is served over HTTP: nobody is told of a push.
    pub async fn open_over_http(prefix: &str) -> Self {
        Self::prepare(prefix, true).await
    }

    async fn prepare(prefix: &str, http: bool) -> Self {
        let plane = tokio::task::spawn_blocking(ControlPlane::shared).await.unwrap();
        let client = plane.client().await;
        let namespace = kubernetes::namespace(&client, prefix).await;
        kubernetes::ready_services(&client, &namespace, &["web"]).await;
        let recorder = Recorder::start(&client, &namespace).await;
        let repository = Repository::empty();
        repository.commit("all to v1", &[("plans/web.yaml", text(&namespace, "  traffic: {v1: 100}"))]);
        let bare = repository.bare().display().to_string();
        let server = http.then(|| GitHttp::start(repository.home()));
        let location = server.as_ref().map_or_else(|| bare.clone(), |server| server.url("origin.git"));
        Self { client, namespace, repository, recorder, location, bare, _server: server }
    }

    /// Commits another plan and pushes it; returns when that was.
    pub fn plan(&self, spec: &str) -> Instant {
        self.repository.commit(spec, &[("plans/web.yaml", text(&self.namespace, spec))]);
        self.repository.push(false);
        Instant::now()
    }

    /// Reverts the last commit and pushes that.
    pub fn revert(&self) -> Instant {
        self.repository.revert("HEAD");
        self.repository.push(false);
        Instant::now()
    }

    /// Starts a replica of this name.
    pub async fn start(&self, name: &str) -> Replica {
        self.start_with(name, &[]).await
    }

    /// The same with more flags.
    pub async fn start_with(&self, name: &str, flags: &[&str]) -> Replica {
        let mut arguments = vec![
            "--repo",
            &self.location,
            "--repo-name",
            &self.namespace,
            "--git-author",
            AUTHOR,
            "--leader-elect",
            "--lease-namespace",
            &self.namespace,
            "--lease-name",
            LEASE,
        ];
        arguments.extend(flags);
        self.launch(name, &arguments).await
    }

    /// Starts a guard of this name, which knows of no repository and no lease.
    pub async fn guard(&self, name: &str) -> Replica {
        self.launch(name, &["--guard"]).await
    }

    async fn launch(&self, name: &str, flags: &[&str]) -> Replica {
        let proxy = Proxy::start(&ControlPlane::shared().kubeconfig_text()).await;
        let home = self.repository.home().join(name);
        std::fs::create_dir_all(&home).unwrap();
        let kubeconfig = proxy.kubeconfig().display().to_string();
        let mut arguments = vec!["run", "--kubeconfig", &kubeconfig, "--context", CONTEXT];
        arguments.extend(["--convergence-wait", "100ms", "--listen", "127.0.0.1:0"]);
        arguments.extend(flags);
        let process = Process::start_with(&home, &arguments, &[("POD_NAME".to_owned(), name.to_owned())]);
        Replica { name: name.to_owned(), proxy, process, home }
    }

    /// Two replicas, the first of which leads, settled on v1.
    pub async fn pair(&self) -> (Replica, Replica) {
        let one = self.start("one").await;
        self.until_leads("one").await;
        let two = self.start("two").await;
        self.until_settled(&[("v1", 100)]).await;
        two.until_ready().await;
        (one, two)
    }

    /// The Lease's `spec`.
    pub async fn lease(&self) -> Value {
        let api = kubernetes::api(&self.client, &self.namespace, "coordination.k8s.io/v1", "Lease");
        let lease = api.get_opt(LEASE).await.unwrap();
        lease.map_or(Value::Null, |lease| lease.data["spec"].clone())
    }

    /// Who holds the lease, by the name that it was started with.
    pub async fn leader(&self) -> String {
        let holder = self.lease().await["holderIdentity"].as_str().unwrap_or_default().to_owned();
        holder.rsplit_once('_').map_or(String::new(), |(name, _)| name.to_owned())
    }

    pub async fn until_leads(&self, name: &str) {
        eventually(&format!("{name} leads"), SOON, || async { self.leader().await == name }).await;
    }

    /// When somebody else than this one holds the lease.
    pub async fn followed(&self, name: &str) -> Instant {
        let end = Instant::now() + SOON;
        loop {
            let leader = self.leader().await;
            if !leader.is_empty() && leader != name {
                return Instant::now();
            }
            assert!(Instant::now() < end, "nobody follows {name}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Puts an annotation on the VirtualService.
    pub async fn annotate(&self, name: &str, text: &str) -> Instant {
        let api = kubernetes::api(&self.client, &self.namespace, "networking.istio.io/v1", "VirtualService");
        let patch = Patch::Merge(json!({"metadata": {"annotations": {name: text}}}));
        api.patch("web", &PatchParams::default(), &patch).await.unwrap();
        Instant::now()
    }

    /// The last state of the VirtualService that the independent watch saw.
    pub fn live(&self) -> Option<Value> {
        let events = self.recorder.events().into_iter().rev();
        events.filter(|event| event.kind == "VirtualService").map(|event| event.object).next()
    }

    pub fn journal(&self) -> Option<Journal> {
        Journal::on(&self.live()?).and_then(Result::ok)
    }

    /// The weights that v2 had, in order, each with when it was seen.
    pub fn walk(&self) -> Vec<(u64, Instant)> {
        let mut walk: Vec<(u64, Instant)> = Vec::new();
        for event in self.recorder.events().into_iter().filter(|event| event.kind == "VirtualService") {
            let weight = v2(&event.object);
            if walk.last().is_none_or(|(last, _)| *last != weight) {
                walk.push((weight, event.at));
            }
        }
        walk
    }

    pub fn weights(&self) -> Vec<u64> {
        self.walk().into_iter().map(|(weight, _)| weight).collect()
    }

    /// The terms that the journal had, in order.
    pub fn terms(&self) -> Vec<u64> {
        let events = self.recorder.events().into_iter().filter(|event| event.kind == "VirtualService");
        let mut terms: Vec<u64> = events.filter_map(|event| Some(Journal::on(&event.object)?.ok()?.term)).collect();
        terms.dedup();
        terms
    }

    /// When v2 was first seen at this weight after an instant.
    pub async fn entered(&self, weight: u64, after: Instant) -> Instant {
        let found = || self.walk().into_iter().find(|(there, at)| *there == weight && *at > after);
        eventually(&format!("v2 at {weight}, and not {:?}", self.weights()), SOON * 2, || async { found().is_some() })
            .await;
        found().unwrap().1
    }

    /// When the weight of v2 changed first after an instant.
    pub async fn moved(&self, after: Instant) -> Instant {
        let found = || self.walk().into_iter().find(|(_, at)| *at > after);
        eventually("another weight", SOON, || async { found().is_some() }).await;
        found().unwrap().1
    }

    pub async fn until_settled(&self, weights: &[(&str, u64)]) {
        let wanted: Vec<_> = weights.iter().map(|(version, weight)| ((*version).to_owned(), *weight)).collect();
        let settled = || async {
            let there = self.live().is_some_and(|live| kubernetes::weights(&live) == wanted);
            there && self.journal().is_some_and(|journal| journal.phase == Phase::Settled)
        };
        eventually(&format!("settled at {weights:?}"), SOON * 2, settled).await;
    }

    /// The subjects of the branch, newest first.
    pub fn subjects(&self) -> Vec<String> {
        let log = self.repository.git(&["--git-dir", &self.bare, "log", "--format=%an %s", "main"]);
        log.lines().map(str::to_owned).collect()
    }

    /// The commits of the branch that a replica made.
    pub fn restores(&self) -> usize {
        self.subjects().iter().filter(|line| line.starts_with("Tide ")).count()
    }
}

/// The plan of `web`.
fn text(namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  \
         service: web\n  from: {{v1: 100}}\n  versions: {{v1: {{labels: {{version: v1}}}}, v2: {{labels: {{version: \
         v2}}}}}}\n{spec}\n"
    )
}

fn v2(route: &Value) -> u64 {
    kubernetes::weights(route).iter().find(|(version, _)| version == "v2").map_or(0, |(_, weight)| *weight)
}

impl Replica {
    async fn signal(&self, signal: &str) {
        let kill = ["-c", "kill -$0 \"$1\"", signal, &self.process.id()];
        assert!(tokio::process::Command::new("sh").args(kill).status().await.unwrap().success());
    }

    pub async fn freeze(&self) {
        self.signal("STOP").await;
    }

    pub async fn wake(&self) {
        self.signal("CONT").await;
    }

    pub async fn kill(mut self) -> Instant {
        self.process.kill().await;
        Instant::now()
    }

    pub async fn terminate(&self) -> Instant {
        self.process.terminate().await;
        Instant::now()
    }

    /// Waits for its end.
    pub async fn ended(mut self) {
        assert_eq!(self.process.ended(Duration::from_secs(20)).await, 0, "{}", self.process.log());
    }

    /// How many writes of weights of this replica the API server has done.
    pub fn raises(&self) -> usize {
        self.proxy.done().iter().filter(|kind| **kind == Kind::Weights).count()
    }

    pub fn log(&self) -> String {
        self.process.log()
    }

    async fn server(&self) -> Option<String> {
        let log = self.process.log();
        let address = log.lines().rev().find_map(|line| line.split_once("listening address="))?.1.to_owned();
        Some(format!("http://{}", address.split_whitespace().next()?))
    }

    /// `status -o json` of this replica.
    pub async fn status(&self) -> Value {
        let Some(server) = self.server().await else { return Value::Null };
        let answer = process::run(&self.home, &["status", "--server", &server, "-o", "json"]).await;
        serde_json::from_str(&answer.stdout).unwrap_or(Value::Null)
    }

    pub async fn until_ready(&self) {
        let ready = || async { self.status().await["ready"] == true };
        eventually(&format!("{} is ready", self.name), SOON, ready).await;
    }

    /// Until this replica says that this one holds the lease, and that it does not.
    pub async fn until_holder(&self, name: &str) {
        let is = || async {
            let lease = &self.status().await["lease"];
            let holder = lease["holder"].as_str().unwrap_or_default();
            lease["leads"] == false && holder.starts_with(&format!("{name}_"))
        };
        eventually(&format!("{} knows that {name} leads", self.name), SOON, is).await;
    }

    pub async fn until_reason(&self, name: &str) -> Value {
        let is = || async { self.status().await["plans"][0]["reason"]["name"] == name };
        eventually(&format!("{} says {name}", self.name), SOON, is).await;
        self.status().await
    }
}
