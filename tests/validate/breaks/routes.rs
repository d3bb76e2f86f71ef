//! Breaks what stands in a VirtualService beside what.

use serde_json::{Value, json};

use super::{Break, VS, each, error, leg, legs};

pub fn all() -> Vec<Break> {
    let answer = |fields: Value| vec![vec![("http/-1", fields)]];
    let to = json!([leg()]);
    vec![
        error(
            "VS01",
            VS,
            vec![
                each("http/-1/route", [legs([0, 0]), json!([leg(), leg()]), legs([5, -5])]),
                each("tcp", [json!([{"route": legs([0, 0])}])]),
            ],
        ),
        error(
            "VS02",
            VS,
            vec![each(
                "http/-1/route",
                [legs([-1, 101]), legs([100, -100]), json!([{"destination": {"host": "web"}, "weight": -5}])],
            )],
        ),
        error(
            "VS03",
            VS,
            vec![
                vec![vec![("http", Value::Null), ("tls", Value::Null), ("tcp", Value::Null)]],
                vec![vec![("http", json!([])), ("tls", json!([])), ("tcp", json!([]))]],
            ],
        ),
        error(
            "VS04",
            VS,
            vec![
                each("http/-1", [json!({}), json!({"timeout": "1s"}), json!({"route": []})]),
                each("tcp", [json!([{}]), json!([{"match": [{"port": 80}], "route": []}])]),
            ],
        ),
        error(
            "VS05",
            VS,
            vec![
                answer(json!({"redirect": {"uri": "/"}, "route": to})),
                answer(json!({"redirect": {"uri": "/"}, "directResponse": {"status": 503}})),
                answer(
                    json!({"redirect": {"uri": "/"}, "fault": {"abort": {"httpStatus": 503, "percentage": {"value": 1}}}}),
                ),
                answer(json!({"redirect": {"uri": "/"}, "rewrite": {"uri": "/"}})),
                answer(json!({"directResponse": {"status": 503}, "rewrite": {"uri": "/"}})),
                answer(json!({"directResponse": {"status": 503}, "route": to})),
                answer(
                    json!({"directResponse": {"status": 503}, "fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 1}}}}),
                ),
            ],
        ),
        error(
            "VS06",
            VS,
            vec![
                vec![vec![("hosts", json!(["*"])), ("gateways", Value::Null)]],
                vec![vec![("hosts", json!(["*"])), ("gateways", json!(["gw", "mesh"]))]],
                vec![vec![("hosts", json!(["a.com", "*"])), ("gateways", json!(["mesh"]))]],
            ],
        ),
        error(
            "VS07",
            VS,
            vec![each(
                "hosts",
                [
                    json!(["a.com", "a.com"]),
                    json!(["*.a.com", "b.a.com"]),
                    json!(["*.b.a.com", "*.a.com"]),
                    json!(["web", "c.d", "web"]),
                ],
            )],
        ),
        error(
            "VS08",
            VS,
            vec![
                each(
                    "hosts",
                    [json!(["a b"]), json!(["a..b"]), json!(["a.*"]), json!(["-a"]), json!(["a.1"]), json!([""])],
                ),
                each("gateways", [json!(["a/b/c"]), json!(["/gw"]), json!(["gw/"]), json!(["a_b"]), json!(["./gw"])]),
                each("http/-1/route/0/destination/host", [json!("*"), json!("a b"), json!("-a"), json!("")]),
                each("http/-1/route/0/destination/subset", [json!("v_1"), json!("v.1"), json!("-v")]),
                each("http/-1/route/0/destination/port", [json!({"number": 0}), json!({"number": 70_000}), json!({})]),
                each("http/0/match/0/port", [json!(65_536)]),
                each("http/0/match/0/sourceNamespace", [json!("a_b"), json!("a.b")]),
                each(
                    "http/0/match/0/sourceLabels",
                    [json!({"a b": "c"}), json!({"a": "b c"}), json!({"/a": "b"}), json!({"": "b"})],
                ),
                each("http/0/match/0/gateways", [json!(["a_b"])]),
                each(
                    "tcp",
                    [
                        json!([{"match": [{"destinationSubnets": ["10.0.0.0/99"]}], "route": [leg()]}]),
                        json!([{"match": [{"destinationSubnets": ["web"]}], "route": [leg()]}]),
                        json!([{"match": [{"port": 66_000}], "route": [leg()]}]),
                    ],
                ),
            ],
        ),
        error(
            "VS09",
            VS,
            vec![
                vec![vec![("hosts", json!([])), ("gateways", json!(["gw"]))]],
                vec![vec![("hosts", Value::Null), ("tcp", json!([{"route": [leg()]}]))]],
                vec![vec![("hosts", json!([])), ("http/-1", json!({"delegate": {"name": "a"}}))]],
                answer(json!({"delegate": {"name": "a"}, "route": to})),
                answer(json!({"delegate": {"name": "a"}, "redirect": {"uri": "/"}})),
            ],
        ),
        error(
            "VS10",
            VS,
            vec![
                vec![vec![
                    ("http/-1/mirror", json!({"host": "web"})),
                    ("http/-1/mirrors", json!([{"destination": {"host": "web"}, "percentage": {"value": 1}}])),
                ]],
                each("http/-1/mirrorPercentage", [json!({"value": 101}), json!({"value": -1})]),
                each("http/-1/mirrorPercent", [json!(101)]),
                vec![vec![
                    ("http/-1/mirror", Value::Null),
                    ("http/-1/mirrors", json!([{"destination": {"host": "web"}, "percentage": {"value": 200}}])),
                ]],
                vec![vec![
                    ("http/-1/mirror", Value::Null),
                    ("http/-1/mirrors", json!([{"destination": {"host": "web"}, "percentage": {"value": -0.5}}])),
                ]],
            ],
        ),
    ]
}
