//! Runs the release binary as people do, and reads what it costs from `/proc`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::plans::PlanRepository;

/// The binary that is measured.
pub const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// How many ticks of processor time a second has on every Linux that people run.
const TICKS_PER_SECOND: f64 = 100.0;

/// `tidegate run`; dropped, it is killed.
pub struct Running(Child);

impl Running {
    /// Follows the repository; its mirror and log lie beside that.
    pub fn start(kubeconfig: &Path, plans: &PlanRepository, convergence_wait: Duration) -> Self {
        let log = std::fs::File::create(plans.beside().join("tidegate.log")).unwrap();
        let child = Command::new(BINARY)
            .args(["run", "--branch", "main", "--path", "plans", "--repo-name", "bench", "--context", "testbed"])
            .args(["--convergence-wait", &format!("{}ms", convergence_wait.as_millis())])
            .arg("--repo")
            .arg(plans.path())
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .arg("--mirror")
            .arg(plans.beside().join("mirror"))
            .env("TIDEGATE_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self(child)
    }

    /// Resident memory in MiB.
    pub fn rss_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
    }

    /// Processor time used so far, in seconds.
    pub fn cpu_s(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let ticks = |at: usize| fields.split(' ').nth(at).unwrap().parse::<f64>().unwrap();
        (ticks(11) + ticks(12)) / TICKS_PER_SECOND
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
