//! Starts a real etcd, kube-apiserver and, where asked, kube-controller-manager on loopback for a test.
//!
//! The binary is built once from `tests/controlplane` with Go, or taken from `KUBEBUILDER_ASSETS`. Everything a control
//! plane writes lies under `target/tmp/testbed/` and every process of it ends with the test process, even a killed one.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test bed that fails is a failed test"
)]

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde::Deserialize as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

const TOKEN: &str = "testbed-admin";
const READY_DEADLINE: Duration = Duration::from_secs(90);
const LOG_TAIL_BYTES: usize = 3_000;

/// The controllers that make Deployments, ReplicaSets and EndpointSlices real.
pub const WORKLOAD_CONTROLLERS: &[&str] =
    &["deployment-controller", "replicaset-controller", "endpointslice-controller"];

/// A control plane of one test process; dropped, it is gone.
pub struct ControlPlane {
    dir: PathBuf,
    port: u16,
    etcd_url: String,
    etcd: Component,
    apiserver: Mutex<Option<Component>>,
    controllers: Option<Component>,
    extra_flags: Vec<String>,
}

impl ControlPlane {
    /// Starts etcd and kube-apiserver with RBAC and Istio's CRDs; panics with the log's tail when that fails.
    pub fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// Starts the same with more flags of kube-apiserver, and with a kube-controller-manager that runs the named
    /// controllers where there are any.
    pub fn start_with(controllers: &[&str], apiserver_flags: &[&str]) -> Self {
        sweep_dead_runs();
        let dir = run_dir();
        let mut last = String::new();
        // A free port can be taken by somebody else between the look and the bind.
        for _ in 0..3 {
            match Self::try_start(dir.clone(), controllers, apiserver_flags) {
                Ok(plane) => return plane,
                Err(error) => last = error,
            }
        }
        panic!("the control plane did not start: {last}");
    }

    /// The control plane of this test process: etcd and kube-apiserver with Istio's CRDs, started at first use.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<ControlPlane> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// The API server's address, `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// The bearer token of a member of `system:masters`.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// A kubeconfig file with the one context `testbed`.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    /// The text of [`Self::kubeconfig`].
    pub fn kubeconfig_text(&self) -> String {
        std::fs::read_to_string(self.kubeconfig()).unwrap()
    }

    /// A folder of this control plane for files of the test.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A new client as administrator, bound to the runtime that it is made in.
    pub async fn client(&self) -> Client {
        client(&self.kubeconfig_text()).await.unwrap()
    }

    /// Kills the API server at once; connections are torn.
    pub fn stop_apiserver(&self) {
        self.apiserver.lock().unwrap().take();
    }

    /// Stops the API server in its tracks: connections stay open, and nothing is answered until it is thawed.
    pub fn freeze_apiserver(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// Lets it go on.
    pub fn thaw_apiserver(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let held = self.apiserver.lock().unwrap();
        let own = held.as_ref().unwrap().child.id();
        // Behind a guard it is a child of that.
        let parent = |pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse::<u32>().ok()
        };
        let all = std::fs::read_dir("/proc").unwrap().flatten().filter_map(|it| it.file_name().to_str()?.parse().ok());
        for pid in all.filter(|pid| *pid == own || parent(*pid) == Some(own)).collect::<Vec<_>>() {
            let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
            rustix::process::kill_process(pid, signal).unwrap();
        }
    }

    /// Starts the API server again on the same port, with the same data, and waits until it is ready.
    pub fn restart_apiserver(&self) {
        let mut held = self.apiserver.lock().unwrap();
        held.take();
        let mut component = Component::spawn("kube-apiserver", &self.dir, &self.apiserver_flags()).unwrap();
        wait_ready(&mut component, self).unwrap();
        *held = Some(component);
    }

    fn try_start(dir: PathBuf, controllers: &[&str], extra: &[&str]) -> Result<Self, String> {
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(dir.join("certs")).map_err(|e| format!("{}: {e}", dir.display()))?;
        std::fs::write(dir.join("tokens.csv"), format!("{TOKEN},admin,uid-admin,\"system:masters\"\n")).unwrap();
        let (etcd_url, peer_url) =
            (format!("http://127.0.0.1:{}", free_port()), format!("http://127.0.0.1:{}", free_port()));
        let etcd = Component::spawn("etcd", &dir, &etcd_flags(&dir, &etcd_url, &peer_url))?;
        let extra_flags = extra.iter().map(|flag| (*flag).to_owned()).collect();
        let mut plane = Self {
            dir,
            port: free_port(),
            etcd_url,
            etcd,
            apiserver: Mutex::new(None),
            controllers: None,
            extra_flags,
        };
        let mut apiserver = Component::spawn("kube-apiserver", &plane.dir, &plane.apiserver_flags())?;
        wait_ready(&mut apiserver, &plane).map_err(|error| format!("{error}\netcd: {}", plane.etcd.log_tail()))?;
        plane.apiserver = Mutex::new(Some(apiserver));
        let text = plane.kubeconfig_text();
        block_on(async move { install_istio_crds(&client(&text).await?).await })?;
        if !controllers.is_empty() {
            let flags = controller_flags(&plane.kubeconfig(), controllers);
            plane.controllers = Some(Component::spawn("kube-controller-manager", &plane.dir, &flags)?);
        }
        Ok(plane)
    }

    fn apiserver_flags(&self) -> Vec<String> {
        let certs = self.dir.join("certs");
        // The key that the server makes for itself also signs service accounts: the tests then need no key of their own.
        let key = certs.join("apiserver.key");
        let mut flags = vec![
            format!("--etcd-servers={}", self.etcd_url),
            format!("--cert-dir={}", certs.display()),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".into(),
            "--advertise-address=127.0.0.1".into(),
            "--service-cluster-ip-range=10.0.0.0/24".into(),
            "--service-account-issuer=https://localhost".into(),
            format!("--service-account-key-file={}", key.display()),
            format!("--service-account-signing-key-file={}", key.display()),
            "--authorization-mode=RBAC".into(),
            format!("--token-auth-file={}", self.dir.join("tokens.csv").display()),
            "--disable-admission-plugins=ServiceAccount".into(),
            "--allow-privileged".into(),
        ];
        flags.extend(self.extra_flags.iter().cloned());
        flags
    }

    fn write_kubeconfig(&self) -> Result<(), String> {
        let certificate = std::fs::read(self.dir.join("certs/apiserver.crt")).map_err(|e| e.to_string())?;
        use base64::Engine as _;
        let authority = base64::engine::general_purpose::STANDARD.encode(certificate);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: testbed\n\
             clusters: [{{name: testbed, cluster: {{server: \"{}\", certificate-authority-data: {authority}}}}}]\n\
             users: [{{name: admin, user: {{token: {TOKEN}}}}}]\n\
             contexts: [{{name: testbed, context: {{cluster: testbed, user: admin}}}}]\n",
            self.url()
        );
        std::fs::write(self.kubeconfig(), text).map_err(|e| e.to_string())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.controllers.take();
        self.stop_apiserver();
        self.etcd.end();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// One process of the control plane, its log, and the pipe whose end is its end.
pub struct Component {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Component {
    fn spawn(name: &'static str, dir: &Path, flags: &[String]) -> Result<Self, String> {
        Self::start(name, dir, program(name)?.args(flags))
    }

    /// Starts any command that ends with its standard input; what it prints goes to `<dir>/<name>.log`.
    pub fn start(name: &'static str, dir: &Path, command: &mut Command) -> Result<Self, String> {
        let log = dir.join(format!("{name}.log"));
        let open = File::options().create(true).append(true).open(&log).map_err(|e| e.to_string())?;
        command.stdin(Stdio::piped()).stdout(open.try_clone().unwrap()).stderr(open);
        let child = command.spawn().map_err(|e| format!("{name} cannot be started: {e}"))?;
        Ok(Self { name, child, log })
    }

    /// How it ended, if it did.
    pub fn failed(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok()??;
        Some(format!("{} ended with {status}: {}", self.name, self.log_tail()))
    }

    /// The last of what it printed.
    pub fn log_tail(&self) -> String {
        let log = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&log[log.len().saturating_sub(LOG_TAIL_BYTES)..]).into_owned()
    }

    /// Ends it and waits until it is gone.
    pub fn end(&mut self) {
        drop(self.child.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if let Ok(Some(_)) = self.child.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Component {
    fn drop(&mut self) {
        self.end();
    }
}

fn etcd_flags(dir: &Path, client: &str, peer: &str) -> Vec<String> {
    let data = dir.join("etcd").display().to_string();
    if asset("etcd").is_none() {
        return vec![data, client.into(), peer.into()];
    }
    vec![
        format!("--data-dir={data}"),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--unsafe-no-fsync".into(),
    ]
}

fn controller_flags(kubeconfig: &Path, controllers: &[&str]) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--controllers={}", controllers.join(",")),
        "--secure-port=0".into(),
        "--leader-elect=false".into(),
    ]
}

/// Waits until the server answers `/readyz`, writing the kubeconfig as soon as the certificate is there.
fn wait_ready(apiserver: &mut Component, plane: &ControlPlane) -> Result<(), String> {
    let deadline = Instant::now() + READY_DEADLINE;
    let mut last = "no certificate yet".to_owned();
    while Instant::now() < deadline {
        if let Some(failure) = apiserver.failed() {
            return Err(failure);
        }
        match plane.write_kubeconfig() {
            Ok(()) => {
                let text = plane.kubeconfig_text();
                match block_on(async move { readyz(&text).await }) {
                    Ok(()) => return Ok(()),
                    Err(error) => last = error,
                }
            }
            Err(error) => last = error,
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(format!("not ready after {READY_DEADLINE:?}: {last}\n{}", apiserver.log_tail()))
}

async fn readyz(kubeconfig: &str) -> Result<(), String> {
    let client = client(kubeconfig).await?;
    let request = http::Request::get("/readyz").body(Vec::new()).map_err(|e| e.to_string())?;
    tokio::time::timeout(Duration::from_secs(5), client.request_text(request))
        .await
        .map_err(|_| "/readyz did not answer in 5 s".to_owned())?
        .map(drop)
        .map_err(|e| e.to_string())
}

/// A client as the text of a kubeconfig says.
pub async fn client(kubeconfig: &str) -> Result<Client, String> {
    let parsed = Kubeconfig::from_yaml(kubeconfig).map_err(|e| e.to_string())?;
    let config =
        Config::from_custom_kubeconfig(parsed, &KubeConfigOptions::default()).await.map_err(|e| e.to_string())?;
    Client::try_from(config).map_err(|e| e.to_string())
}

/// Runs a future on a thread of its own, so that it works inside and outside a runtime.
pub fn block_on<T: Send + 'static>(
    future: impl Future<Output = Result<T, String>> + Send + 'static,
) -> Result<T, String> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
        runtime.block_on(future)
    })
    .join()
    .unwrap_or_else(|_| Err("the thread of the start panicked".into()))
}

/// Applies Istio's CRDs server-side and waits until each is established.
async fn install_istio_crds(client: &Client) -> Result<(), String> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition"));
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind);
    let text = std::fs::read_to_string(istio_crds()?).map_err(|e| e.to_string())?;
    let mut crds = Vec::new();
    for document in serde_yaml::Deserializer::from_str(&text) {
        let crd = Value::deserialize(document).map_err(|e| e.to_string())?;
        if !crd.is_null() {
            crds.push(crd);
        }
    }
    let (api, params) = (&api, &PatchParams::apply("testbed").force());
    try_join_all(crds.iter().map(|crd| async move {
        let name = crd["metadata"]["name"].as_str().unwrap_or_default();
        api.patch(name, params, &Patch::Apply(crd)).await.map_err(|e| format!("CRD {name}: {e}"))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let live = api.get(name).await.map_err(|e| format!("CRD {name}: {e}"))?;
            let conditions = live.data["status"]["conditions"].as_array().cloned().unwrap_or_default();
            if conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(format!("CRD {name} was not established in 30 s: {conditions:?}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }))
    .await
    .map(drop)
}

/// The file of Istio's CRDs in the Go module cache.
fn istio_crds() -> Result<PathBuf, String> {
    let out = go("controlplane", &["list", "-m", "-f", "{{.Dir}}", "istio.io/api"])?;
    Ok(Path::new(out.trim()).join("kubernetes/customresourcedefinitions.gen.yaml"))
}

/// The command of a component, without its flags.
pub fn program(name: &str) -> Result<Command, String> {
    let Some(binary) = asset(name) else {
        let mut command = Command::new(built_binary()?);
        command.arg(name);
        return Ok(command);
    };
    Ok(guarded(&binary))
}

/// The command of somebody else's binary, which does not end with its standard input: a shell that waits for that end
/// kills it.
pub fn guarded(binary: &Path) -> Command {
    let script = "exec 3<&0; \"$0\" \"$@\" </dev/null & pid=$!; \
                  (cat <&3 >/dev/null; kill -9 $pid) 2>/dev/null & guard=$!; \
                  wait $pid; code=$?; kill $guard; exit $code";
    let mut command = Command::new("sh");
    command.arg("-c").arg(script).arg(binary);
    command
}

fn asset(name: &str) -> Option<PathBuf> {
    let binary = PathBuf::from(std::env::var_os("KUBEBUILDER_ASSETS")?).join(name);
    binary.is_file().then_some(binary)
}

/// The control-plane binary, built at first use by whichever test process comes first.
fn built_binary() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let flags = "-s -w -X k8s.io/component-base/version.gitVersion=v1.34.4";
    BUILT.get_or_init(|| build("controlplane", flags)).clone()
}

/// Builds the module `tests/<module>` once for each state of it.
pub fn build(module: &str, flags: &str) -> Result<PathBuf, String> {
    let mut hash = Sha256::new();
    for file in sources(module)? {
        hash.update(std::fs::read(module_dir(module).join(&file)).map_err(|e| format!("{file}: {e}"))?);
    }
    let key: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let binary = testbed_dir().join(format!("{module}-{key}"));
    let lock = File::create(testbed_dir().join("build.lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if !binary.is_file() {
        eprintln!("building the {module} of the tests; the first time this takes minutes");
        let partial = binary.with_extension("partial");
        go(module, &["build", "-ldflags", flags, "-o", &partial.display().to_string(), "."])?;
        std::fs::rename(&partial, &binary).map_err(|e| e.to_string())?;
    }
    Ok(binary)
}

/// The files that a module is built of, in order.
fn sources(module: &str) -> Result<Vec<String>, String> {
    let files = std::fs::read_dir(module_dir(module)).map_err(|e| e.to_string())?;
    let mut names: Vec<String> = files.flatten().map(|file| file.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Runs Go in the module `tests/<module>` and returns what it prints.
pub fn go(module: &str, arguments: &[&str]) -> Result<String, String> {
    let out = Command::new("go")
        .args(arguments)
        .current_dir(module_dir(module))
        .env("CGO_ENABLED", "0")
        .env("GOFLAGS", "-mod=readonly")
        .output()
        .map_err(|e| format!("go cannot be run: {e}; install Go or set KUBEBUILDER_ASSETS"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("go {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&out.stderr)))
}

fn module_dir(module: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(module)
}

/// Where the test bed keeps what it builds and what runs.
pub fn testbed_dir() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("testbed");
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// A fresh folder named after this process, so that a later run can tell that its owner is gone.
pub fn run_dir() -> PathBuf {
    static NEXT: Mutex<u32> = Mutex::new(0);
    let mut next = NEXT.lock().unwrap();
    *next += 1;
    testbed_dir().join(format!("run-{}-{next}", std::process::id()))
}

/// Removes what test processes left behind that were killed before they could.
fn sweep_dead_runs() {
    for entry in std::fs::read_dir(testbed_dir()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let owner = name.strip_prefix("run-").and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
