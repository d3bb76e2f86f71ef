//! Runs the release binary as people do, and reads what it costs from `/proc`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::plans::PlanRepository;

/// The binary that is measured.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// How many ticks of processor time a second has on every Linux that people run.
const TICKS_PER_SECOND: f64 = 100.0;

/// `tidegate run`; dropped, it is killed.
pub struct Running {
    child: Child,
    port: u16,
}

/// What is given to `tidegate run` beside the repository.
pub struct Setup {
    /// The repository: a path or a URL.
    pub repo: String,
    /// The folder for the mirror and the log.
    pub folder: PathBuf,
    /// The contexts of the clusters.
    pub contexts: String,
    /// More arguments.
    pub more: Vec<String>,
}

impl Setup {
    /// Follows the repository where it lies.
    pub fn local(plans: &PlanRepository) -> Self {
        let (repo, folder) = (plans.path().display().to_string(), plans.beside().to_path_buf());
        Self { repo, folder, contexts: "testbed".to_owned(), more: Vec::new() }
    }
}

impl Running {
    /// Follows the repository.
    pub fn start(kubeconfig: &Path, setup: &Setup, convergence_wait: Duration) -> Self {
        let log = std::fs::File::create(setup.folder.join("tidegate.log")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new(BINARY)
            .args(["run", "--branch", "main", "--path", "plans", "--repo-name", "bench", "--context", &setup.contexts])
            .args(["--convergence-wait", &format!("{}ms", convergence_wait.as_millis())])
            .args(["--repo", &setup.repo, "--listen", &format!("127.0.0.1:{port}")])
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--mirror")
            .arg(setup.folder.join("mirror"))
            .args(&setup.more)
            .env("TIDEGATE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self { child, port }
    }

    /// Ends it as Kubernetes does.
    pub fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }

    /// Where it listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The status and the body of an answer; none while nobody listens.
    pub fn ask(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: tidegate\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer))
    }

    /// The API requests so far that were no watch, by its own count.
    pub fn requests(&self) -> f64 {
        let (_, metrics) = self.ask("/metrics").unwrap();
        let lines = metrics.lines().filter(|line| line.starts_with("tidegate_api_requests_total{"));
        let asked = lines.filter(|line| !line.contains("verb=\"watch\""));
        asked.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// Resident memory in MiB.
    pub fn rss_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// Processor time used so far, in seconds.
    pub fn cpu_s(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = |at: usize| fields.split(' ').nth(at).unwrap().parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
