use serde_json::json;

use super::super::{CODES, Document, Finding, PlanKey, Severity, Span, parse_file, render};

const PLAN: &str = "apiVersion: tidegate.dev/v1alpha1
kind: CanaryPlan
metadata: {name: reviews, namespace: shop}
spec:
  service: reviews
  versions:
    v1: {labels: {version: v1}}
    v2: {labels: {version: v2}}
  traffic: {v1: 50, v2: 50}
";

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec: {}
";

/// The findings of a text, each as its code and the bytes it is placed at.
fn found(text: &str) -> Vec<(&'static str, &str)> {
    let findings = parse_file("web.yaml", text.as_bytes()).findings;
    findings
        .into_iter()
        .map(|Finding { code, place, .. }| place.map(|at| (code, &text[at.start..at.end])).unwrap())
        .collect()
}

/// The plan with more lines of `spec`.
fn with(spec: &str) -> String {
    let lines: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("{PLAN}{lines}")
}

/// The plan with one text replaced by another.
fn but(from: &str, to: &str) -> String {
    assert!(PLAN.contains(from), "{from}");
    PLAN.replacen(from, to, 1)
}

/// Each text with all that is found in it.
fn cases() -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    let route = "name: a, match: [{uri: {prefix: /a/}}]";
    vec![
        (but("service:", "servcie:"), vec![("PL04", "spec"), ("PL01", "servcie")]),
        (with("adopt: {}\nsteps: [{weight: 5, hold: 1m, pins: []}]"), vec![("PL02", "adopt"), ("PL02", "pins")]),
        (with("clusters: [eu-1, 'arn:aws:eks/eu']"), vec![]),
        (with("clusters: {matchLabels: {region: eu}}"), vec![]),
        (with("clusters: eu-1"), vec![("PL03", "eu-1")]),
        (with("clusters: []"), vec![("PL04", "clusters")]),
        (with("clusters: [a, '', a]"), vec![("PL06", "''"), ("PL03", "a")]),
        (with("clusters: {matchLabels: {}}"), vec![("PL04", "clusters")]),
        (
            with("clusters: {matchLabel: {a: b}}"),
            vec![("PL04", "clusters"), ("PL04", "clusters"), ("PL01", "matchLabel")],
        ),
        (with("clusters: {matchLabels: {a/b/c: d, e: 'f g'}}"), vec![("PL06", "a/b/c"), ("PL06", "'f g'")]),
        (with("waves: [[a], [], [b, a, '']]"), vec![("PL04", "["), ("PL10", "a"), ("PL04", "''")]),
        (with("barrier: all"), vec![]),
        (with("barrier: most"), vec![("PL03", "most")]),
        (with("barrier: {quorum: 0}"), vec![("PL17", "0")]),
        (with("barrier: {}"), vec![("PL04", "barrier")]),
        (but("kind: CanaryPlan", "kind: Freeze"), vec![("PL02", "Freeze")]),
        (
            with("pause: no\nmatch: {}\nname: 5\nsettle: {hold: 10}"),
            vec![("PL03", "no"), ("PL03", "{"), ("PL03", "5"), ("PL03", "10")],
        ),
        (
            with("http: {fault: 5, timeout: 6, mirrors: 7}\ntrafficPolicy: {tls: 8, portLevelSettings: 9}"),
            vec![("PL03", "5"), ("PL03", "6"), ("PL03", "7"), ("PL03", "8"), ("PL03", "9")],
        ),
        (with("settle: {hold: 10x}"), vec![("PL03", "10x")]),
        (with("driftPolicy: wran"), vec![("PL03", "wran")]),
        (with("driftPolicy: true"), vec![("PL03", "true")]),
        (
            with("onFailure: stay\nattempt: 0\nprogressDeadline: 5"),
            vec![("PL03", "stay"), ("PL17", "0"), ("PL03", "5")],
        ),
        (but("  traffic: {v1: 50, v2: 50}\n", ""), vec![("PL04", "spec")]),
        (with("routes: []\nhosts: []"), vec![("PL04", "routes"), ("PL04", "hosts")]),
        (but("v1alpha1", "v1"), vec![("PL05", "tidegate.dev/v1")]),
        (GATEWAY.replace("Gateway", "VirtualService"), vec![("PL05", "VirtualService")]),
        (GATEWAY.replace("Gateway", "ConfigMap"), vec![("PL05", "ConfigMap")]),
        (GATEWAY.replace("networking", "security"), vec![("PL05", "security.istio.io/v1")]),
        (GATEWAY.replace("name: web", "name: Web"), vec![("PL06", "Web")]),
        (but("name: reviews", "name: a.b"), vec![("PL06", "a.b")]),
        (with("gateways: [a/b/c]\nhosts: [a_b]"), vec![("PL06", "a/b/c"), ("PL06", "a_b")]),
        (but("{version: v1}", "{a/b/c: 'v 1'}"), vec![("PL06", "a/b/c"), ("PL06", "'v 1'")]),
        (but("{v1: 50, v2: 50}", "{v1: 50, v3: 50}"), vec![("PL07", "v3")]),
        (
            with("from: {v0: 100}\npins: [{name: a, match: [{method: {exact: GET}}], to: v}]"),
            vec![("PL07", "v0"), ("PL07", "v")],
        ),
        (
            with("steps: [{weight: 5, hold: 1m}, {weight: 5, hold: 1m}, {weight: 0, hold: 0s}]"),
            vec![("PL08", "5"), ("PL08", "0")],
        ),
        (with("steps:\n  - weight: 5"), vec![("PL09", "weight")]),
        (with(&format!("routes: [{{{route}}}, {{name: a}}]")), vec![("PL10", "name")]),
        (
            with(&format!(
                "routes: [{{{route}}}, {{name: b}}, {{name: p-a, gateways: [g]}}]\npins: [{{name: p, match: [{{method: {{exact: GET}}}}], to: v1}}]"
            )),
            vec![("PL10", "p")],
        ),
        (with("name: a\nroutes: [{name: b}]"), vec![("PL11", "name")]),
        (
            with("match: [{port: 80}, {port: 81}]\nroutes: []")
                .replace("routes: []", "pins: [{name: a, match: [{port: 80, method: {exact: GET}}], to: v1}]"),
            vec![("TG24", "match"), ("PL12", "port")],
        ),
        (
            but("service: reviews", "service: reviews.other.svc.cluster.local"),
            vec![("PL13", "reviews.other.svc.cluster.local")],
        ),
        (but("service: reviews", "service: www.example.com"), vec![("PL13", "www.example.com")]),
        (with("http: {redirect: {}, route: []}"), vec![("PL14", "redirect"), ("PL14", "route")]),
        (
            with("match: [{url: {exact: /a}}, {uri: {exac: /a}}, {headers: {a: x}}, {port: 0}]"),
            vec![("TG24", "match"), ("PL15", "url"), ("PL15", "exac"), ("PL15", "a"), ("PL17", "0")],
        ),
        (with("http: {timeuot: 5s}\ntrafficPolicy: {tsl: {}}"), vec![("PL16", "timeuot"), ("PL16", "tsl")]),
        (with("port: 0\nsteps: [{weight: 100, hold: 0s}]"), vec![("PL17", "0"), ("PL17", "100")]),
        (but("{v1: 50, v2: 50}", "{v1: 50.5, v2: 49}"), vec![("PL17", "50.5")]),
        (with("hosts: ['*']"), vec![("VS06", "hosts")]),
        (with("hosts: [reviews, reviews.shop.svc.cluster.local]"), vec![("VS07", "hosts")]),
        (with("hosts: ['*.example.com', www.example.com]\ngateways: [g]"), vec![("VS07", "hosts")]),
        (
            with("routes: [{hosts: [a.b.c], match: [{port: 1}], name: a}, {hosts: ['*.c'], name: b}]"),
            vec![("VS07", "hosts")],
        ),
        (with(&format!("gateways: [{}]", "a,".repeat(101))), vec![("PL17", "gateways")]),
        (
            but("name: reviews", "name: -a").replace("service: reviews", "service: reviews.shop.svc.cluster.local"),
            vec![("PL06", "-a")],
        ),
        (with("hosts: [reviews, reviews]"), vec![("VS07", "hosts")]),
        (
            with("http: {fault: {}, timeout: 0s, retries: {perTryTimeout: 5}}"),
            vec![("VS11", "fault"), ("VS13", "0s"), ("VS13", "5")],
        ),
        (with("match: [{uri: {prefix: ''}}]"), vec![("TG24", "match"), ("VS15", "''")]),
        (
            with("objects: {virtualService: {exportTo: ['.', '.', '*', A]}}"),
            vec![("VS17", "'.'"), ("VS17", "'*'"), ("VS17", "A")],
        ),
        (with("trafficPolicy: {}"), vec![]),
        (with("trafficPolicy: {portLevelSettings: [{tls: {mode: simple}}]}"), vec![("DR02", "{"), ("DR06", "simple")]),
        (with("routes: [{name: a}, {name: b}, {name: c, gateways: [g]}]"), vec![("TG01", "{")]),
        (but("{labels: {version: v1}}", "{}"), vec![("TG02", "v1")]),
        (but("{version: v2}", "{version: v1, a: b}"), vec![("TG03", "labels")]),
        (but("v2: 50", "v2: 40"), vec![("TG05", "traffic")]),
        (
            with("http: {fault: {abort: {httpStatus: 500}, delay: {percentage: {value: 100}}}}"),
            vec![("TG06", "abort"), ("TG06", "delay")],
        ),
        (
            with("routes: [{name: a, match: [{sourceLabels: {a: b}}]}, {name: b}, {name: c, gateways: [g]}]"),
            vec![("TG07", "sourceLabels")],
        ),
        (with("match: [{sourceLabels: {a: b}, gateways: [g]}]"), vec![("TG24", "match"), ("TG07", "sourceLabels")]),
        (
            with("hosts: [reviews.other, other.shop, example.com]"),
            vec![("TG08", "reviews.other"), ("TG08", "other.shop")],
        ),
        (but("service: reviews", "service: reviews.shop"), vec![("TG08", "reviews.shop")]),
        (with("trafficPolicy: {loadBalancer: {consistentHash: {}}}"), vec![("TG09", "consistentHash")]),
        (but("{v1: 50, v2: 50}", "{v2: 100}\n  steps: [{weight: 10, hold: 1m}]"), vec![("TG13", "10")]),
        (
            with("http: {mirror: {host: a}, mirrors: [{destination: {host: a}}]}"),
            vec![("TG16", "mirror"), ("TG16", "{")],
        ),
        (with("match: [{uri: {prefix: /a}}]"), vec![("TG24", "match"), ("TG20", "/a")]),
        (with("pins: [{name: a, match: [{uri: {prefix: /a/}}, {}], to: v1}]"), vec![("TG23", "match"), ("TG23", "{")]),
    ]
}

#[test]
fn every_rule_finds_what_it_is_for_and_nothing_else() {
    for (text, expected) in cases() {
        assert_eq!(found(&text), expected, "{text}");
    }
}

#[test]
fn every_code_has_a_case() {
    let cases = cases();
    // Rules between plans have their cases beside the catalog, those of Istio beside the rules, of lists beside these.
    let beside = [
        include_str!("../allow/tests.rs"),
        include_str!("../catalog/tests.rs"),
        include_str!("../catalog/homes.rs"),
        include_str!("../../config/tests.rs"),
        include_str!("../../config/tests/repositories.rs"),
        include_str!("../../istio/rules/tests.rs"),
        include_str!("../../istio/rules/across/tests.rs"),
        include_str!("../../istio/rules/across/tests/beyond.rs"),
        include_str!("../../istio/rules/across/tests/proxies.rs"),
    ];
    for (code, ..) in CODES.iter().filter(|(code, ..)| !code.starts_with("FI")) {
        let here = cases.iter().any(|(_, found)| found.iter().any(|(found, _)| found == code));
        assert!(here || beside.iter().any(|tests| tests.contains(code)), "{code}");
    }
}

#[test]
fn a_document_with_errors_is_broken_and_one_with_warnings_is_not() {
    for (text, expected) in cases() {
        let file = parse_file("web.yaml", text.as_bytes());
        let is_error =
            |code: &str| CODES.iter().any(|(known, severity, _)| *known == code && *severity == Severity::Error);
        let errors = expected.iter().any(|(code, _)| is_error(code));
        assert_eq!((file.documents.is_empty(), file.has_errors()), (errors, errors), "{text}");
    }
    let key = PlanKey { namespace: "shop".to_owned(), name: "reviews".to_owned() };
    assert_eq!(parse_file("web.yaml", with("x: 1").as_bytes()).broken, [key]);
}

#[test]
fn the_short_plan_gets_the_defaults() {
    let file = parse_file("web.yaml", but(", namespace: shop", "").as_bytes());
    assert_eq!(file.findings, []);
    let [(Document::Plan(plan), _)] = &file.documents[..] else { panic!("{file:?}") };
    assert_eq!(plan.key.to_string(), "default/reviews");
    assert_eq!(plan.routing.service.as_str(), "reviews.default.svc.cluster.local");
    let [route] = &plan.routing.routes[..] else { panic!("{plan:?}") };
    assert_eq!(
        (route.name.as_str(), &route.hosts[..], &route.gateways[..]),
        ("reviews", &["reviews".to_owned()][..], &["mesh".to_owned()][..])
    );
    assert_eq!((plan.object().name.as_str(), plan.routing.destination_rule.name.as_str()), ("reviews", "reviews"));
    assert_eq!((plan.settle, plan.steps.len(), plan.from.as_ref(), plan.prune), (Span::ZERO, 0, None, false));
    assert_eq!(plan.traffic.to_string(), "v1=50 v2=50");
}

#[test]
fn the_long_plan_is_read_whole() {
    let text = with(
        "port: 9080
hosts: [reviews, www.example.com]
gateways: [mesh, infra/web]
trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
routes:
  - {name: api, match: [{uri: {prefix: /reviews/}}], http: {timeout: 10s}}
  - {name: rest}
pins: [{name: qa, match: [{headers: {qa: {exact: canary-test}}}], to: v2}]
from: {v1: 100}
steps: [{name: first-light, weight: 1, hold: 10m}, {weight: 25, hold: 1h}]
objects: {virtualService: {name: web, exportTo: [.]}}
takeOwnership: true
prune: true
pause: true
suspend: null",
    );
    let file = parse_file("web.yaml", text.as_bytes());
    assert_eq!(file.findings, []);
    let [(Document::Plan(plan), _)] = &file.documents[..] else { panic!("{file:?}") };
    assert_eq!(plan.routing.port, Some(9080));
    assert_eq!(plan.routing.routes[0].http, *json!({"timeout": "10s"}).as_object().unwrap());
    assert_eq!(plan.routing.routes[1].gateways, ["mesh", "infra/web"]);
    assert_eq!(plan.routing.pins[0].to.as_str(), "v2");
    assert_eq!(plan.settle, Span::from_seconds(3600));
    assert_eq!(plan.object().to_string(), "shop/web");
    assert_eq!(plan.routing.virtual_service.export_to, Some(vec![".".to_owned()]));
    assert_eq!((plan.take_ownership, plan.prune, plan.pause, plan.suspend), (true, true, true, false));
}

#[test]
fn comments_and_key_order_leave_the_digest_and_any_value_changes_it() {
    let digest = |text: &str| match &parse_file("web.yaml", text.as_bytes()).documents[..] {
        [(Document::Plan(plan), _)] => plan.digest.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(digest(PLAN), digest(&format!("# a\n{}", but("{v1: 50, v2: 50}", "{v2: 50, v1: 50} # b"))));
    assert_ne!(digest(PLAN), digest(&but("{v1: 50, v2: 50}", "{v1: 49, v2: 51}")));
}

#[test]
fn one_bad_document_leaves_the_others() {
    let text = format!("{GATEWAY}---\na: [\n---\n# nothing\n---\n{PLAN}");
    let file = parse_file("web.yaml", text.as_bytes());
    let [(Document::Object(object), _), (Document::Plan(_), place)] = &file.documents[..] else { panic!("{file:?}") };
    assert_eq!(
        (object.kind.as_str(), object.key.to_string(), object.value["spec"].clone()),
        ("Gateway", "shop/web".to_owned(), json!({}))
    );
    assert_eq!(&text[place.start..place.end], "reviews");
    assert_eq!(file.findings.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["FI04"]);
}

#[test]
fn a_finding_reads_as_rustc_prints_it() {
    let text = with("pasue: true");
    let finding = &parse_file("plans/web.yaml", text.as_bytes()).findings[0];
    insta::assert_snapshot!(render(finding, Some(&text), false), @r"
    error[PL01]: unknown field `pasue`
      --> plans/web.yaml:10:3
       |
    10 |   pasue: true
       |   ^^^^^
       |
       = help: did you mean `pause`?
    ");
}

#[test]
fn pins_and_routes_make_no_more_matches_than_an_object_can_hold() {
    let list = |number: usize, word: &str| {
        let blocks: Vec<String> = (0..number).map(|n| format!("{{headers: {{{word}{n}: {{exact: a}}}}}}")).collect();
        format!("[{}]", blocks.join(", "))
    };
    let of = |pin: usize, route: usize| {
        let pins = format!("pins: [{{name: qa, match: {}, to: v2}}]\nmatch: {}", list(pin, "a"), list(route, "b"));
        let findings = parse_file("web.yaml", with(&pins).as_bytes()).findings;
        findings.into_iter().filter(|finding| finding.code == "PL17").map(|finding| finding.message).collect::<Vec<_>>()
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(of(99, 50), none);
    assert_eq!(of(100, 50), ["pins and routes make 5050 matches, the limit is 5000"]);
}
