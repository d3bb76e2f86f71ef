//! Ways to break each rule: what is put where into a good object. A way of `-1` is the last item of a list; `null` takes
//! a field out.

mod differing;
mod edges;
mod fields;
mod routes;
mod rules;

use serde_json::{Value, json};

/// What is put where, below `spec`.
pub type Puts = Vec<(&'static str, Value)>;

/// What Istio does with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Istio {
    /// It refuses it.
    Refuses,
    /// It takes it with a warning.
    Warns,
    /// It takes it, and the rules refuse it on purpose.
    Takes,
}

/// The ways to break one rule.
pub struct Break {
    pub rule: &'static str,
    pub kind: &'static str,
    /// What Istio does with such objects.
    pub istio: Istio,
    pub ways: Vec<Puts>,
}

/// One way for each of these values at one place.
fn each<const N: usize>(place: &'static str, values: [Value; N]) -> Vec<Puts> {
    values.into_iter().map(|value| vec![(place, value)]).collect()
}

fn error(rule: &'static str, kind: &'static str, ways: Vec<Vec<Puts>>) -> Break {
    Break { rule, kind, istio: Istio::Refuses, ways: ways.concat() }
}

fn warning(rule: &'static str, kind: &'static str, ways: Vec<Vec<Puts>>) -> Break {
    Break { rule, kind, istio: Istio::Warns, ways: ways.concat() }
}

fn taken(rule: &'static str, kind: &'static str, ways: Vec<Vec<Puts>>) -> Break {
    Break { rule, kind, istio: Istio::Takes, ways: ways.concat() }
}

/// Every rule of one object.
pub fn all() -> Vec<Break> {
    [routes::all(), fields::all(), rules::all(), edges::all(), of_warnings(), differing::all()]
        .into_iter()
        .flatten()
        .collect()
}

const VS: &str = "VirtualService";
const DR: &str = "DestinationRule";

fn leg() -> Value {
    json!({"destination": {"host": "web"}})
}

fn legs(weights: [i64; 2]) -> Value {
    weights.map(|weight| json!({"destination": {"host": "web"}, "weight": weight})).into_iter().collect()
}

fn of_warnings() -> Vec<Break> {
    let to = json!([leg()]);
    let by = |uri: &str| json!({"match": [{"uri": {"prefix": uri}}], "route": to});
    let http = |routes: Value| vec![vec![("http", routes)]];
    vec![
        warning(
            "VS19",
            VS,
            vec![
                http(json!([by("/a/"), by("/a/")])),
                http(json!([by("/a/"), by("/a/b/"), {"route": to}])),
                http(json!([{"route": to}, by("/a/")])),
                http(json!([{"route": to}, {"route": to}])),
                each("tcp", [json!([{"route": to}, {"match": [{"port": 80}], "route": to}])]),
            ],
        ),
        warning(
            "VS20",
            VS,
            vec![
                each("gateways", [json!(["gw.istio-system"]), json!(["gw.istio-system.svc.cluster.local"])]),
                vec![vec![
                    ("http/-1/mirror", json!({"host": "web"})),
                    ("http/-1/mirrors", Value::Null),
                    ("http/-1/mirrorPercent", json!(5)),
                ]],
            ],
        ),
        warning("VS22", VS, vec![each("tls", [json!([{"match": [{"sniHosts": ["10.1.2.3"]}], "route": to}])])]),
        warning(
            "DR07",
            DR,
            vec![
                each("trafficPolicy/outlierDetection", [json!({"consecutiveErrors": 5})]),
                each(
                    "trafficPolicy",
                    [
                        json!({"loadBalancer": {"localityLbSetting": {"failover": [{"from": "a", "to": "b"}]}}}),
                        json!({"loadBalancer": {"consistentHash": {"httpHeaderName": "x", "minimumRingSize": 5}}}),
                    ],
                ),
                each("workloadSelector", [json!({})]),
            ],
        ),
        warning(
            "GW02",
            "Gateway",
            vec![each(
                "servers",
                [
                    json!([{"port": {"number": 443, "name": "s", "protocol": "TLS"}, "hosts": ["*"], "tls": {"mode": "PASSTHROUGH", "credentialName": "a"}}]),
                    json!([{"port": {"number": 443, "name": "s", "protocol": "TLS"}, "hosts": ["*"], "tls": {"mode": "PASSTHROUGH", "httpsRedirect": true}}]),
                ],
            )],
        ),
        warning(
            "SE02",
            "ServiceEntry",
            vec![
                vec![vec![
                    ("hosts", json!(["*a.example.com"])),
                    ("resolution", json!("NONE")),
                    ("endpoints", Value::Null),
                    ("workloadSelector", Value::Null),
                ]],
                vec![vec![
                    ("workloadSelector", json!({"labels": {}})),
                    ("endpoints", Value::Null),
                    ("resolution", json!("STATIC")),
                ]],
            ],
        ),
    ]
}
