//! Breaks what the rules refuse and Istio takes: one case for each reason of `differences.rs`.

use serde_json::{Value, json};

use super::{Break, DR, VS, each, leg, legs, taken};

pub fn all() -> Vec<Break> {
    let to = json!([leg()]);
    let behind = |first: Value| {
        let header = json!({"match": [{"headers": {"x-qa": {"exact": "1"}}}], "route": to});
        vec![vec![("http", json!([first, header]))]]
    };
    let subset = |name: &str, labels: Value| json!({"name": name, "labels": labels});
    let v1 = subset("v1", json!({"version": "v1"}));
    let abort = |percentage: Value| json!({"abort": {"httpStatus": 503, "percentage": percentage}});
    vec![
        taken("TG01", VS, vec![behind(json!({"match": [{"uri": {"prefix": "/"}}], "route": to}))]),
        taken("TG02", DR, vec![each("subsets", [json!([{"name": "v1"}]), json!([v1, subset("v2", json!({}))])])]),
        taken("TG03", DR, vec![each("subsets", [json!([v1, subset("v2", json!({"version": "v1", "track": "a"}))])])]),
        taken("TG04", VS, vec![each("http/-1/route", [json!([{"destination": {"host": "web"}, "weight": 0}])])]),
        taken("TG05", VS, vec![each("http/-1/route", [legs([90, 30]), legs([1, 1]), legs([0, 99])])]),
        taken("TG06", VS, vec![each("http/-1/fault", [abort(json!({"value": 100})), abort(Value::Null)])]),
        taken(
            "TG07",
            VS,
            vec![vec![vec![
                ("http/0/match/0/sourceLabels", json!({"app": "a"})),
                ("http/0/match/0/gateways", json!(["mesh"])),
            ]]],
        ),
        taken("TG08", VS, vec![each("http/-1/route", [json!([{"destination": {"host": "web.shop"}}])])]),
        taken(
            "TG16",
            VS,
            vec![vec![vec![
                ("http/-1/mirror", json!({"host": "web"})),
                ("http/-1/mirrors", Value::Null),
                ("http/-1/mirrorPercentage", Value::Null),
            ]]],
        ),
        taken("IST0106", VS, vec![each("http/0/match/0/uri", [json!({"exact": "/a", "prefix": "/b/"})])]),
        taken("VS08", VS, vec![each("gateways", [json!(["gw", "a_b"])])]),
        taken(
            "DR05",
            DR,
            vec![vec![vec![(
                "trafficPolicy/loadBalancer",
                json!({"localityLbSetting": {"distribute": [
                {"from": "a/b/c", "to": {"x": 100}}, {"from": "a/*", "to": {"x": 100}}]}}),
            )]]],
        ),
    ]
}
