//! From the last proxy having new weights, as its own admin page shows them, to tidegate knowing it from istiod.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tidegate::cluster::{Access, Cluster, Gateways, Istiods, Progress, ProxyAccess, watch_proxies};
use tidegate::istio::ObjectKind;
use tidegate::plan::ObjectKey;

use crate::Wanted;
use crate::bed::Bed;
use crate::controlplane::free_port;
use crate::envoy::{self, Envoy, Role};
use crate::figures::{Board, Bound, Samples, Unit};
use crate::istiod::{self, Istiod};
use crate::kubernetes::{api, create, namespace};
use crate::mesh::{Mesh, PATIENCE};
use crate::plans::PlanRepository;
use crate::process::Setup;
use crate::relay::Relay;
use crate::scale::{IDLE, IDLE_PERCENT, IDLE_QUICK};

const KNOWN_MS: f64 = 150.0;
const KNOWN_P99_MS: f64 = 500.0;
/// How often the proxies' own pages are read.
const GLANCE: Duration = Duration::from_millis(3);
/// How many plans stand still, and after how long it is taken that nothing is asked any more.
const PLANS: usize = 1_000;
const QUIET: Duration = Duration::from_secs(3);
const ISTIO: &str = "networking.istio.io/v1";

pub async fn measure(wanted: &Wanted, mesh: &Mesh, board: &mut Board) {
    if let Some(why) = istiod::binary().err().or_else(|| envoy::binary().err()) {
        eprintln!("converge is NOT measured: {why}");
        return;
    }
    let home = namespace(&mesh.client, "converge").await;
    crate::kubernetes::service(&mesh.client, &home, "web", free_port()).await;
    create(&mesh.client, edge(&home, free_port())).await;
    create(&mesh.client, rule(&home)).await;
    create(&mesh.client, route(&home, 0)).await;
    let (istiod, proxies) = tokio::task::block_in_place(|| {
        let istiod = Istiod::start(&mesh.plane);
        // Nothing here asks for certificates.
        let start = |role| Arc::new(Envoy::start(role, istiod.grpc_port(), free_port()));
        let proxies = [Role::Gateway("converge"), Role::Caller("caller", "default")].map(start);
        (istiod, proxies)
    });
    let to = Access { kubeconfig: Some(mesh.plane.kubeconfig()), ..Access::default() };
    let cluster = Cluster::connect("bench", &to).await.unwrap();
    let gateways = Gateways::At(vec![format!("http://127.0.0.1:{}", proxies[0].admin_port()).parse().unwrap()]);
    let istiods = Istiods::At(vec![istiod.url().parse().unwrap()]);
    let (watch, mut news) = watch_proxies(&cluster, ProxyAccess { istiods, token_file: None, gateways });
    let key = ObjectKey { namespace: home.clone(), name: "web".to_owned() };
    let routes = api(&mesh.client, &home, ISTIO, "VirtualService");
    let (mut known, mut whole) = (Samples::new(Unit::Milliseconds), Samples::new(Unit::Milliseconds));
    for sample in 0..wanted.samples(200, 20) {
        let v2 = 1 + u64::try_from(sample % 99).unwrap();
        let patch = json!({"spec": route(&home, v2)["spec"]});
        let live = routes.patch("web", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
        let written = Instant::now();
        watch.ask(ObjectKind::VirtualService, key.clone(), Some(Arc::new(serde_json::to_value(live).unwrap())));
        let had = proxies.each_ref().map(|proxy| {
            let proxy = Arc::clone(proxy);
            tokio::task::spawn_blocking(move || when_it_has(&proxy, v2))
        });
        let at = loop {
            let news = tokio::time::timeout(PATIENCE, news.recv()).await.expect("istiod has answered").unwrap();
            if news.progress == Progress::Taken {
                break news.at;
            }
        };
        let mut last = written;
        for had in had {
            last = last.max(had.await.unwrap());
        }
        known.push_time(at.saturating_duration_since(last));
        whole.push_time(at - written);
    }
    board.show("proxies have weights → known", &known, &[Bound::Median(KNOWN_MS), Bound::P99(KNOWN_P99_MS)]);
    board.show("the same from the answer to the write", &whole, &[]);
    // So that it asks nothing more.
    drop((watch, news));
    at_rest(wanted, mesh, board, &istiod).await;
}

/// What plans that stand still cost where an istiod could be asked: nothing may be asked of it.
async fn at_rest(wanted: &Wanted, mesh: &Mesh, board: &mut Board, istiod: &Istiod) {
    let relay = Relay::to(istiod.monitoring_port()).await;
    let asking = |plans: &PlanRepository| {
        let more = vec!["--istiod".to_owned(), format!("http://127.0.0.1:{}", relay.port())];
        Setup { more, ..Setup::local(plans) }
    };
    let bed = Bed::reached_by(mesh, "rest", PLANS, asking).await;
    let mut before = 0;
    let begin = Instant::now();
    // Nothing is written any more; that all proxies have it is known a little later.
    while before == 0 || relay.bytes() != before {
        assert!(begin.elapsed() < PATIENCE, "istiod is still asked after {PATIENCE:?}");
        before = relay.bytes();
        tokio::time::sleep(QUIET).await;
    }
    let span = if wanted.quick { IDLE_QUICK } else { IDLE };
    let used = bed.tidegate().cpu_s();
    tokio::time::sleep(span).await;
    let used = (bed.tidegate().cpu_s() - used) / span.as_secs_f64() * 100.0;
    let asked = (relay.bytes() - before) as f64;
    let label = |what: &str| format!("{what} at rest for {} s, {PLANS} plans", span.as_secs());
    board.show(&label("bytes from and to istiod"), &Samples::of(Unit::Count, asked), &[Bound::Most(0.0)]);
    board.show(&label("processor with an istiod"), &Samples::of(Unit::Percent, used), &[Bound::Most(IDLE_PERCENT)]);
    bed.end(mesh).await;
}

/// When a proxy was first seen with this weight. Blocks.
fn when_it_has(proxy: &Envoy, v2: u64) -> Instant {
    let begin = Instant::now();
    loop {
        let text = proxy.routes().iter().map(Value::to_string).collect::<String>();
        let has = text.contains(&format!("\"weight\":{v2}}}")) && text.contains(&format!("\"weight\":{}}}", 100 - v2));
        if has {
            return Instant::now();
        }
        assert!(begin.elapsed() < PATIENCE, "a proxy has not got {v2} in {PATIENCE:?}: {text}");
        std::thread::sleep(GLANCE);
    }
}

fn edge(namespace: &str, port: u16) -> Value {
    let server =
        json!({"port": {"number": port, "name": "http", "protocol": "HTTP"}, "bind": "127.0.0.1", "hosts": ["*"]});
    json!({"apiVersion": ISTIO, "kind": "Gateway", "metadata": {"name": "edge", "namespace": namespace},
        "spec": {"selector": {"istio": "converge"}, "servers": [server]}})
}

fn rule(namespace: &str) -> Value {
    let subsets = ["v1", "v2"].map(|name| json!({"name": name, "labels": {"version": name}}));
    json!({"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"host": "web", "subsets": subsets}})
}

fn route(namespace: &str, v2: u64) -> Value {
    let to = |subset: &str, weight| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    json!({"apiVersion": ISTIO, "kind": "VirtualService", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"hosts": [format!("web.{namespace}.svc.cluster.local")], "gateways": ["edge", "mesh"], "http": [{"name": "web", "route": [to("v1", 100 - v2), to("v2", v2)]}]}})
}
