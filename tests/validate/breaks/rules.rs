//! Breaks DestinationRules.

use serde_json::{Value, json};

use super::{Break, DR, each, error};

pub fn all() -> Vec<Break> {
    let subset = |name: &str| json!({"name": name, "labels": {"version": name}});
    let hash = |fields: Value| {
        let mut fields = fields;
        if fields.get("httpCookie").is_none() {
            fields["httpHeaderName"] = json!("x");
        }
        json!({"consistentHash": fields})
    };
    let distribute = |to: Value| json!({"localityLbSetting": {"distribute": [{"from": "a", "to": to}]}});
    let failover = |from: &str, to: &str| json!({"localityLbSetting": {"failover": [{"from": from, "to": to}]}});
    let http = |fields: Value| json!({"http": fields});
    let tcp = |fields: Value| json!({"tcp": fields});
    vec![
        error(
            "DR01",
            DR,
            vec![
                each("host", [json!("a b"), json!("a.*"), json!("a..b"), json!("")]),
                each(
                    "subsets",
                    [
                        json!([subset("a"), subset("a")]),
                        json!([subset("a_b")]),
                        json!([subset("a.b")]),
                        json!([{"name": "a", "labels": {"a b": "c"}}]),
                        json!([{"name": "a", "labels": {"a": "b/c"}}]),
                    ],
                ),
                each("workloadSelector", [json!({"matchLabels": {"": "a"}}), json!({"matchLabels": {"a": "*"}})]),
            ],
        ),
        error(
            "DR02",
            DR,
            vec![
                each(
                    "trafficPolicy",
                    [
                        json!({}),
                        json!({"portLevelSettings": [{"tls": {"mode": "DISABLE"}}]}),
                        json!({"portLevelSettings": [{"port": {"number": 80}}]}),
                        json!({"tunnel": {"targetHost": "a.b", "targetPort": 80}, "proxyProtocol": {"version": "V1"}}),
                        json!({"connectionPool": {}}),
                        json!({"tunnel": {"targetHost": "a b", "targetPort": 80}}),
                        json!({"tunnel": {"targetHost": "a.b", "targetPort": 0}}),
                        json!({"tunnel": {"protocol": "GET", "targetHost": "a.b", "targetPort": 80}}),
                    ],
                ),
                each("subsets", [json!([{"name": "a", "labels": {"a": "b"}, "trafficPolicy": {}}])]),
            ],
        ),
        error(
            "DR03",
            DR,
            vec![each(
                "trafficPolicy/outlierDetection",
                [
                    json!({"maxEjectionPercent": 101}),
                    json!({"minHealthPercent": -1}),
                    json!({"interval": "0s"}),
                    json!({"baseEjectionTime": "1us"}),
                    json!({"consecutiveLocalOriginFailures": 5}),
                ],
            )],
        ),
        error(
            "DR04",
            DR,
            vec![
                each(
                    "trafficPolicy/loadBalancer",
                    [
                        hash(json!({"maglev": {"tableSize": 4}})),
                        hash(json!({"maglev": {}})),
                        hash(json!({"maglev": {"tableSize": 5_000_011}})),
                        hash(json!({"minimumRingSize": 5, "ringHash": {"minimumRingSize": 5}})),
                        hash(json!({"httpCookie": {"name": ""}})),
                        hash(json!({"httpCookie": {"name": "a", "attributes": [{"name": "b"}, {"name": "b"}]}})),
                        json!({"warmup": {"duration": "0s"}}),
                        json!({"warmup": {"duration": "1s", "minimumPercent": 101}}),
                        json!({"warmup": {"duration": "1s", "aggression": 0}}),
                    ],
                ),
                each(
                    "trafficPolicy/connectionPool",
                    [
                        http(json!({"http1MaxPendingRequests": -1})),
                        http(json!({"maxRetries": -1})),
                        http(json!({"idleTimeout": "0s"})),
                        http(json!({"h2UpgradePolicy": "UPGRADE", "useClientProtocol": true})),
                        http(json!({"http2KeepAlive": {"interval": "1s"}})),
                        http(json!({"maxConcurrentStreams": -5})),
                        tcp(json!({"maxConnections": -1})),
                        tcp(json!({"connectTimeout": "0s"})),
                        tcp(json!({"idleTimeout": "-1s"})),
                        tcp(json!({"tcpKeepalive": {"time": "1us"}})),
                        tcp(json!({"maxConnectionDuration": "0s"})),
                    ],
                ),
            ],
        ),
        error(
            "DR05",
            DR,
            vec![each(
                "trafficPolicy/loadBalancer",
                [
                    distribute(json!({"b": 60, "c": 30})),
                    distribute(json!({"b": 0, "c": 100})),
                    distribute(json!({"b": 101})),
                    distribute(json!({})),
                    distribute(json!({"*b": 100})),
                    distribute(json!({"b//c": 100})),
                    failover("a", "a"),
                    failover("a/b", "c"),
                    failover("a", "*"),
                    json!({"localityLbSetting": {"distribute": [{"from": "a", "to": {"b": 100}}], "failover": [{"from": "a", "to": "b"}]}}),
                    json!({"localityLbSetting": {"failover": [{"from": "a", "to": "b"}], "failoverPriority": ["topology.kubernetes.io/region"]}}),
                    json!({"localityLbSetting": {"distribute": [{"from": "a", "to": {"b": 100}}, {"from": "a", "to": {"c": 100}}]}}),
                    json!({"localityLbSetting": {}, "zoneAwareLbSetting": {}}),
                    json!({"zoneAwareLbSetting": {"failoverPriority": ["topology.kubernetes.io/zone"]}}),
                    json!({"zoneAwareLbSetting": {"failover": [{"from": "a", "to": "a"}]}}),
                ],
            )],
        ),
        error(
            "DR06",
            DR,
            vec![
                each(
                    "trafficPolicy/tls",
                    [
                        json!({"mode": "MUTUAL"}),
                        json!({"mode": "MUTUAL", "clientCertificate": "/c"}),
                        json!({"mode": "SIMPLE", "credentialName": "a", "caCertificates": "/a"}),
                        json!({"mode": "MUTUAL", "credentialName": "a", "privateKey": "/k"}),
                        json!({"mode": "SIMPLE", "insecureSkipVerify": true, "caCertificates": "/a"}),
                        json!({"mode": "SIMPLE", "credentialName": "configmap://other/a"}),
                        json!({"mode": "SIMPLE", "credentialName": "configmap://a"}),
                    ],
                ),
                vec![vec![("workloadSelector", json!({"matchLabels": {"a": "b"}})), ("exportTo", json!(["*"]))]],
                vec![vec![
                    ("workloadSelector", json!({"matchLabels": {"a": "b"}})),
                    ("exportTo", json!([".", "other"])),
                ]],
            ],
        ),
        error("VS17", DR, vec![each("exportTo", [json!(["*", "."]), json!(["~"]), json!(["a b"])])]),
    ]
}
