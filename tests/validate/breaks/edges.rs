//! Breaks Gateways and ServiceEntries.

use serde_json::{Value, json};

use super::{Break, each, error};

pub fn all() -> Vec<Break> {
    const GW: &str = "Gateway";
    const SE: &str = "ServiceEntry";
    let port = |number: u32, name: &str, protocol: &str| json!({"number": number, "name": name, "protocol": protocol});
    let https =
        |tls: Value| json!({"port": {"number": 443, "name": "s", "protocol": "HTTPS"}, "hosts": ["*"], "tls": tls});
    let entry = |resolution: &str, endpoints: Value| json!([resolution, endpoints]);
    let endpoints = [
        entry("NONE", json!([{"address": "1.1.1.1"}])),
        entry("STATIC", json!([{"address": "a.b"}])),
        entry("STATIC", json!([{"address": "unix://a"}])),
        entry("DNS", json!([{"address": "a b"}])),
        entry("DNS_ROUND_ROBIN", json!([{"address": "a.b"}, {"address": "c.d"}])),
        entry("STATIC", json!([{}])),
        entry("STATIC", json!([{"address": "1.1.1.1", "ports": {"nope": 80}}])),
        entry("DNS", json!([{"address": "a.b", "ports": {"nope": 80}}])),
        entry("STATIC", json!([{"address": "1.1.1.1", "labels": {"a b": "c"}}])),
    ];
    let endpoints = endpoints.into_iter().map(|pair| {
        vec![("resolution", pair[0].clone()), ("endpoints", pair[1].clone()), ("workloadSelector", Value::Null)]
    });
    vec![
        error("VS17", SE, vec![each("exportTo", [json!(["~", "a"]), json!(["a", "a"])])]),
        error(
            "GW01",
            GW,
            vec![
                each(
                    "servers",
                    [
                        json!([]),
                        json!([https(json!({"mode": "SIMPLE"}))]),
                        json!([https(json!({"mode": "MUTUAL", "serverCertificate": "c", "privateKey": "k"}))]),
                        json!([https(json!({"mode": "ISTIO_MUTUAL", "credentialName": "a"}))]),
                        json!([https(
                            json!({"mode": "SIMPLE", "credentialName": "a", "serverCertificate": "c", "privateKey": "k"})
                        )]),
                        json!([{"port": port(443, "s", "HTTPS"), "hosts": ["*"]}]),
                        json!([https(
                            json!({"mode": "SIMPLE", "caCrl": "a", "serverCertificate": "c", "privateKey": "k"})
                        )]),
                    ],
                ),
                each(
                    "servers/0/hosts",
                    [
                        json!([]),
                        json!(["web"]),
                        json!(["a b.c"]),
                        json!(["*a.b"]),
                        json!(["a_b/c.d"]),
                        json!(["/c.d"]),
                        json!(["a/"]),
                    ],
                ),
                each(
                    "servers/0/port",
                    [
                        port(0, "http", "HTTP"),
                        port(80, "", "HTTP"),
                        port(80, "http", "NOPE"),
                        port(66_000, "http", "HTTP"),
                        json!({"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 80}),
                    ],
                ),
                each(
                    "servers/0/tls",
                    [
                        json!({"mode": "SIMPLE", "credentialName": "a"}),
                        json!({"mode": "PASSTHROUGH", "caCertificates": "a"}),
                    ],
                ),
                each("servers/0/bind", [json!("web"), json!("unix://a"), json!("unix:///a/"), json!("unix:///a")]),
                vec![vec![(
                    "servers",
                    json!([{"port": port(80, "a", "HTTP"), "hosts": ["*"]}, {"port": port(81, "a", "HTTP"), "hosts": ["*"]}]),
                )]],
            ],
        ),
        error(
            "SE01",
            SE,
            vec![
                each("hosts", [json!([]), json!(["*"]), json!(["a b"]), json!(["a..b"])]),
                each("addresses", [json!(["a"]), json!(["10.0.0.0/99"])]),
                each(
                    "ports",
                    [
                        json!([port(80, "a", "HTTP"), port(80, "b", "HTTP")]),
                        json!([port(80, "a", "HTTP"), port(81, "a", "HTTP")]),
                        json!([port(0, "a", "HTTP")]),
                        json!([port(80, "a b", "HTTP")]),
                        json!([port(80, "a", "NOPE")]),
                        json!([{"number": 80, "name": "a", "protocol": "HTTP", "targetPort": 70_000}]),
                    ],
                ),
                endpoints.collect(),
                vec![
                    vec![("workloadSelector", json!({"labels": {"a": "*"}}))],
                    vec![
                        ("workloadSelector", json!({"labels": {"a": "b"}})),
                        ("resolution", json!("STATIC")),
                        ("endpoints", json!([{"address": "1.1.1.1"}])),
                    ],
                ],
                vec![vec![
                    ("resolution", json!("DNS")),
                    ("hosts", json!(["*.a.com"])),
                    ("endpoints", Value::Null),
                    ("addresses", Value::Null),
                ]],
                vec![vec![("resolution", json!("DNS")), ("addresses", json!(["10.0.0.0/8"]))]],
                vec![vec![("resolution", json!("DYNAMIC_DNS")), ("hosts", json!(["a.com"]))]],
                vec![vec![
                    ("hosts", json!(["a.com", "b.com"])),
                    ("resolution", json!("STATIC")),
                    ("ports", json!([port(80, "a", "TCP")])),
                ]],
            ],
        ),
    ]
}
