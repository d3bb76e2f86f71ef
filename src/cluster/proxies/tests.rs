//! What the tracker makes of answers of istiod, looked at one after another.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    dump::{self, Found},
    syncz::{ProxySync, Sync},
    track::{Look, Progress, Target, Tracker},
};
use crate::{istio::ObjectKind, plan::ObjectKey};

const GATEWAY: &str = "gw-1.istio-system";
const CLIENT: &str = "client-1.shop";

fn target(kind: ObjectKind) -> Target {
    (kind, ObjectKey { namespace: "shop".into(), name: "web".into() })
}

fn meant() -> serde_json::Value {
    json!({
        "metadata": {"namespace": "shop", "name": "web", "generation": 7},
        "spec": {"hosts": ["web"], "host": "web", "subsets": [{"name": "v1"}, {"name": "v2"}], "http": [
            {"name": "qa", "match": [{"headers": {"qa": {"exact": "yes"}}}],
             "route": [{"destination": {"host": "web", "subset": "v2"}}]},
            {"name": "web", "route": [
                {"destination": {"host": "web", "subset": "v1"}, "weight": 90},
                {"destination": {"host": "web", "subset": "v2"}, "weight": 10}]}]}
    })
}

fn nonce(push: u64) -> String {
    format!("2026-11-29T23:56:26Z/{push}deb34202-bc6e-4711-b8ac-70a6fe8d36ac")
}

/// A proxy with everything of one push, sent and taken.
fn proxy(id: &str, sent: u64, acked: u64) -> ProxySync {
    let sync = Sync { sent: nonce(sent), acked: nonce(acked), error: String::new() };
    ProxySync { id: id.into(), routes: sync.clone(), listeners: sync.clone(), clusters: sync.clone(), endpoints: sync }
}

/// One istiod and what is asked about one object, with a clock of its own.
struct Bench {
    tracker: Tracker,
    target: Target,
    now: Instant,
    /// The proxies that the last look missed, and nothing else.
    away: Vec<String>,
}

impl Bench {
    fn ask(kind: ObjectKind) -> Self {
        Self::ask_gateways(kind, false)
    }

    fn ask_gateways(kind: ObjectKind, gateways: bool) -> Self {
        let (mut tracker, now) = (Tracker::new(gateways), Instant::now());
        tracker.replace_istiods(1);
        tracker.ask(target(kind), Some(Arc::new(meant())), now);
        Self { tracker, target: target(kind), now, away: Vec::new() }
    }

    fn pass(&mut self, ms: u64) -> &mut Self {
        self.now += Duration::from_millis(ms);
        self
    }

    /// A look at istiod, which holds this generation.
    fn look(&mut self, generation: i64, proxies: Vec<ProxySync>) -> Progress {
        self.look_at(generation, proxies, Found::Other)
    }

    /// The same, where every proxy that is looked at closely shows this.
    fn look_at(&mut self, generation: i64, proxies: Vec<ProxySync>, found: Found) -> Progress {
        let generations = self.tracker.needs_generations(0).then(|| [(self.target.clone(), generation)].into());
        let look = Look { generations, proxies };
        self.tracker.take(0, &look, self.now);
        for (target, id) in self.tracker.closely(0, &look.proxies, self.now) {
            let proxy = look.proxies.iter().find(|proxy| proxy.id == id).unwrap();
            self.tracker.looked_closely(0, &target, proxy, found, self.now);
        }
        self.away = self.tracker.away(self.now, self.now);
        self.tracker.progress(&["istiod".into()], self.now).remove(0).1
    }
}

fn words(progress: &Progress) -> &str {
    match progress {
        Progress::Awaited(words) | Progress::Refused(words) | Progress::Nobody(words) => words,
        Progress::Taken => "taken",
    }
}

#[test]
fn equal_nonces_prove_nothing_and_a_push_past_the_barrier_does() {
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    let both = |gateway, client| vec![proxy(GATEWAY, gateway, gateway), proxy(CLIENT, client, client)];
    assert_eq!(words(&bench.look(6, both(30, 30))), "istiod: it does not have the change yet");
    assert!(words(&bench.pass(20).look(7, both(30, 30))).contains("2 of 2 proxies lag"), "level, but of an older push");
    let lag = bench.pass(100).look(7, vec![proxy(GATEWAY, 31, 31), proxy(CLIENT, 31, 30)]);
    assert_eq!(words(&lag), "istiod: 1 of 2 proxies lag: client-1.shop");
    assert_eq!(bench.pass(20).look(7, both(31, 31)), Progress::Taken);
    assert!(bench.tracker.open.is_empty(), "it is asked no more");
}

#[test]
fn a_push_that_had_begun_before_istiod_had_the_change_does_not_count() {
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    bench.look(7, vec![proxy(GATEWAY, 41, 40)]);
    let lag = bench.pass(50).look(7, vec![proxy(GATEWAY, 41, 41)]);
    assert!(words(&lag).contains("lag"), "push 41 may not carry it: {lag:?}");
    assert_eq!(bench.pass(50).look(7, vec![proxy(GATEWAY, 42, 42)]), Progress::Taken);
}

#[test]
fn a_proxy_that_has_it_already_is_believed_once_it_is_steady() {
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    let level = || vec![proxy(GATEWAY, 30, 30)];
    bench.look_at(7, level(), Found::Same);
    assert!(matches!(bench.pass(500).look_at(7, level(), Found::Same), Progress::Awaited(_)));
    bench.pass(1_000).look_at(7, level(), Found::Same);
    assert_eq!(bench.pass(50).look_at(7, level(), Found::Same), Progress::Taken);
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    for _ in 0..60 {
        let lag = bench.pass(1_000).look_at(7, level(), Found::Other);
        assert!(matches!(lag, Progress::Awaited(_)), "other weights are never believed");
    }
    let unsent = || vec![proxy(GATEWAY, 31, 30)];
    for _ in 0..60 {
        assert!(
            matches!(bench.pass(1_000).look_at(7, unsent(), Found::Same), Progress::Awaited(_)),
            "one is on its way"
        );
    }
}

#[test]
fn a_proxy_that_knows_nothing_of_the_route_is_not_waited_for_once_others_were_pushed_to() {
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    let proxies = |push| vec![proxy(GATEWAY, push, push), proxy(CLIENT, 30, 30)];
    bench.look_at(7, proxies(30), Found::Absent);
    for _ in 0..5 {
        let lag = bench.pass(1_000).look_at(7, proxies(30), Found::Absent);
        assert!(matches!(lag, Progress::Awaited(_)), "the push may not have begun");
    }
    let others = bench.pass(1_000).look_at(7, proxies(31), Found::Absent);
    assert_eq!(others, Progress::Taken);
}

#[test]
fn a_proxy_that_is_sent_no_routes_is_none_of_its_business() {
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    let other = ProxySync { id: "ztunnel".into(), ..ProxySync::default() };
    bench.look(7, vec![proxy(GATEWAY, 30, 30), other.clone()]);
    assert_eq!(bench.pass(50).look(7, vec![proxy(GATEWAY, 31, 31), other]), Progress::Taken);
}

#[test]
fn a_refusal_is_told_with_the_words_of_the_proxy_unless_it_refused_before() {
    let refusing = |push| {
        let mut proxy = proxy(GATEWAY, push, 30);
        proxy.routes.error = "weights must be greater than 0".into();
        proxy
    };
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    bench.look(7, vec![proxy(GATEWAY, 30, 30)]);
    let told = bench.pass(100).look(7, vec![refusing(31)]);
    assert_eq!(told, Progress::Refused("gw-1.istio-system: weights must be greater than 0".into()));
    assert_eq!(bench.pass(100).look(7, vec![proxy(GATEWAY, 32, 32)]), Progress::Taken, "it recovers");

    let mut bench = Bench::ask(ObjectKind::VirtualService);
    bench.look(7, vec![refusing(31)]);
    let told = bench.pass(100).look(7, vec![refusing(32)]);
    assert!(matches!(&told, Progress::Awaited(words) if words.contains("since before")), "somebody else's: {told:?}");
}

#[test]
fn a_proxy_that_is_connected_no_more_is_waited_for_and_then_forgotten() {
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    bench.look(7, vec![proxy(GATEWAY, 30, 30), proxy(CLIENT, 30, 30)]);
    let lag = bench.pass(100).look(7, vec![proxy(GATEWAY, 31, 31)]);
    assert_eq!(words(&lag), "client-1.shop is not connected to istiod any more");
    let lag = bench.pass(31_000).look(7, vec![proxy(GATEWAY, 31, 31)]);
    assert_eq!(words(&lag), "client-1.shop has not come back to any istiod yet", "unless its pod has gone");
    bench.tracker.forget(CLIENT);
    assert_eq!(bench.look(7, vec![proxy(GATEWAY, 31, 31)]), Progress::Taken);
}

#[test]
fn an_istiod_that_was_restarted_is_asked_anew() {
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    bench.look(7, vec![proxy(GATEWAY, 30, 30)]);
    bench.pass(100).look(7, vec![proxy(GATEWAY, 2, 2)]);
    let lag = bench.pass(100).look(7, vec![proxy(GATEWAY, 2, 2)]);
    assert!(words(&lag).contains("lag"), "push 2 may not carry it");
    assert_eq!(bench.pass(100).look(7, vec![proxy(GATEWAY, 3, 3)]), Progress::Taken);
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    assert_eq!(words(&bench.look(7, vec![])), "istiod: no proxy is connected");
    bench.tracker.failed(0, "no answer in 5s");
    let told = bench.tracker.progress(&["istiod".into()], bench.now).remove(0).1;
    assert_eq!(words(&told), "istiod: no answer in 5s");
}

#[test]
fn law_08_where_no_istiod_is_found_nothing_is_taken() {
    let (mut tracker, now) = (Tracker::new(false), Instant::now());
    tracker.ask(target(ObjectKind::VirtualService), Some(Arc::new(meant())), now);
    let told = tracker.progress(&[], now).remove(0).1;
    assert_eq!(words(&told), "no istiod is found");
    tracker.lost("its name cannot be looked up");
    let told = tracker.progress(&[], now).remove(0).1;
    assert_eq!(words(&told), "its name cannot be looked up");
    tracker.replace_istiods(1);
    assert_eq!(words(&tracker.progress(&["istiod".into()], now).remove(0).1), "istiod is asked");
}

#[test]
fn proxies_that_a_new_istiod_has_not_seen_yet_are_waited_for_unless_their_pods_have_gone() {
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    bench.look(7, vec![proxy(GATEWAY, 30, 30), proxy(CLIENT, 30, 30)]);
    assert_eq!(bench.pass(50).look(7, vec![proxy(GATEWAY, 31, 31), proxy(CLIENT, 31, 31)]), Progress::Taken);
    // A step later, at an istiod that has just started.
    let again = |bench: &mut Bench| {
        bench.pass(600_000);
        bench.tracker.ask(bench.target.clone(), Some(Arc::new(meant())), bench.now);
        assert_eq!(words(&bench.look(7, vec![])), "istiod: no proxy is connected");
        let lag = bench.pass(2_500).look(7, vec![]);
        assert_eq!(words(&lag), "client-1.shop has not come back to any istiod yet");
        assert_eq!(bench.away, [CLIENT, GATEWAY]);
    };
    again(&mut bench);
    bench.tracker.forget(CLIENT);
    assert_eq!(words(&bench.look(7, vec![])), "gw-1.istio-system has not come back to any istiod yet");
    assert!(matches!(bench.pass(50).look(7, vec![proxy(GATEWAY, 1, 0)]), Progress::Awaited(_)), "it is on its way");
    assert_eq!(bench.pass(50).look(7, vec![proxy(GATEWAY, 1, 1)]), Progress::Taken);
    // For a time that is stated.
    let mut bench = Bench::ask(ObjectKind::VirtualService);
    bench.look(7, vec![proxy(GATEWAY, 30, 30), proxy(CLIENT, 30, 30)]);
    bench.pass(50).look(7, vec![proxy(GATEWAY, 31, 31), proxy(CLIENT, 31, 31)]);
    again(&mut bench);
    assert_eq!(bench.pass(61_000).look(7, vec![]), Progress::Taken);
}

#[test]
fn law_08_a_route_is_had_only_once_its_gateways_show_it() {
    let mut bench = Bench::ask_gateways(ObjectKind::VirtualService, true);
    let mut outside = meant();
    outside["spec"]["gateways"] = json!(["mesh", "edge"]);
    bench.tracker.ask(bench.target.clone(), Some(Arc::new(outside)), bench.now);
    bench.look(7, vec![proxy(GATEWAY, 30, 30)]);
    assert!(bench.tracker.unshown(bench.now).is_empty(), "istiod first");
    let level = || vec![proxy(GATEWAY, 31, 31)];
    assert_eq!(words(&bench.pass(50).look(7, level())), "the gateways are asked");
    assert_eq!(bench.tracker.unshown(bench.now).len(), 1);
    bench.tracker.showed(&bench.target.clone(), Some("gateway gw-1.istio-system has v1 100 in route web".into()));
    let told = bench.pass(600_000).look(7, level());
    assert_eq!(words(&told), "gateway gw-1.istio-system has v1 100 in route web");
    bench.tracker.showed(&bench.target.clone(), None);
    assert_eq!(bench.look(7, level()), Progress::Taken);

    let mut inside = Bench::ask_gateways(ObjectKind::VirtualService, true);
    inside.look(7, vec![proxy(GATEWAY, 30, 30)]);
    assert_eq!(inside.pass(50).look(7, level()), Progress::Taken, "it is on no gateway");
}

#[test]
fn a_destination_rule_is_had_once_its_endpoints_are() {
    let mut bench = Bench::ask(ObjectKind::DestinationRule);
    bench.look(7, vec![proxy(GATEWAY, 30, 30)]);
    let mut warming = proxy(GATEWAY, 31, 31);
    warming.endpoints.acked = nonce(30);
    assert!(matches!(bench.pass(50).look(7, vec![warming]), Progress::Awaited(_)));
    assert!(matches!(bench.pass(50).look(7, vec![proxy(GATEWAY, 31, 31)]), Progress::Awaited(_)), "one look more");
    assert_eq!(bench.pass(50).look(7, vec![proxy(GATEWAY, 31, 31)]), Progress::Taken);
}

/// A dump in the form of Envoy's own JSON, or, with `camel`, of istiod's.
fn dumped(v2: u64, camel: bool) -> serde_json::Value {
    let (metadata, weighted) =
        if camel { ("filterMetadata", "weightedClusters") } else { ("filter_metadata", "weighted_clusters") };
    let config = "/apis/networking.istio.io/v1/namespaces/shop/virtual-service/web";
    let cluster = |subset| format!("outbound|80|{subset}|web.shop.svc.cluster.local");
    json!({"configs": [{"virtualHosts": [{"routes": [
        {"name": "qa.0", "match": {"prefix": "/"}, "route": {"cluster": cluster("v2")},
         "metadata": {metadata: {"istio": {"config": config}}}},
        {"name": "web", "match": {"prefix": "/"}, "metadata": {metadata: {"istio": {"config": config}}},
         "route": {weighted: {"clusters": [
            {"name": cluster("v1"), "weight": 100 - v2}, {"name": cluster("v2"), "weight": v2}]}}},
        {"name": "else", "match": {"prefix": "/"}, "route": {"cluster": "PassthroughCluster"}}]}]}]})
}

#[test]
fn routes_are_compared_by_their_weights() {
    let target = target(ObjectKind::VirtualService);
    let compare = |meant: Option<&serde_json::Value>, dump| dump::compare(target.0, &target.1, meant, &dump);
    for camel in [false, true] {
        assert_eq!(compare(Some(&meant()), dumped(10, camel)), Found::Same);
        assert_eq!(compare(Some(&meant()), dumped(25, camel)), Found::Other);
        assert_eq!(compare(None, dumped(10, camel)), Found::Other, "meant to be gone");
    }
    let other = dump::differing(&target.1, &meant(), &dumped(25, false)).unwrap();
    assert_eq!(other, "v1 75, v2 25 in route web");
    assert_eq!(compare(Some(&meant()), json!({"configs": []})), Found::Absent);
    assert_eq!(compare(None, json!({"configs": []})), Found::Absent);
}

#[test]
fn subsets_are_compared_by_their_names() {
    let target = target(ObjectKind::DestinationRule);
    let compare = |dump| dump::compare(target.0, &target.1, Some(&meant()), &dump);
    let clusters = |subsets: &[&str]| {
        let named =
            subsets.iter().map(|subset| json!({"name": format!("outbound|80|{subset}|web.shop.svc.cluster.local")}));
        json!({"configs": named.collect::<Vec<_>>()})
    };
    assert_eq!(compare(clusters(&["", "v1", "v2"])), Found::Same);
    assert_eq!(compare(clusters(&["", "v1"])), Found::Other);
    assert_eq!(compare(clusters(&["", "v1", "v2", "v3"])), Found::Other, "one is to go yet");
    assert_eq!(compare(clusters(&[])), Found::Absent);
}
