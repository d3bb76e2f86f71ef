//! A shop with the binary running on it, serving on a free port.

use std::time::Duration;

use serde_json::Value;

use crate::client::{self, Answer};
use crate::kubernetes::eventually;
use crate::process::{self, Process};
use crate::proxy::CONTEXT;
use crate::shop::{SOON, Shop};

pub struct Running {
    pub shop: Shop,
    pub process: Process,
    pub address: String,
}

/// A plan of three versions; `spec` is what stands beside service, versions and `from`.
pub fn plan(namespace: &str, service: &str, spec: &str) -> String {
    let versions = ["v1", "v2", "v3"].map(|name| format!("{name}: {{labels: {{version: {name}}}}}")).join(", ");
    crate::shop::plan(namespace, service, &format!("  versions: {{{versions}}}\n  {spec}"))
}

/// Commits the plan of the service `web`.
pub fn commit(shop: &Shop, spec: &str) {
    shop.repository.commit(spec, &[("plans/web.yaml", plan(&shop.namespace, "web", spec))]);
}

/// The arguments of `tidegate run` on a shop, and more.
pub fn arguments(shop: &Shop, more: &[&str]) -> Vec<String> {
    let (repository, kubeconfig) = (shop.repository.location(), shop.proxy.kubeconfig().display().to_string());
    let fixed = ["run", "--repo", &repository, "--repo-name", &shop.namespace, "--kubeconfig", &kubeconfig];
    let short = ["--context", CONTEXT, "--convergence-wait", "100ms", "--interval", "1h"];
    fixed.iter().chain(&short).chain(more).map(|word| (*word).to_owned()).collect()
}

impl Running {
    /// Starts on a shop of its own with the service `web`.
    pub async fn open(prefix: &str, more: &[&str]) -> Self {
        Self::on(Shop::open(prefix, &["web"]).await, more).await
    }

    /// Starts on this shop, and waits until it listens.
    pub async fn on(shop: Shop, more: &[&str]) -> Self {
        let serve = ["--listen", "127.0.0.1:0", "--log-format", "json"];
        let more: Vec<&str> = serve.iter().chain(more).copied().collect();
        let process = Process::start(shop.repository.home(), &arguments(&shop, &more));
        let address = || lines(&process).iter().find_map(|line| Some(line["address"].as_str()?.to_owned()));
        eventually("it listens", SOON, || async { address().is_some() }).await;
        let address = address().unwrap();
        Self { shop, process, address }
    }

    pub async fn get(&self, path: &str) -> Answer {
        client::get(&self.address, path).await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        client::post(&self.address, path, headers, body).await
    }

    pub async fn until_ready(&self) {
        eventually("it is ready", SOON, || async { self.get("/readyz").await.code == 200 }).await;
    }

    /// The value of a series, as it stands on the page; none where it is not there.
    pub async fn metric(&self, series: &str) -> Option<f64> {
        let page = self.get("/metrics").await.body;
        page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    /// Waits until a series has the value.
    pub async fn until_metric(&self, series: &str, value: f64) {
        eventually(&format!("{series} is {value}"), SOON, || async { self.metric(series).await == Some(value) }).await;
    }

    /// How often the repository was looked at.
    pub async fn looks(&self) -> f64 {
        let page = self.get("/metrics").await.body;
        let of = |line: &str| line.strip_prefix("tidegate_git_looks_total")?.rsplit_once(' ')?.1.parse::<f64>().ok();
        page.lines().filter_map(of).sum()
    }

    /// Asks it to end, and returns its exit code.
    pub async fn end(&mut self) -> i32 {
        self.process.terminate().await;
        self.process.ended(Duration::from_secs(20)).await
    }
}

/// The lines of the log so far; a last one that is not whole yet is left out.
pub fn lines(process: &Process) -> Vec<Value> {
    let log = process.log();
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Runs `tidegate run` on a folder, where it is to end by itself.
pub async fn refused(home: &std::path::Path, repository: &str, more: &[&str]) -> process::Answer {
    let arguments: Vec<&str> = ["run", "--repo", repository].into_iter().chain(more.iter().copied()).collect();
    process::run(home, &arguments).await
}
