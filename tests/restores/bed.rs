//! Services in two versions, their plans in a bare repository, the binary between both, and what a watch saw.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use kube::Client;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::rollout::{Journal, Phase};

use crate::process::{self, Process};
use crate::support::controlplane::ControlPlane;
use crate::support::git_http::GitHttp;
use crate::support::kubernetes::{self, Endpoint, Recorder, endpoint_slice, ready_pod, service};
use crate::support::repository::Repository;
use crate::tools::{kubectl, printed};

pub const SOON: Duration = Duration::from_secs(60);
pub const STOP: &str = "tidegate.dev/stop";
/// From v1 to v2, up to where the walks stay.
pub const UP: [&str; 2] = ["v1=90 v2=10", "v1=75 v2=25"];
/// A field that the API server does not know and refuses.
pub const REFUSED: (&str, &str) = ("timeout: 10s", "timeout: 10s, fromTheFuture: 7");
/// Sends everything to v2.
pub const TO_V2: (&str, &str) = ("traffic: {v1: 100}", "traffic: {v2: 100}");

/// The plan of a service.
pub fn plan(namespace: &str, name: &str) -> String {
    format!(
        "# Who asks for {name}: the team of {name}.
apiVersion: tidegate.dev/v1alpha1
kind: CanaryPlan
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  service: {name}
  versions:
    v1: {{labels: {{version: v1}}}}
    v2: {{labels: {{version: v2}}}}   # the new one
  from: {{v1: 100}}
  steps: [{{weight: 10, hold: 0s}}, {{weight: 25, hold: 1h}}]
  settle: {{hold: 0s}}
  http: {{timeout: 10s}}
  traffic: {{v1: 100}}   # where callers go
"
    )
}

/// Plans in a repository, live.
pub struct Bed {
    pub repository: Repository,
    pub bare: PathBuf,
    pub namespace: String,
    pub recorder: Recorder,
    client: Client,
    server: Option<GitHttp>,
    flags: Vec<String>,
    port: u16,
    process: Option<Process>,
}

impl Bed {
    /// The plan of `shop` in `plans/shop.yaml`, settled on v1; its repository is a folder of this machine.
    pub async fn shop(flags: &[&str]) -> Self {
        Self::open(&["shop"], &[("plans/shop.yaml", &["shop"])], false, flags).await
    }

    /// These services with their plans in these files, settled on v1; `http` serves the repository.
    pub async fn open(services: &[&str], files: &[(&str, &[&str])], http: bool, flags: &[&str]) -> Self {
        let plane = tokio::task::spawn_blocking(ControlPlane::shared).await.unwrap();
        let client = plane.client().await;
        let namespace = kubernetes::namespace(&client, "restores").await;
        for version in ["v1", "v2"] {
            ready_pod(&client, &namespace, version, json!({"version": version}), ip(version)).await;
        }
        for name in services {
            service(&client, &namespace, name, 8080).await;
        }
        let recorder = Recorder::start(&client, &namespace).await;
        let repository = Repository::empty();
        let text = |names: &[&str]| names.iter().map(|name| plan(&namespace, name)).collect::<Vec<_>>().join("---\n");
        let texts: Vec<(&str, String)> = files.iter().map(|(path, names)| (*path, text(names))).collect();
        repository.commit("Everything to v1", &texts);
        let bare = repository.bare();
        let server = http.then(|| GitHttp::start(repository.home()));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut bed = Self { repository, bare, namespace, recorder, client, server, flags, port, process: None };
        for name in services {
            bed.endpoints(name, &["v1", "v2"]).await;
        }
        bed.start();
        for name in files.iter().flat_map(|(_, names)| *names) {
            bed.until(name, "v1=100", &Phase::Settled).await;
        }
        bed
    }

    /// Starts the binary.
    pub fn start(&mut self) {
        let kubeconfig = ControlPlane::shared().kubeconfig().display().to_string();
        let location = match &self.server {
            Some(server) => server.url("origin.git"),
            None => self.bare.display().to_string(),
        };
        let listen = format!("127.0.0.1:{}", self.port);
        let mut run = vec!["run", "--repo", &location, "--repo-name", &self.namespace, "--listen", &listen];
        run.extend(["--kubeconfig", &kubeconfig, "--context", "testbed", "--convergence-wait", "100ms"]);
        run.extend(["--interval", "300ms", "--git-author", "Tide <tide@example.com>"]);
        run.extend(self.flags.iter().map(String::as_str));
        self.process = Some(Process::start(self.repository.home(), &run));
    }

    /// Kills the binary.
    pub async fn kill(&mut self) {
        self.process.as_mut().unwrap().kill().await;
    }

    /// Kills the binary and starts it again.
    pub async fn restart(&mut self) {
        self.kill().await;
        self.start();
    }

    /// What kubectl prints about this namespace; it has to succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let mut command = kubectl();
        command.arg("--kubeconfig").arg(ControlPlane::shared().kubeconfig()).args(["--context", "testbed"]);
        command.arg("--cache-dir").arg(self.repository.home().join("kubectl"));
        printed(command.args(["--namespace", &self.namespace]).args(arguments))
    }

    /// Loses everything that the API server has of tidegate's, and starts it again with these flags and no mirror.
    /// Returns how many events were before.
    pub async fn rebuild(&mut self, flags: &[&str]) -> usize {
        self.kill().await;
        for kind in ["VirtualService", "DestinationRule"] {
            let api = kubernetes::api(&self.client, &self.namespace, "networking.istio.io/v1", kind);
            api.delete_collection(&DeleteParams::default(), &ListParams::default()).await.unwrap();
        }
        let gone = || {
            let gone =
                |kind: &str| self.recorder.events().iter().rev().find(|event| event.kind == kind).unwrap().deleted;
            gone("VirtualService") && gone("DestinationRule")
        };
        self.wait("everything is gone", gone).await;
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let before = self.recorder.events().len();
        self.start();
        before
    }

    /// Starts it anew with these flags.
    pub async fn flag(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        self.restart().await;
    }

    /// Puts a text in the place of a file beside the notes, or takes it out, as a person would.
    pub fn amend_notes(&self, path: &str, text: Option<&str>) {
        let index = self.repository.home().join("notes-index");
        let tree = self.repository.home().display();
        let index = format!("alias.on=!GIT_INDEX_FILE={} GIT_WORK_TREE={tree} git", index.display());
        let on = |arguments: &[&str]| self.git(&[&["-c", index.as_str(), "on"], arguments].concat());
        on(&["read-tree", "refs/notes/tidegate"]);
        match text {
            Some(text) => {
                let file = self.repository.home().join("amended");
                std::fs::write(&file, text).unwrap();
                let blob = self.git(&["hash-object", "-w", file.to_str().unwrap()]);
                on(&["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")]);
            }
            None => drop(on(&["rm", "--cached", "--quiet", &format!(":/{path}")])),
        }
        let tree = on(&["write-tree"]);
        let commit = self.git(&["commit-tree", "-p", "refs/notes/tidegate", "-m", "By hand", &tree]);
        self.git(&["update-ref", "refs/notes/tidegate", &commit]);
    }

    /// The weights that a watch saw after so many events, each with when it came.
    pub fn walk_after(&self, passed: usize, name: &str) -> Vec<(String, Instant)> {
        let events = self.recorder.events().into_iter().skip(passed);
        let routes = events.filter(|event| event.kind == "VirtualService" && event.name == name && !event.deleted);
        let mut walk: Vec<_> = routes.map(|event| (text(&event.weights), event.at)).collect();
        walk.dedup_by(|later, one| later.0 == one.0);
        walk
    }

    /// What git says is noted on a commit of a plan: the line's JSON.
    pub fn noted(&self, commit: &str, name: &str) -> Option<Value> {
        if self.git(&["for-each-ref", "refs/notes/tidegate"]).is_empty() {
            return None;
        }
        let list = self.git(&["notes", "--ref", "tidegate", "list"]);
        list.lines().find(|line| line.ends_with(commit))?;
        let shown = self.git(&["notes", "--ref", "tidegate", "show", commit]);
        let plan = format!("{}/{}/{name}", self.namespace, self.namespace);
        let lines = shown.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.into_iter().find(|line| line["plan"] == plan)
    }

    /// Waits until a plan's note on a commit says that this came of it, and returns it.
    pub async fn until_noted(&self, commit: &str, name: &str, what: &str, traffic: &str) -> Value {
        let says = |note: &Value| note["what"] == what && note["traffic"] == traffic;
        self.wait(&format!("{what} {traffic} is noted on {commit}"), || {
            self.noted(commit, name).is_some_and(|note| says(&note))
        })
        .await;
        self.noted(commit, name).unwrap()
    }

    /// Waits until the running tidegate gives this reason for where a plan stands, and returns its sentence.
    pub async fn until_reason(&self, name: &str, reason: &str) -> String {
        let end = Instant::now() + SOON;
        loop {
            let plan = self.standing(name).await;
            if plan["reason"]["name"] == reason {
                return plan["reason"]["message"].as_str().unwrap().to_owned();
            }
            assert!(Instant::now() < end, "{name} is not {reason}: {plan}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub fn log(&self) -> String {
        self.process.as_ref().unwrap().log()
    }

    /// Makes these versions the ready ones of a service.
    pub async fn endpoints(&self, name: &str, ready: &[&str]) {
        let endpoint =
            |version| Endpoint { ready: Some(ready.contains(&version)), ..Endpoint::of(version, ip(version)) };
        let endpoints = ["v1", "v2"].map(endpoint);
        endpoint_slice(&self.client, &self.namespace, name, name, &endpoints).await;
    }

    /// Replaces text of a file, commits and pushes; returns the commit.
    pub fn push(&self, message: &str, path: &str, edits: &[(&str, &str)]) -> String {
        self.repository.git(&["pull", "--quiet", "--rebase", "origin", "main"]);
        let mut text = std::fs::read_to_string(self.repository.path().join(path)).unwrap();
        for (from, to) in edits {
            assert!(text.contains(from), "{from} is not in {text}");
            text = text.replace(from, to);
        }
        let commit = self.repository.commit(message, &[(path, text)]);
        self.repository.push(false);
        commit
    }

    /// Takes the repository away, or brings it back.
    pub fn away(&self, away: bool) {
        let aside = self.repository.home().join("aside.git");
        let (from, to) = if away { (&self.bare, &aside) } else { (&aside, &self.bare) };
        std::fs::rename(from, to).unwrap();
    }

    /// Puts an executable hook in place, or takes it away.
    pub fn hook(&self, name: &str, script: Option<&str>) {
        let path = self.bare.join("hooks").join(name);
        let Some(script) = script else { return std::fs::remove_file(path).unwrap() };
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// Runs `git` in the bare repository.
    pub fn git(&self, arguments: &[&str]) -> String {
        let mut all = vec!["--git-dir", self.bare.to_str().unwrap()];
        all.extend(arguments);
        self.repository.git(&all)
    }

    /// A file at the tip, or at another commit.
    pub fn text(&self, commit: &str, path: &str) -> String {
        self.git(&["show", &format!("{commit}:{path}")])
    }

    /// The commits that tidegate made, newest first, each with its message.
    pub fn restores(&self) -> Vec<String> {
        let log = self.git(&["log", "--author=tide@example.com", "--format=%B%x00", "main"]);
        log.split('\0').map(|message| message.trim().to_owned()).filter(|message| !message.is_empty()).collect()
    }

    /// Merges a patch into the VirtualService, as a person would.
    pub async fn patch(&self, name: &str, patch: Value) -> Instant {
        let api = kubernetes::api(&self.client, &self.namespace, "networking.istio.io/v1", "VirtualService");
        let params = PatchParams { field_manager: Some("kubectl-edit".to_owned()), ..PatchParams::default() };
        api.patch(name, &params, &Patch::Merge(patch)).await.unwrap();
        Instant::now()
    }

    /// Annotates a plan's VirtualService with a person's stop.
    pub async fn stop(&self, name: &str) -> Instant {
        self.patch(name, json!({"metadata": {"annotations": {STOP: "ada: errors"}}})).await
    }

    /// The VirtualService and its journal, as the watch saw them last.
    pub fn live(&self, name: &str) -> Option<(Value, Journal)> {
        let events = self.recorder.events();
        let last = events.into_iter().rev().find(|event| event.kind == "VirtualService" && event.name == name)?.object;
        let journal = Journal::on(&last)?.ok()?;
        Some((last, journal))
    }

    /// The live weights.
    pub fn weights(&self, name: &str) -> String {
        self.live(name).map_or_else(String::new, |(live, _)| text(&kubernetes::weights(&live)))
    }

    /// All weights that the watch saw, in order.
    pub fn walk(&self, name: &str) -> Vec<String> {
        self.recorder.walk(name).iter().map(|weights| text(weights)).collect()
    }

    /// Waits until a route is at these weights in this phase.
    pub async fn until(&self, name: &str, weights: &str, phase: &Phase) {
        let holds = || {
            self.live(name)
                .is_some_and(|(live, journal)| text(&kubernetes::weights(&live)) == weights && journal.phase == *phase)
        };
        self.wait(&format!("{name} at {weights}, {phase:?}"), holds).await;
    }

    /// Waits until traffic of a route is back on v1 without a commit having asked for it.
    pub async fn went_back(&self, name: &str) {
        let back = |journal: &Journal| matches!(journal.phase, Phase::WentBack { .. });
        let holds = || self.weights(name) == "v1=100" && self.live(name).is_some_and(|(_, journal)| back(&journal));
        self.wait(&format!("{name} is back"), holds).await;
    }

    /// Waits until a plan has no restore pending and its document is in force.
    pub async fn landed(&self, name: &str) {
        let holds =
            || self.live(name).is_some_and(|(_, journal)| journal.restore.is_none() && journal.phase == Phase::Settled);
        self.wait(&format!("{name}: the restore has landed"), holds).await;
    }

    /// Waits for something; panics with the log where it does not come.
    pub async fn wait(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + SOON;
        while !holds() {
            let journals: Vec<_> =
                self.recorder.events().iter().filter_map(|event| Journal::on(&event.object)).collect();
            let last = journals.last().and_then(|journal| journal.as_ref().ok());
            let at = last.map(|journal| (&journal.phase, &journal.restore));
            assert!(Instant::now() < end, "{what}: not so after {SOON:?}: {at:?}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits until the running tidegate says this of a plan's restore, and returns what it says.
    pub async fn restore_is(&self, name: &str, state: &str) -> Value {
        let end = Instant::now() + SOON;
        loop {
            let restore = self.restore(name).await;
            if restore["state"] == state {
                return restore;
            }
            assert!(Instant::now() < end, "{name} is not {state}: {restore}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What the running tidegate says of a plan's restore.
    pub async fn restore(&self, name: &str) -> Value {
        self.standing(name).await["restore"].clone()
    }

    /// What the running tidegate says of a plan.
    async fn standing(&self, name: &str) -> Value {
        let server = format!("http://127.0.0.1:{}", self.port);
        let answer = process::run(self.repository.home(), &["status", "-o", "json", "--server", &server]).await;
        let Ok(status) = serde_json::from_str::<Value>(&answer.stdout) else {
            assert!(answer.stderr.contains("(Connect)"), "{answer:?}");
            // One that has just been started does not listen yet.
            return Value::Null;
        };
        let plans = status["plans"].as_array().unwrap().clone();
        plans.into_iter().find(|plan| plan["name"] == name).unwrap_or(Value::Null)
    }

    /// The notes of the Kubernetes Events of this reason.
    pub async fn events(&self, reason: &str) -> Vec<String> {
        kubernetes::told(&self.client, &self.namespace, reason).await
    }

    /// One line of `/metrics`, whose beginning is given; its value.
    pub async fn metric(&self, begin: &str) -> Option<f64> {
        let port = self.port;
        let page = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: localhost\r\n\r\n").unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            page
        });
        let page = page.await.unwrap();
        page.lines().find(|line| line.starts_with(begin))?.rsplit(' ').next()?.parse().ok()
    }
}

fn ip(version: &str) -> &'static str {
    if version == "v1" { "10.1.0.1" } else { "10.1.0.2" }
}

fn text(weights: &[(String, u64)]) -> String {
    let texts: Vec<String> = weights.iter().map(|(version, weight)| format!("{version}={weight}")).collect();
    texts.join(" ")
}
