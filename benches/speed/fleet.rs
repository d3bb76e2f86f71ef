//! What many clusters cost one process: each is a sandbox, and every plan goes to all of them.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate::sandbox::{Options, Server};

use crate::Wanted;
use crate::figures::{Board, Bound, Samples, Unit};
use crate::plans::{PlanRepository, path, plan};
use crate::process::{Running, Setup};
use crate::scale::{IDLE, IDLE_QUICK};

const SIZES: [usize; 3] = [1, 10, 100];
const PLANS: usize = 100;
pub const NAMESPACE: &str = "fleet";
/// The bounds of 100 clusters.
const MEMORY_MIB: f64 = 400.0;
const IDLE_PERCENT: f64 = 2.0;
const LIVE_MS: f64 = 300.0;
const BACK_P99_MS: f64 = 1_000.0;
const CONVERGENCE_WAIT: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(600);
/// The step at which every plan stands when it goes back.
const STEP: u64 = 37;

pub async fn measure(wanted: &Wanted, board: &mut Board) {
    for count in SIZES {
        if wanted.has(&format!("fleet-{count}")) {
            of(count, wanted, board).await;
        }
    }
}

async fn of(count: usize, wanted: &Wanted, board: &mut Board) {
    let most = count == 100;
    let bounds = |bound: Bound| if most { vec![bound] } else { Vec::new() };
    let label = |what: &str| format!("{what}, {count} clusters × {PLANS} plans");
    let names: Vec<String> = (0..PLANS).map(|at| format!("p{at:05}")).collect();
    let mut fleet = Fleet::open(count, &names).await;
    let files: Vec<(String, String)> = names.iter().map(|name| (path(name), plan(NAMESPACE, name, 0, &[]))).collect();
    let plans = PlanRepository::with(&files);
    let kubeconfig = plans.beside().join("kubeconfig");
    std::fs::write(&kubeconfig, fleet.kubeconfig()).unwrap();
    let mut setup = Setup::local(&plans);
    setup.contexts = fleet.contexts();
    let begin = Instant::now();
    let tidegate = Running::start(&kubeconfig, &setup, CONVERGENCE_WAIT);
    fleet.all_at(&names, 0).await;
    board.show(&label("first sync (2 objects each)"), &once(begin.elapsed()), &[]);
    fleet.calm().await;

    let mut commits = Samples::new(Unit::Milliseconds);
    for turn in 0..wanted.samples(200, 40) {
        let name = std::slice::from_ref(&names[turn % PLANS]);
        let v2 = if (turn / PLANS).is_multiple_of(2) { 10 } else { 0 };
        let commit = plans.prepare(&[(path(&name[0]), plan(NAMESPACE, &name[0], v2, &[]))]);
        let begin = plans.publish(commit);
        commits.push_time(fleet.all_at(name, u64::from(v2)).await - begin);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    board.show(&label("commit to the last cluster's weights"), &commits, &bounds(Bound::Median(LIVE_MS)));
    fleet.calm().await;

    let span = if wanted.quick { IDLE_QUICK } else { IDLE };
    let before = tidegate.cpu_s();
    tokio::time::sleep(span).await;
    let used = (tidegate.cpu_s() - before) / span.as_secs_f64() * 100.0;
    let at_rest = |what: &str| label(&format!("{what} at rest for {} s", span.as_secs()));
    board.show(&at_rest("processor"), &Samples::of(Unit::Percent, used), &bounds(Bound::Most(IDLE_PERCENT)));
    let resident = Samples::of(Unit::Mebibytes, tidegate.rss_mib());
    board.show(&at_rest("resident memory"), &resident, &bounds(Bound::Most(MEMORY_MIB)));

    let step = format!("{{weight: {STEP}, hold: 1h}}");
    let raised: Vec<_> = names.iter().map(|name| (path(name), plan(NAMESPACE, name, 100, &[&step]))).collect();
    let commit = plans.prepare(&raised);
    plans.publish(commit);
    fleet.all_at(&names, STEP).await;
    fleet.calm().await;
    let dead = count / 10;
    fleet.lose(dead).await;
    // Until the process has seen that they are gone.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut reverts = Samples::new(Unit::Milliseconds);
    for name in names.iter().take(wanted.samples(PLANS, 40)) {
        let commit = plans.prepare(&[(path(name), plan(NAMESPACE, name, 0, &[]))]);
        let begin = plans.publish(commit);
        reverts.push_time(fleet.all_at(std::slice::from_ref(name), 0).await - begin);
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let what = format!("revert to proven weights in all that answer, {dead} dead");
    board.show(&label(&what), &reverts, &bounds(Bound::P99(BACK_P99_MS)));
    tidegate.end();
}

fn once(time: Duration) -> Samples {
    let mut samples = Samples::new(Unit::Milliseconds);
    samples.push_time(time);
    samples
}

/// Clusters whose objects are seen without asking.
pub struct Fleet {
    servers: Vec<Server>,
}

impl Fleet {
    /// Clusters in which every version of every service has a ready pod.
    pub async fn open(count: usize, names: &[String]) -> Self {
        let mut servers = Vec::new();
        for _ in 0..count {
            let server = Server::start(Options::default()).await.unwrap();
            let put = |object: Value| drop(server.store().put(object).unwrap());
            put(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
            for name in names {
                let meta = |own: &str, labels: Value| json!({"name": own, "namespace": NAMESPACE, "labels": labels});
                put(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(name, json!({})),
                    "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80}]}}));
                let mut endpoints = Vec::new();
                for (place, version) in ["v1", "v2"].into_iter().enumerate() {
                    let pod = format!("{name}-{version}");
                    put(json!({"apiVersion": "v1", "kind": "Pod",
                        "metadata": meta(&pod, json!({"app": name, "version": version})),
                        "spec": {"containers": [{"name": "web", "image": "web"}]}}));
                    endpoints
                        .push(json!({"addresses": [format!("10.0.0.{}", place + 1)], "conditions": {"ready": true},
                        "targetRef": {"kind": "Pod", "name": pod, "namespace": NAMESPACE}}));
                }
                put(json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                    "metadata": meta(&format!("{name}-1"), json!({"kubernetes.io/service-name": name})),
                    "ports": [{"name": "http", "port": 80, "protocol": "TCP"}], "endpoints": endpoints}));
            }
            servers.push(server);
        }
        Self { servers }
    }

    /// The names of the clusters, as contexts.
    pub fn contexts(&self) -> String {
        (0..self.servers.len()).map(|at| format!("c{at}")).collect::<Vec<_>>().join(",")
    }

    /// A kubeconfig with a context for each.
    pub fn kubeconfig(&self) -> String {
        let mut merged = json!({"apiVersion": "v1", "kind": "Config", "clusters": [], "contexts": [], "users": []});
        let mut push = |list: &str, item: Value| merged[list].as_array_mut().unwrap().push(item);
        for (at, server) in self.servers.iter().enumerate() {
            let one: Value = serde_json::from_str(&server.kubeconfig()).unwrap();
            let name = format!("c{at}");
            push("clusters", json!({"name": name, "cluster": one["clusters"][0]["cluster"]}));
            push("users", json!({"name": name, "user": one["users"][0]["user"]}));
            push("contexts", json!({"name": name, "context": {"cluster": name, "user": name}}));
        }
        merged.to_string()
    }

    /// Waits until v2 of all these has that weight in every cluster; returns when that was.
    pub async fn all_at(&self, names: &[String], v2: u64) -> Instant {
        let end = Instant::now() + PATIENCE;
        for server in &self.servers {
            for name in names {
                let there = || {
                    let live = server.store().get("virtualservices", NAMESPACE, name)?;
                    let legs = live["spec"]["http"][0]["route"].as_array()?;
                    let own = legs.iter().find(|leg| leg["destination"]["subset"] == "v2");
                    // A destination that gets everything has no weight.
                    Some(own.map_or(0, |leg| leg["weight"].as_u64().unwrap_or(100)))
                };
                while there() != Some(v2) {
                    assert!(Instant::now() < end, "{name} not at {v2} after {PATIENCE:?}");
                    tokio::time::sleep(Duration::from_micros(500)).await;
                }
            }
        }
        Instant::now()
    }

    /// Waits until nothing is written any more.
    pub async fn calm(&self) {
        let writes = || self.servers.iter().map(|server| server.store().writes()).sum::<u64>();
        let mut before = None;
        while before != Some(writes()) {
            before = Some(writes());
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    /// Takes the last one out.
    pub fn take_last(&mut self) -> Server {
        self.servers.pop().unwrap()
    }

    async fn lose(&mut self, count: usize) {
        for server in self.servers.drain(..count) {
            server.stop().await;
        }
    }
}
