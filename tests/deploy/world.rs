//! A namespace with a service, a plan repository, and an account with the role of deploy/, or with less.

use std::path::PathBuf;
use std::process::{Child, Command, Output};

use kube::Client;
use serde_json::{Value, json};

use crate::controlplane::ControlPlane;
use crate::deploy;
use crate::kubernetes::{Endpoint, create, endpoint_slice, namespace, ready_pod, service, virtual_service, weights};
use crate::render::documents;
use crate::repository::Repository;

/// The documents of the rendered `rbac.yaml`.
pub fn rbac() -> Vec<Value> {
    documents(&std::fs::read_to_string(deploy().join("base/rbac.yaml")).unwrap())
}

pub struct World {
    pub client: Client,
    pub namespace: String,
    pub repository: Repository,
    pub kubeconfig: PathBuf,
}

impl World {
    /// The role is the one of deploy/ after `lose` took something from its rules; every name is the test's own.
    pub async fn new(plane: &ControlPlane, files: &[(&str, String)], lose: impl Fn(&mut Value)) -> Self {
        let client = plane.client().await;
        let namespace = namespace(&client, "deploy").await;
        for mut document in rbac() {
            document["metadata"]["name"] = json!(namespace);
            match document["kind"].as_str().unwrap() {
                "ServiceAccount" => document["metadata"]["namespace"] = json!(namespace),
                "ClusterRole" => lose(&mut document),
                "ClusterRoleBinding" => {
                    document["roleRef"]["name"] = json!(namespace);
                    document["subjects"][0]["name"] = json!(namespace);
                    document["subjects"][0]["namespace"] = json!(namespace);
                }
                other => panic!("rbac.yaml has a {other}"),
            }
            create(&client, document).await;
        }
        service(&client, &namespace, "web", 8080).await;
        ready_pod(&client, &namespace, "web-v1", json!({"app": "web", "version": "v1"}), "10.1.0.1").await;
        ready_pod(&client, &namespace, "web-v2", json!({"app": "web", "version": "v2"}), "10.1.0.2").await;
        let endpoints = [Endpoint::of("web-v1", "10.1.0.1"), Endpoint::of("web-v2", "10.1.0.2")];
        endpoint_slice(&client, &namespace, "web", "web-1", &endpoints).await;
        let files: Vec<(&str, String)> =
            files.iter().map(|(path, text)| (*path, text.replace("NAMESPACE", &namespace))).collect();
        let repository = Repository::with(&files);
        let kubeconfig = repository.home().join("kubeconfig");
        let text = plane.kubeconfig_text().replace(plane.token(), &token(&client, &namespace, &namespace).await);
        std::fs::write(&kubeconfig, text).unwrap();
        Self { client, namespace, repository, kubeconfig }
    }

    /// Commits files, whose text says NAMESPACE for this world's.
    pub fn commit(&self, message: &str, files: &[(&str, String)]) {
        let files: Vec<(&str, String)> =
            files.iter().map(|(path, text)| (*path, text.replace("NAMESPACE", &self.namespace))).collect();
        self.repository.commit(message, &files);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(arguments).arg("--kubeconfig").arg(&self.kubeconfig).env_remove("TIDEGATE_LOG");
        command
    }

    /// `tidegate run`; the repository's name is the test's own, as the tests share a cluster.
    pub fn run(&self, more: &[&str]) -> Command {
        let location = self.repository.location();
        let mut command = self.command(&["run", "--repo", &location, "--repo-name", &self.namespace]);
        command.args(["--convergence-wait", "100ms"]).args(more);
        command
    }

    pub fn run_once(&self) -> Output {
        self.run(&["--once"]).output().unwrap()
    }

    pub async fn live(&self) -> Vec<(String, u64)> {
        virtual_service(&self.client, &self.namespace, "web").await.as_ref().map(weights).unwrap_or_default()
    }
}

/// A tidegate that ends with the test.
pub struct Running(pub Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A token of an account, as a pod of a Deployment would have one.
pub async fn token(client: &Client, namespace: &str, account: &str) -> String {
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let body = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
    let request = http::Request::post(path).header("content-type", "application/json");
    let answer: Value = client.request(request.body(serde_json::to_vec(&body).unwrap()).unwrap()).await.unwrap();
    answer["status"]["token"].as_str().unwrap().to_owned()
}

/// Takes a verb from the rules about a resource, and nothing else.
pub fn without(verb: &str, resource: &str) -> impl Fn(&mut Value) {
    move |role| {
        let mut rules = Vec::new();
        for rule in role["rules"].as_array().unwrap() {
            for one in rule["resources"].as_array().unwrap() {
                let mut alone = rule.clone();
                alone["resources"] = json!([one]);
                if one == resource {
                    alone["verbs"].as_array_mut().unwrap().retain(|other| other != verb);
                    assert_ne!(alone["verbs"], rule["verbs"], "the role has no {verb} of {resource}");
                }
                rules.push(alone);
            }
        }
        rules.retain(|rule| rule["verbs"] != json!([]));
        role["rules"] = json!(rules);
    }
}

pub fn words(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
