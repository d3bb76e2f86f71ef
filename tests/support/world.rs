//! One world for a test, over a real API server or over the sandbox: services, a plan repository, and the engine.
//!
//! ```text
//! Repository ──► engine (in this process) ──► server ◄── Recorder (an independent watch)
//!                                               ▲
//!                        `tidegate status`, `diff` (the real binary)
//! ```

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use kube::Client;
use kube::api::{DynamicObject, PostParams};
use serde_json::{Value, json};
use tidegate::cluster::{Access, Cluster, Member};
use tidegate::git::Source;
use tidegate::reconcile::{self, Ending};
use tidegate::rollout::Settings;
use tidegate::sandbox::{Options, Server};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::controlplane::ControlPlane;
use super::kubernetes::{self, Endpoint, Recorder};
use super::repository::Repository;

/// How long proxies are given in these worlds.
pub const CONVERGENCE_WAIT: Duration = Duration::from_millis(300);

/// How long a command of the real binary may take.
const COMMAND_DEADLINE: Duration = Duration::from_secs(60);

/// Which server a world is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bed {
    /// The control plane that the test process shares: namespaces keep its worlds apart.
    Real,
    /// A sandbox of the world's own.
    Sandbox,
}

/// A server with a plan repository, and the engine between them once it is started.
pub struct World {
    /// The plan repository; plans lie in its folder `plans`.
    pub repository: Repository,
    name: String,
    kubeconfig: PathBuf,
    context: &'static str,
    client: Client,
    // Held until the end: dropped, it is gone.
    _sandbox: Option<Server>,
    engine: Option<Engine>,
    pods: u8,
}

struct Engine {
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<Vec<Ending>>>,
}

/// What a command of the real binary printed, and its exit code.
#[derive(Debug)]
pub struct Printed {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl World {
    /// A world with an empty repository of that name. On a shared server no two worlds may have the same name.
    pub async fn open(bed: Bed, name: &str) -> Self {
        let repository = Repository::empty();
        let (sandbox, kubeconfig, context) = match bed {
            // Its start blocks for seconds.
            Bed::Real => {
                let plane = tokio::task::spawn_blocking(ControlPlane::shared).await.unwrap();
                (None, plane.kubeconfig(), "testbed")
            }
            Bed::Sandbox => {
                let server = Server::start(Options::default()).await.unwrap();
                let path = repository.home().join("kubeconfig");
                std::fs::write(&path, server.kubeconfig()).unwrap();
                (Some(server), path, "sandbox")
            }
        };
        let client = connect(&kubeconfig, context).await.1.client().clone();
        let name = name.to_owned();
        Self { repository, name, kubeconfig, context, client, _sandbox: sandbox, engine: None, pods: 0 }
    }

    /// A client of the server, apart from the engine's.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The server's cluster, for a process of the test's own.
    pub async fn cluster(&self) -> (Member, Cluster) {
        connect(&self.kubeconfig, self.context).await
    }

    /// Creates a namespace of exactly this name.
    pub async fn namespace(&self, name: &str) {
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let namespace: DynamicObject = serde_json::from_value(namespace).unwrap();
        let api = kubernetes::api(&self.client, "", "v1", "Namespace");
        let made = api.create(&PostParams::default(), &namespace).await;
        assert!(made.is_ok() || made.is_err_and(|e| matches!(e, kube::Error::Api(s) if s.is_already_exists())));
    }

    /// Creates a Service with a ready pod for each value of the label `version`.
    pub async fn service(&mut self, namespace: &str, name: &str, port: u16, versions: &[&str]) {
        kubernetes::service(&self.client, namespace, name, port).await;
        for version in versions {
            self.pods += 1;
            let (pod, ip) = (format!("{name}-{version}"), format!("10.1.0.{}", self.pods));
            kubernetes::ready_pod(&self.client, namespace, &pod, json!({"app": name, "version": version}), &ip).await;
            let endpoints = [Endpoint::of(&pod, &ip)];
            kubernetes::endpoint_slice(&self.client, namespace, name, &pod, &endpoints).await;
        }
    }

    /// An independent watch of a namespace, from now on.
    pub async fn record(&self, namespace: &str) -> Recorder {
        Recorder::start(&self.client, namespace).await
    }

    /// Starts the engine on the repository's branch `main`.
    pub async fn start(&mut self) {
        assert!(self.engine.is_none(), "the engine of {} runs already", self.name);
        let mirror = self.repository.home().join("mirror");
        let source = Source::new(&self.repository.location(), "main", "plans", Duration::from_secs(30)).unwrap();
        let settings = Settings {
            convergence_wait_ms: i64::try_from(CONVERGENCE_WAIT.as_millis()).unwrap(),
            ..Settings::default()
        };
        let (member, cluster) = connect(&self.kubeconfig, self.context).await;
        let options = reconcile::Options {
            repositories: vec![reconcile::Followed {
                source: source.named(&self.name),
                mirror,
                publish: None,
                allow: Default::default(),
            }],
            listed: false,
            asked: tokio::sync::watch::channel(0).1,
            members: vec![member],
            clusters: vec![cluster],
            file: None,
            configured: None,
            settings,
            max_git_age_s: 300,
            instance: None,
            once: false,
            canaryplans: true,
            lease: None,
            asks: None,
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(reconcile::run(options, async {
            // Dropped without a word is an end, too.
            let _ = stopped.await;
        }));
        self.engine = Some(Engine { stop, task });
    }

    /// Ends the engine in good order and returns how it ended.
    pub async fn stop(&mut self) -> Ending {
        let engine = self.engine.take().unwrap();
        engine.stop.send(()).unwrap();
        let mut endings = engine.task.await.unwrap().unwrap();
        endings.pop().unwrap()
    }

    /// One live object without what the server keeps for itself; none where it is absent.
    pub async fn live(&self, kind: &str, namespace: &str, name: &str) -> Option<Value> {
        let api = kubernetes::api(&self.client, namespace, "networking.istio.io/v1", kind);
        let mut object = serde_json::to_value(api.get_opt(name).await.unwrap()?).unwrap();
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.retain(|field, _| ["name", "namespace", "labels", "annotations"].contains(&field.as_str()));
        Some(object)
    }

    /// Runs the real binary with `arguments` on this world's server.
    pub async fn tidegate(&self, arguments: &[&str]) -> Printed {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(arguments).arg("--kubeconfig").arg(&self.kubeconfig).args(["--context", self.context]);
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(COMMAND_DEADLINE, command.output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Printed { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// `tidegate status -o json` of one namespace.
    pub async fn status(&self, namespace: &str) -> Value {
        let printed = self.tidegate(&["status", "-o", "json", "--namespace", namespace]).await;
        assert_eq!(printed.code, 0, "{printed:?}");
        serde_json::from_str(&printed.out).unwrap()
    }

    /// `tidegate diff` of the repository as it is now.
    pub async fn diff(&self) -> Printed {
        let location = self.repository.location();
        self.tidegate(&["diff", "--repo", &location, "--repo-name", &self.name]).await
    }
}

async fn connect(kubeconfig: &std::path::Path, context: &str) -> (Member, Cluster) {
    let access =
        Access { kubeconfig: Some(kubeconfig.to_owned()), context: Some(context.to_owned()), ..Access::default() };
    let cluster = Cluster::connect(context, &access).await.unwrap();
    let (name, labels, role) = (context.to_owned(), Default::default(), Default::default());
    (Member { name, labels, access, mesh: None, role, writes_max: None, proxies: None }, cluster)
}
