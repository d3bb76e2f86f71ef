//! A real API server with the definition of CanaryPlan, a plan repository, the real binary between them, and kubectl.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use kube::Client;
use serde_json::{Value, json};

use crate::controlplane::ControlPlane;
use crate::kubernetes::{Endpoint, endpoint_slice, eventually, namespace, ready_pod, service};
use crate::process::{Answer, Process, run};
use crate::repository::Repository;
use crate::tools::{kubectl, printed};

pub const SOON: Duration = Duration::from_secs(40);

/// What the tests of this binary share: an API server with the definition, applied by kubectl as people do.
fn shared() -> &'static Plane {
    static SHARED: OnceLock<Plane> = OnceLock::new();
    SHARED.get_or_init(|| {
        let plane = Plane::bare("shared");
        plane.define();
        plane
    })
}

/// An API server that notes every request about CanaryPlans.
pub struct Plane {
    pub server: ControlPlane,
    audit: PathBuf,
}

/// One request about CanaryPlans.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub verb: String,
    pub namespace: String,
    pub name: String,
    pub subresource: String,
    pub code: i64,
}

impl Plane {
    /// A server without the definition.
    pub fn bare(name: &str) -> Self {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("canaryplans-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let policy = "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n  \
                      - {level: Metadata, resources: [{group: tidegate.dev}]}\n  - {level: None}\n";
        std::fs::write(dir.join("policy.yaml"), policy).unwrap();
        let audit = dir.join("audit.log");
        let flags = [
            format!("--audit-policy-file={}", dir.join("policy.yaml").display()),
            format!("--audit-log-path={}", audit.display()),
        ];
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        Self { server: ControlPlane::start_with(&[], &flags), audit }
    }

    /// Applies the definition and waits until it is served.
    pub fn define(&self) {
        let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/base/crd.yaml");
        self.kubectl(&["apply", "--server-side", "-f", definition]);
        self.kubectl(&["wait", "--for=condition=Established", "crd/canaryplans.tidegate.dev", "--timeout=30s"]);
        // What kubectl knows of a server lags behind what the server knows.
        let group = ["api-resources", "--cached=false", "--api-group=tidegate.dev"];
        let end = std::time::Instant::now() + SOON;
        while !self.kubectl(&group).contains("cplan") {
            assert!(std::time::Instant::now() < end, "the resource is not discovered in {SOON:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What kubectl prints; it has to succeed.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let cache = self.audit.with_file_name("cache");
        let mut command = kubectl();
        command.arg("--kubeconfig").arg(self.server.kubeconfig()).arg("--cache-dir").arg(cache);
        printed(command.args(arguments))
    }

    /// Every request about CanaryPlans so far.
    pub fn requests(&self) -> Vec<Request> {
        let log = std::fs::read_to_string(&self.audit).unwrap_or_default();
        let read = |line: &str| {
            let event: Value = serde_json::from_str(line).unwrap();
            let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
            Request {
                verb: text("/verb"),
                namespace: text("/objectRef/namespace"),
                name: text("/objectRef/name"),
                subresource: text("/objectRef/subresource"),
                code: event["responseStatus"]["code"].as_i64().unwrap_or_default(),
            }
        };
        // The last line may be on its way.
        log.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(read).collect()
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        if let Some(dir) = self.audit.parent() {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

/// A namespace with the service `web` in two ready versions, and a repository.
pub struct Bed<'p> {
    pub plane: &'p Plane,
    pub client: Client,
    pub namespace: String,
    pub repository: Repository,
}

impl Bed<'static> {
    /// A bed on the server that all share.
    pub async fn open() -> Self {
        let plane = tokio::task::spawn_blocking(shared).await.unwrap();
        Bed::on(plane).await
    }
}

impl<'p> Bed<'p> {
    pub async fn on(plane: &'p Plane) -> Self {
        let client = plane.server.client().await;
        let namespace = namespace(&client, "mirror").await;
        service(&client, &namespace, "web", 8080).await;
        for (number, version) in ["v1", "v2"].into_iter().enumerate() {
            let (pod, ip) = (format!("web-{version}"), format!("10.1.0.{}", number + 1));
            ready_pod(&client, &namespace, &pod, json!({"app": "web", "version": version}), &ip).await;
            endpoint_slice(&client, &namespace, "web", &pod, &[Endpoint::of(&pod, &ip)]).await;
        }
        Bed { plane, client, namespace, repository: Repository::empty() }
    }

    /// Commits the plan `web`; `rest` is what stands beside service and versions.
    pub fn plan(&self, rest: &str) -> String {
        self.repository.commit(rest, &[("plans/web.yaml", plan("web", &self.namespace, rest))])
    }

    fn arguments(&self, command: &[&str]) -> Vec<String> {
        let kubeconfig = self.plane.server.kubeconfig().display().to_string();
        command.iter().map(|word| (*word).to_owned()).chain(["--kubeconfig".to_owned(), kubeconfig]).collect()
    }

    fn run_arguments(&self, more: &[&str]) -> Vec<String> {
        let location = self.repository.location();
        // The repository's name is the test's own, as the tests share a cluster.
        let run = [
            "run",
            "--repo",
            &location,
            "--repo-name",
            &self.namespace,
            "--convergence-wait",
            "1100ms",
            "--interval",
            "2s",
        ];
        self.arguments(&[&run[..], more].concat())
    }

    /// Starts `tidegate run`.
    pub fn start(&self, more: &[&str]) -> Process {
        Process::start(self.repository.home(), &self.run_arguments(more))
    }

    /// `tidegate run --once`.
    pub async fn once(&self) -> Answer {
        run(self.repository.home(), &self.run_arguments(&["--once"])).await
    }

    /// Runs another command of tidegate to its end.
    pub async fn ask(&self, command: &[&str]) -> Answer {
        run(self.repository.home(), &self.arguments(command)).await
    }

    /// What kubectl prints about this namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.plane.kubectl(&[&["--namespace", &self.namespace], arguments].concat())
    }

    /// The resource as kubectl prints it; null where there is none.
    pub fn resource(&self, name: &str) -> Value {
        let text = self.kubectl(&["get", "canaryplan", name, "-o", "json", "--ignore-not-found"]);
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap() }
    }

    /// Waits until the resource is as wanted and returns it.
    pub async fn until(&self, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let end = std::time::Instant::now() + SOON;
        while !holds(&last) {
            assert!(std::time::Instant::now() < end, "{name} {what}: not so after {SOON:?}: {last:#}");
            tokio::time::sleep(Duration::from_millis(100)).await;
            last = self.resource(name);
        }
        last
    }

    /// Waits until the resource's reason is this one.
    pub async fn until_reason(&self, name: &str, reason: &str) -> Value {
        self.until(name, reason, |resource| condition(resource, "Ready")["reason"] == reason).await
    }

    /// The writes about this namespace's resources so far.
    pub fn writes(&self) -> Vec<Request> {
        let own =
            |request: &Request| request.namespace == self.namespace && request.verb != "get" && request.verb != "list";
        self.plane.requests().into_iter().filter(own).collect()
    }

    pub async fn until_log(&self, process: &Process, words: &str) {
        eventually(words, SOON, || async { process.log().contains(words) }).await;
    }
}

/// A plan of two versions.
pub fn plan(name: &str, namespace: &str, rest: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec:\n  \
         service: {name}\n  versions: {{v1: {{labels: {{version: v1}}}}, v2: {{labels: {{version: v2}}}}}}\n  {rest}\n"
    )
}

/// A condition of a resource; null where it has none.
pub fn condition<'r>(resource: &'r Value, kind: &str) -> &'r Value {
    let conditions = resource.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().find(|condition| condition["type"] == kind).unwrap_or(&Value::Null)
}

/// How kstatus reads a resource: the rules of sigs.k8s.io/cli-utils for conditions and generations.
pub fn kstatus(resource: &Value) -> &'static str {
    let holds = |kind: &str| condition(resource, kind)["status"] == "True";
    if resource["status"]["observedGeneration"] != resource["metadata"]["generation"] {
        return "InProgress";
    }
    match () {
        () if holds("Reconciling") => "InProgress",
        () if holds("Stalled") => "Failed",
        () if holds("Ready") => "Current",
        () => "InProgress",
    }
}
