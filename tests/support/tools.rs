//! Builds kubectl and helm from `tests/packaging` with Go, once per version, under `target/tmp/testbed/`.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test bed that fails is a failed test")]

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

/// The release whose definitions of PodMonitor and PrometheusRule the tests install.
const OPERATOR: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";

/// The `kubectl` command.
pub fn kubectl() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    Command::new(BUILT.get_or_init(|| build("kubectl", ".")))
}

/// The `helm` command, told the version of the test bed's API server and nothing of the machine's configuration.
pub fn helm() -> Command {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let mut command = Command::new(BUILT.get_or_init(|| build("helm", "helm.sh/helm/v3/cmd/helm")));
    let home = testbed_dir().join("helm-home");
    for name in ["HELM_CONFIG_HOME", "HELM_CACHE_HOME", "HELM_DATA_HOME"] {
        command.env(name, &home);
    }
    command
}

/// The Prometheus operator's definition of a resource, from the Go module cache.
pub fn operator_definition(plural: &str) -> String {
    static DIR: OnceLock<PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let out = go(testbed_dir().as_path(), &["mod", "download", "-json", OPERATOR]);
        let told: serde_json::Value = serde_json::from_str(&out).unwrap();
        PathBuf::from(told["Dir"].as_str().unwrap()).join("example/prometheus-operator-crd")
    });
    std::fs::read_to_string(dir.join(format!("monitoring.coreos.com_{plural}.yaml"))).unwrap()
}

/// Runs a command to its end with this standard input.
pub fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // On a thread of its own: a child that answers before it has read all must not wait for us.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join().unwrap();
    output
}

/// What a command prints; panics with its words where it fails.
pub fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn build(name: &str, package: &str) -> PathBuf {
    let mut hash = Sha256::new();
    for file in ["go.mod", "go.sum", "main.go"] {
        hash.update(std::fs::read(module_dir().join(file)).unwrap());
    }
    let key: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let binary = testbed_dir().join(format!("{name}-{key}"));
    let lock = File::create(testbed_dir().join("build-tools.lock")).unwrap();
    lock.lock().unwrap();
    if !binary.is_file() {
        eprintln!("building the tests' {name}; the first time this takes minutes");
        let partial = binary.with_extension("partial");
        go(&module_dir(), &["build", "-ldflags", "-s -w", "-o", &partial.display().to_string(), package]);
        std::fs::rename(&partial, &binary).unwrap();
    }
    binary
}

fn go(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("go");
    printed(command.args(arguments).current_dir(dir).env("CGO_ENABLED", "0").env("GOFLAGS", "-mod=readonly"))
}

fn module_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packaging")
}

fn testbed_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("testbed");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
