//! The fleet as a configuration file has it, mounted as a ConfigMap is: what it says changes by a link.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::bed::Fleet;
use crate::kubernetes::eventually;
use crate::process::{self, Answer, Process};

const SOON: std::time::Duration = std::time::Duration::from_secs(60);

pub struct Configured {
    pub fleet: Fleet,
    folder: PathBuf,
    written: std::cell::Cell<usize>,
}

/// A cluster of the file: its context in the file of all of them, and what it is chosen by.
pub fn cluster(name: &str, region: &str) -> String {
    format!("{{name: {name}, kubeconfig: ../kubeconfig, context: {name}, labels: {{region: {region}}}}}")
}

impl Configured {
    pub async fn open(prefix: &str, serving: &[&'static str]) -> Self {
        Self::of(Fleet::open(prefix, serving).await)
    }

    /// The same for a fleet that is there.
    pub fn of(fleet: Fleet) -> Self {
        fleet.kubeconfig();
        let folder = fleet.repository.home().join("mounted");
        std::fs::create_dir(&folder).unwrap();
        Self { fleet, folder, written: std::cell::Cell::new(0) }
    }

    /// Writes the file with these clusters.
    pub fn write(&self, clusters: &[String]) {
        let (url, name) = (self.fleet.repository.location(), &self.fleet.namespace);
        let clusters: String = clusters.iter().map(|cluster| format!("- {cluster}\n")).collect();
        self.write_text(&format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: Configuration\nrepositories: [{{url: '{url}', \
             name: {name}}}]\nclusters:\n{clusters}"
        ));
    }

    /// Swaps the link that leads to the file's folder, as the kubelet does.
    pub fn write_text(&self, text: &str) {
        let number = self.written.replace(self.written.get() + 1);
        let link = |to: &str, at: &Path| std::os::unix::fs::symlink(to, at).unwrap();
        let (version, next) = (format!("..{number}"), self.folder.join("..next"));
        std::fs::create_dir(self.folder.join(&version)).unwrap();
        std::fs::write(self.folder.join(&version).join("tidegate.yaml"), text).unwrap();
        link(&version, &next);
        std::fs::rename(next, self.folder.join("..data")).unwrap();
        if !self.file().is_symlink() {
            link("..data/tidegate.yaml", &self.file());
        }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("tidegate.yaml")
    }

    fn arguments<'a>(&self, file: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let run = ["run", "--config", file, "--convergence-wait", "300ms", "--listen", "127.0.0.1:0"];
        run.into_iter().chain(more.iter().copied()).collect()
    }

    /// Starts the binary on the file.
    pub fn start(&self) -> Process {
        self.start_with(&[])
    }

    /// The same with more flags.
    pub fn start_with(&self, flags: &[&str]) -> Process {
        let file = self.file().display().to_string();
        Process::start(self.fleet.repository.home(), &self.arguments(&file, flags))
    }

    /// Runs one round.
    pub async fn once(&self) -> Answer {
        let file = self.file().display().to_string();
        let arguments = ["run", "--config", &file, "--convergence-wait", "300ms", "--once", "--read-only"];
        process::run(self.fleet.repository.home(), &arguments).await
    }

    /// What `diff` says of its clusters.
    pub async fn diff(&self) -> Answer {
        let file = self.file().display().to_string();
        process::run(self.fleet.repository.home(), &["diff", "--config", &file]).await
    }

    /// What is printed where the file is refused, with these flags beside it.
    pub async fn refused(&self, more: &[&str]) -> String {
        let file = self.file().display().to_string();
        let answer = process::run(self.fleet.repository.home(), &self.arguments(&file, more)).await;
        assert_eq!(answer.code, 2, "{}", answer.stderr);
        answer.stderr
    }

    /// A sample of the page of metrics; none where it is not there.
    pub async fn metric(&self, name: &str) -> Option<String> {
        let address = self.fleet.address()?.trim_start_matches("http://").to_owned();
        let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).await.unwrap();
        page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned))
    }

    /// Waits until the status is so.
    pub async fn until_status(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let so = || async {
            let status = self.fleet.status().await;
            holds(&status)
        };
        eventually(what, SOON, so).await;
    }
}

/// Why a cluster is away, as the status has it.
pub fn away<'a>(status: &'a Value, cluster: &str) -> Option<&'a str> {
    let clusters = status["clusters"].as_array()?;
    clusters.iter().find(|one| one["name"] == cluster)?["away"].as_str()
}
