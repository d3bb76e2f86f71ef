use std::collections::BTreeSet;

use super::Allow;
use crate::plan::{ParsedFile, parse_file};

/// A list for each word: namespaces, hosts, gateways and kinds, `-` where it is left out.
fn allow(namespaces: &str, hosts: &str, gateways: &str, kinds: &str) -> Allow {
    fn list<P: std::str::FromStr>(text: &str) -> Option<Vec<P>> {
        let parse = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text}"));
        (text != "-").then(|| text.split_whitespace().map(parse).collect())
    }
    Allow { namespaces: list(namespaces), hosts: list(hosts), gateways: list(gateways), kinds: list(kinds) }
}

fn plan(namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: web, namespace: {namespace}}}\nspec:\n  service: \
         web\n  versions: {{v1: {{labels: {{v: a}}}}, v2: {{labels: {{v: b}}}}}}\n  traffic: {{v1: 100}}\n  {spec}\n"
    )
}

fn object(kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: public, namespace: shop}}\nspec: {{{spec}}}\n"
    )
}

fn judged(allow: &Allow, text: &str) -> ParsedFile {
    let mut file = parse_file("web.yaml", text.as_bytes());
    assert!(!file.has_errors() && file.documents.len() == 1, "{text}{:#?}", file.findings);
    allow.judge(text, &mut file);
    file
}

/// Code and bytes of what is beyond, by place.
fn beyond(allow: &Allow, text: &str) -> Vec<(&'static str, String)> {
    let file = judged(allow, text);
    let of_lists = file.findings.iter().filter(|finding| finding.code.starts_with("AL"));
    let found: Vec<_> = of_lists
        .map(|finding| {
            let place = finding.place.as_ref().unwrap();
            assert!(finding.hints[0].contains("allow.") || finding.hints[0].starts_with("name "), "{finding:?}");
            (finding.code, text[place.start..place.end].to_owned())
        })
        .collect();
    assert_eq!(file.documents.is_empty(), !found.is_empty(), "{found:?}");
    found
}

fn shop() -> Allow {
    allow(
        "shop team-*",
        "*.shop.svc.cluster.local www.example.com",
        "mesh shop/* istio-system/public",
        "CanaryPlan Gateway",
    )
}

#[test]
fn what_the_lists_cover_stays() {
    let all = "hosts: [web, www.example.com]\n  gateways: [mesh, istio-system/public, own, ./own]\n  http: {mirror: {host: \
               web}, mirrorPercentage: {value: 5}, headers: {request: {set: {host: other.example.com}}}}\n  objects: \
               {virtualService: {exportTo: [., shop, team-a]}}";
    for text in [
        plan("shop", ""),
        plan("shop", &all.replace(", ./own", "")),
        object("Gateway", "servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*/www.example.com']}]"),
    ] {
        assert_eq!(beyond(&shop(), &text), [], "{text}");
        assert_eq!(beyond(&Allow::default(), &text), []);
    }
}

#[test]
fn whatever_is_beyond_is_found_where_it_is_written() {
    let at = |code: &'static str, text: &str| (code, text.to_owned());
    let host = |text: &str| vec![at("AL02", text)];
    let cases = [
        (plan("other", "hosts: [www.example.com]"), vec![at("AL01", "other"), at("AL02", "web")]),
        (plan("shop", "hosts: [web, api.example.com]"), host("api.example.com")),
        (plan("shop", "hosts: ['*.example.com']"), host("'*.example.com'")),
        (plan("shop", "gateways: [shop/own]\n  hosts: ['*']"), host("'*'")),
        (plan("shop", "hosts: [web, api.other.svc.cluster.local]"), host("api.other.svc.cluster.local")),
        (plan("shop", "hosts: [WEB, Api.Other.svc.cluster.local]"), host("Api.Other.svc.cluster.local")),
        (plan("shop", "gateways: [mesh, istio-system/private]"), vec![at("AL03", "istio-system/private")]),
        (plan("shop", "gateways: [public.other]"), vec![at("AL03", "public.other")]),
        (plan("shop", "match: [{gateways: [other/own]}, {uri: {prefix: /}}]"), vec![at("AL03", "other/own")]),
        (
            plan("shop", "pins: [{name: qa, match: [{gateways: [other/own], headers: {qa: {exact: a}}}], to: v2}]"),
            vec![at("AL03", "other/own")],
        ),
        (
            plan("shop", "routes: [{name: a, match: [{uri: {prefix: /a}}], hosts: [api.example.com]}, {name: b}]"),
            host("api.example.com"),
        ),
        (
            plan("shop", "routes: [{name: a, match: [{uri: {prefix: /a}}]}, {name: b, gateways: [other/a]}]"),
            vec![at("AL03", "other/a")],
        ),
        (
            plan("shop", "http: {mirror: {host: api.other.svc.cluster.local}, mirrorPercentage: {value: 5}}"),
            host("api.other.svc.cluster.local"),
        ),
        (
            plan("shop", "http: {mirrors: [{destination: {host: 'b.example.com'}, percentage: {value: 5}}]}"),
            host("'b.example.com'"),
        ),
        (plan("shop", "http: {isNew: {deep: [{host: b.example.com}]}}"), host("b.example.com")),
        (plan("shop", "trafficPolicy: {tunnel: {targetHost: b.example.com, targetPort: 80}}"), host("b.example.com")),
        (plan("shop", "objects: {destinationRule: {exportTo: [shop, other]}}"), vec![at("AL01", "other")]),
        (
            object("Gateway", "servers: [{port: {number: 80}, hosts: [team-a/api.example.com]}]"),
            host("team-a/api.example.com"),
        ),
        (object("ServiceEntry", "hosts: [www.example.com]"), vec![at("AL04", "ServiceEntry")]),
    ];
    for (text, expected) in cases {
        assert_eq!(beyond(&shop(), &text), expected, "{text}");
    }
    let version = plan("shop", "").replace("{v: b}}", "{v: b}, trafficPolicy: {tunnel: {targetHost: b.example.com}}}");
    assert_eq!(beyond(&shop(), &version), host("b.example.com"));
}

#[test]
fn a_default_is_shown_where_the_service_is_written() {
    let at = |code: &'static str| vec![(code, "web".to_owned())];
    assert_eq!(beyond(&allow("-", "www.example.com", "-", "-"), &plan("shop", "hosts: [www.example.com]")), at("AL02"));
    assert_eq!(beyond(&allow("-", "", "-", "-"), &plan("shop", "")), at("AL02"));
    assert_eq!(beyond(&allow("-", "-", "", "-"), &plan("shop", "")), at("AL03"));
    let text = plan("shop", "").replace(", namespace: shop", "");
    assert_eq!(beyond(&allow("shop", "-", "-", "-"), &text), [("AL01", "web".to_owned()), ("AL01", "web".to_owned())]);
    assert_eq!(beyond(&allow("-", "-", "-", "Gateway"), &plan("shop", "")), [("AL04", "CanaryPlan".to_owned())]);
}

#[test]
fn plain_objects_claim_hosts_gateways_and_where_they_are_seen() {
    let lists = allow("shop", "*.example.com", "shop/public", "-");
    let found = |kind: &str, spec: &str| beyond(&lists, &object(kind, spec));
    let one = |code: &'static str, text: &str| vec![(code, text.to_owned())];
    assert_eq!(found("Gateway", "servers: [{hosts: [a.example.com]}, {hosts: ['./*']}]"), one("AL02", "'./*'"));
    assert_eq!(
        found("ServiceEntry", "hosts: [a.example.com, api.other.svc.cluster.local]"),
        one("AL02", "api.other.svc.cluster.local")
    );
    assert_eq!(found("ServiceEntry", "hosts: [api]"), one("AL02", "api"), "callers of a Service api, in any namespace");
    assert_eq!(found("ServiceEntry", "hosts: [a.example.com], exportTo: [., other]"), one("AL01", "other"));
    assert_eq!(found("ServiceEntry", "hosts: [a.example.com], exportTo: ['*']"), []);
    let endpoints = "hosts: [a.example.com], endpoints: [{address: 10.0.0.1}, {address: '::1'}, {address: api.other}]";
    assert_eq!(found("ServiceEntry", endpoints), one("AL02", "api.other"));
    assert_eq!(
        found("WorkloadEntry", "address: api.other.svc.cluster.local"),
        one("AL02", "api.other.svc.cluster.local")
    );
    assert_eq!(found("WorkloadEntry", "address: 10.0.0.1"), []);
    assert_eq!(found("Sidecar", "egress: [{hosts: ['*/*']}]"), [], "what is imported takes nobody's traffic");
    let other = allow("-", "-", "shop/other", "-");
    assert_eq!(beyond(&other, &object("Gateway", "servers: []")), one("AL03", "public"));
}

#[test]
fn without_hosts_a_service_is_one_of_its_namespace() {
    let lists = allow("shop", "-", "-", "-");
    let of = |hosts: &str| beyond(&lists, &plan("shop", &format!("gateways: [shop/a]\n  hosts: [{hosts}]")));
    for hosts in ["web, www.example.com", "'*.example.com'", "'*'", "'*.shop.svc.cluster.local'"] {
        assert_eq!(of(hosts), [], "{hosts}");
    }
    for host in [
        "api.other.svc.cluster.local",
        "api.other.svc",
        "api.other.svc.clusterset.local",
        "'*.other.svc.cluster.local'",
        "'*.svc.cluster.local'",
        "'*.local'",
    ] {
        assert_eq!(of(host), [("AL01", host.to_owned())], "{host}");
    }
    assert_eq!(beyond(&lists, &object("ServiceEntry", "hosts: [api]")), [("AL01", "api".to_owned())]);
    let named = allow("shop", "web.shop.svc.cluster.local api.other.svc.cluster.local", "-", "-");
    assert_eq!(beyond(&named, &plan("shop", "hosts: [web, api.other.svc.cluster.local]")), [], "the host is listed");
}

#[test]
fn a_refused_plan_is_one_that_is_newer_and_invalid_and_others_of_its_file_stay() {
    let text = format!("{}---\n{}", plan("other", ""), plan("shop", ""));
    let mut file = parse_file("web.yaml", text.as_bytes());
    shop().judge(&text, &mut file);
    let keys: Vec<String> = file.broken.iter().map(ToString::to_string).collect();
    assert_eq!((keys, file.documents.len(), file.has_errors()), (vec!["other/web".to_owned()], 1, true));
    let codes: BTreeSet<_> = file.findings_of(&file.broken[0]).map(|finding| finding.code).collect();
    assert_eq!(codes, BTreeSet::from(["AL01", "AL02"]));
}

#[test]
fn a_host_that_several_routes_share_is_told_once() {
    let text = plan("shop", "hosts: [b.example.com]\n  routes: [{name: a, match: [{uri: {prefix: /a}}]}, {name: b}]");
    assert_eq!(beyond(&shop(), &text), [("AL02", "b.example.com".to_owned())]);
}
