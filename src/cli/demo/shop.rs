//! The demo's world: a sandbox with a service in two versions, and a plan repository made with `git`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::sandbox::{Options, Server};

use crate::cli::terminal::say;

use super::{Failure, view::View, wait};

const HEAD: &str = "\
apiVersion: tidegate.dev/v1alpha1
kind: CanaryPlan
metadata: {name: reviews, namespace: bookinfo}
spec:
  service: reviews
  port: 9080
  versions:
    v1: {labels: {version: v1}}
    v2: {labels: {version: v2}}
  from: {v1: 100}
  steps:
    - {weight: 5, hold: 2s}
    - {weight: 25, hold: 2s}
    - {weight: 75, hold: 2s}
";

/// The sandbox and the repository, in a temporary folder that goes with them.
pub(super) struct Shop {
    server: Server,
    folder: tempfile::TempDir,
}

impl Shop {
    pub(super) async fn open() -> Result<Self, Failure> {
        let server = Server::start(Options::default()).await?;
        let folder = tempfile::Builder::new().prefix("tidegate-demo-").tempdir()?;
        let shop = Self { server, folder };
        shop.fill()?;
        std::fs::write(shop.kubeconfig(), shop.server.kubeconfig())?;
        std::fs::create_dir_all(shop.repository().join("plans"))?;
        shop.git(&["init", "--quiet", "--initial-branch", "main"], false)?;
        shop.git(&["commit", "--quiet", "--allow-empty", "-m", "Start"], false)?;
        Ok(shop)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn repository(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// Services, pods and EndpointSlices, as controllers would have made them.
    fn fill(&self) -> Result<(), Failure> {
        let put = |object| {
            self.server
                .store()
                .put(object)
                .map_err(|refusal| Failure::unreached(anyhow::anyhow!("the sandbox: {refusal:?}")))
        };
        let meta =
            |name: &str, labels: serde_json::Value| json!({"name": name, "namespace": "bookinfo", "labels": labels});
        put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bookinfo"}}))?;
        put(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta("reviews", json!({})),
            "spec": {"selector": {"app": "reviews"}, "ports": [{"name": "http", "port": 9080}]},
        }))?;
        let mut endpoints = Vec::new();
        for (place, version) in ["v1", "v2"].into_iter().enumerate() {
            let name = format!("reviews-{version}");
            put(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": meta(&name, json!({"app": "reviews", "version": version})),
                "spec": {"containers": [{"name": "reviews", "image": "reviews"}]},
            }))?;
            endpoints.push(json!({
                "addresses": [format!("10.0.0.{}", place + 1)], "conditions": {"ready": true},
                "targetRef": {"kind": "Pod", "name": name, "namespace": "bookinfo"},
            }));
        }
        put(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": meta("reviews-1", json!({"kubernetes.io/service-name": "reviews"})),
            "ports": [{"name": "http", "port": 9080, "protocol": "TCP"}], "endpoints": endpoints,
        }))?;
        Ok(())
    }

    /// Commits the plan with another target.
    pub(super) fn write_plan(&self, traffic: &str, message: &str) -> Result<(), Failure> {
        let path = self.repository().join("plans/reviews.yaml");
        if path.exists() {
            say!("$ sed -i 's/traffic: .*/{traffic}/' plans/reviews.yaml");
        } else {
            say!("$ cat > plans/reviews.yaml");
            say!("{HEAD}  {traffic}");
        }
        std::fs::write(path, format!("{HEAD}  {traffic}\n"))?;
        self.git(&["add", "plans"], false)?;
        self.git(&["commit", "--quiet", "--all", "-m", message], true)
    }

    /// Reverts the last commit; returns how long after the command the traffic was back.
    pub(super) async fn revert(&self, view: &View) -> Result<Duration, Failure> {
        self.git(&["revert", "--no-edit", "HEAD"], true)?;
        let returned = Instant::now();
        wait(view, &[("v1", 50), ("v2", 50)]).await?;
        Ok(returned.elapsed())
    }

    pub(super) fn revert_again(&self) -> Result<(), Failure> {
        self.git(&["revert", "--no-edit", "HEAD"], true)
    }

    /// Runs `git` as a person would, apart from the reader's own configuration.
    fn git(&self, arguments: &[&str], shown: bool) -> Result<(), Failure> {
        if shown {
            let quoted =
                |argument: &&str| if argument.contains(' ') { format!("'{argument}'") } else { (*argument).to_owned() };
            say!("$ git {}", arguments.iter().map(quoted).collect::<Vec<_>>().join(" "));
        }
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.repository())
            .env("HOME", self.folder.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "You")
            .env("GIT_AUTHOR_EMAIL", "you@example.com")
            .env("GIT_COMMITTER_NAME", "You")
            .env("GIT_COMMITTER_EMAIL", "you@example.com")
            .output()
            .map_err(|error| Failure::usage(anyhow::Error::new(error).context("cannot run `git`"), "install git"))?;
        if output.status.success() {
            return Ok(());
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(Failure::unreached(anyhow::anyhow!("`git {}` failed: {words}", arguments.join(" "))))
    }
}
