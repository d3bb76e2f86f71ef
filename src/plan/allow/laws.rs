//! What holds of every list, plan and object.

use std::{collections::BTreeSet, sync::Arc};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};
use serde_json::{Value, json};

use super::{Allow, claims::beyond};
use crate::{
    istio::{self, fixtures},
    plan::{Document, Host, ObjectKey, PlainObject, Plan, Routing, Traffic, gateway, parse_file},
};

const NAMESPACES: [&str; 5] = ["shop", "sh*", "*-b", "team-b", "edge"];
const HOSTS: [&str; 8] = [
    "reviews.shop.svc.cluster.local",
    "*.shop.svc.cluster.local",
    "api.team-b.svc.cluster.local",
    "*.cluster.local",
    "a.example.com",
    "*.example.com",
    "*.example.org",
    "*.b.example.org",
];
const GATEWAYS: [&str; 5] = ["mesh", "edge/public", "edge/*", "shop/*", "shop/local"];
const KINDS: [&str; 3] = ["CanaryPlan", "Gateway", "ServiceEntry"];

/// The lists as written.
#[derive(Clone, Debug)]
struct Lists([Option<Vec<&'static str>>; 4]);

impl Lists {
    fn allow(&self) -> Allow {
        fn list<P: std::str::FromStr>(list: &Option<Vec<&str>>) -> Option<Vec<P>> {
            let parse = |text: &&str| text.parse().unwrap_or_else(|_| panic!("{text}"));
            list.as_ref().map(|list| list.iter().map(parse).collect())
        }
        let [namespaces, hosts, gateways, kinds] = &self.0;
        Allow { namespaces: list(namespaces), hosts: list(hosts), gateways: list(gateways), kinds: list(kinds) }
    }

    /// Whether the list of that number covers a name: a star stands for anything.
    fn covers(&self, list: usize, name: &str) -> bool {
        let covers = |pattern: &&str| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(end), _) => name.len() > end.len() && name.ends_with(end),
            (_, Some(start)) => name.starts_with(start),
            _ => *pattern == name,
        };
        self.0[list].as_ref().is_none_or(|list| list.iter().any(covers))
    }
}

fn any_lists() -> impl Strategy<Value = Lists> {
    fn list(all: &'static [&'static str]) -> impl Strategy<Value = Option<Vec<&'static str>>> {
        prop::option::of(subsequence(all, 0..=all.len()))
    }
    (list(&NAMESPACES), list(&HOSTS), list(&GATEWAYS), list(&KINDS))
        .prop_map(|(namespaces, hosts, gateways, kinds)| Lists([namespaces, hosts, gateways, kinds]))
}

/// The same lists with more in them.
fn longer(lists: &Lists) -> impl Strategy<Value = Lists> + use<> {
    let all: [&'static [&'static str]; 4] = [&NAMESPACES, &HOSTS, &GATEWAYS, &KINDS];
    let lists = lists.clone();
    all.map(|all| subsequence(all, 0..=all.len())).prop_map(move |more| {
        let mut lists = lists.clone();
        for (list, more) in lists.0.iter_mut().zip(more) {
            list.iter_mut().for_each(|list| list.extend(&more));
        }
        lists
    })
}

/// A routing of the fixtures that also names others where Istio's fields can.
fn any_claims() -> impl Strategy<Value = (Routing, Traffic)> {
    let host = || {
        select(vec![
            "reviews",
            "Reviews",
            "api.team-b.svc.cluster.local",
            "a.example.com",
            "b.example.com",
            "*.b.example.org",
            "*",
            "*.local",
        ])
    };
    let gateway = || select(vec!["mesh", "local", "edge/public", "edge/other", "public.edge", "team-b/x", "./local"]);
    let export = || prop::option::of(vec(select(vec![".", "*", "shop", "team-b", "edge"]), 1..3));
    let extras = vec((0_usize..6, host(), gateway()), 0..4);
    (fixtures::any_goal(), extras, export(), export()).prop_map(|((mut routing, traffic), extras, route, rule)| {
        for (what, host, gateway) in extras {
            let first = &mut routing.routes[0];
            let mirror = |value: Value| value.as_object().unwrap().clone();
            match what {
                0 => first.hosts.push(host.to_owned()),
                1 => first.gateways.push(gateway.to_owned()),
                2 => first.http.extend(mirror(json!({"mirror": {"host": host}}))),
                3 => first.http.extend(mirror(json!({"mirrors": [{"destination": {"host": host}}]}))),
                4 => first.matches.extend(fixtures::blocks(json!([{"gateways": [gateway]}]))),
                _ => routing.versions[0].traffic_policy = Some(json!({"tunnel": {"targetHost": host}})),
            }
        }
        let owned = |list: Vec<&str>| list.into_iter().map(str::to_owned).collect();
        routing.virtual_service.export_to = route.map(owned);
        routing.destination_rule.export_to = rule.map(owned);
        (routing, traffic)
    })
}

fn document(routing: &Routing, traffic: &Traffic) -> Document {
    let text = "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {name: reviews, namespace: shop}\nspec: {service: \
                reviews, versions: {v1: {labels: {v: a}}}, traffic: {v1: 100}}";
    let Document::Plan(plan) = parse_file("a.yaml", text.as_bytes()).documents.remove(0).0 else { panic!("no plan") };
    Document::Plan(Arc::new(Plan { routing: routing.clone(), traffic: traffic.clone(), ..Plan::clone(&plan) }))
}

/// Every name under such a key, anywhere in an object.
fn named(value: &Value, keys: &[&str], found: &mut BTreeSet<String>) {
    let texts = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| {
            if keys.contains(&key.as_str()) {
                found.extend(texts(value));
            }
            named(value, keys, found);
        }),
        Value::Array(list) => list.iter().for_each(|value| named(value, keys, found)),
        _ => {}
    }
}

fn any_object() -> impl Strategy<Value = Document> {
    (select(vec!["Gateway", "ServiceEntry", "Sidecar"]), select(vec!["shop", "team-b"]), fixtures::any_json()).prop_map(
        |(kind, namespace, spec)| {
            let key = ObjectKey { namespace: namespace.to_owned(), name: "local".to_owned() };
            let spec = json!({"hosts": ["a.example.com"], "servers": [spec.clone()], "endpoints": [spec]});
            Document::Object(Arc::new(PlainObject { kind: kind.to_owned(), key, value: json!({"spec": spec}) }))
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// The objects of an accepted plan name no namespace, host or gateway that the lists do not cover.
    #[test]
    fn what_an_accepted_plan_renders_is_within_the_lists(lists in any_lists(), (routing, traffic) in any_claims()) {
        if beyond(&lists.allow(), &document(&routing, &traffic)).is_empty() {
            let objects = [
                istio::virtual_service(&routing, &traffic),
                istio::destination_rule(&routing, &routing.versions),
            ];
            for object in &objects {
                let all = |keys: &[&str]| {
                    let mut found = BTreeSet::new();
                    named(object, keys, &mut found);
                    found
                };
                for host in all(&["host", "hosts", "targetHost"]) {
                    let full = Host::resolve(&host, "shop");
                    prop_assert!(lists.covers(1, full.as_str()), "{full}");
                    if let (None, Some((_, namespace))) = (&lists.0[1], full.service()) {
                        prop_assert!(lists.covers(0, namespace), "{full}");
                    }
                }
                for written in all(&["gateways"]) {
                    prop_assert!(lists.covers(2, &gateway(&written, "shop")), "{written}");
                }
                let mut namespaces = all(&["exportTo", "namespace"]);
                namespaces.retain(|name| !matches!(name.as_str(), "." | "*" | "~"));
                prop_assert!(namespaces.iter().all(|name| lists.covers(0, name)), "{namespaces:?}");
            }
            prop_assert!(lists.covers(3, "CanaryPlan"));
        }
    }

    /// What is beyond some list is beyond every shorter one.
    #[test]
    fn a_longer_list_never_refuses_what_a_shorter_one_accepted(
        (short, long) in any_lists().prop_flat_map(|lists| (Just(lists.clone()), longer(&lists))),
        (routing, traffic) in any_claims(),
        object in any_object(),
    ) {
        for document in [document(&routing, &traffic), object] {
            if beyond(&short.allow(), &document).is_empty() {
                prop_assert!(beyond(&long.allow(), &document).is_empty(), "{document:?}");
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The same text and lists give the same findings, and a file that nothing limits stays as it was.
    #[test]
    fn judging_is_a_function_of_text_and_lists(lists in any_lists(), (routing, traffic) in any_claims()) {
        let Document::Plan(plan) = document(&routing, &traffic) else { panic!("no plan") };
        let metadata = json!({"name": "reviews", "namespace": "shop"});
        let text = json!({"apiVersion": "tidegate.dev/v1alpha1", "kind": "CanaryPlan", "metadata": metadata,
            "spec": plan.written()}).to_string();
        let read = || parse_file("a.yaml", text.as_bytes());
        let judged = |allow: &Allow| {
            let mut file = read();
            allow.judge(&text, &mut file);
            file
        };
        prop_assert_eq!(judged(&lists.allow()), judged(&lists.allow()));
        prop_assert_eq!(judged(&Allow::default()), read());
        for finding in judged(&lists.allow()).findings {
            let place = finding.place.unwrap();
            prop_assert!(text.get(place.start..place.end).is_some());
        }
    }
}
