//! Breaks the fields of HTTP routes.

use serde_json::{Value, json};

use super::{Break, VS, each, error, leg};

pub fn all() -> Vec<Break> {
    let long = "a".repeat(1025);
    let share = |abort: Value| {
        let mut abort = abort;
        abort["percentage"] = json!({"value": 1});
        json!({"abort": abort})
    };
    let percent = |value: f64| json!({"abort": {"httpStatus": 503, "percentage": {"value": value}}});
    let claim = json!({"@request.auth.claims.sub": {"exact": "a"}});
    let claims = json!({"@request.auth.claims[a][b]": {"exact": "a"}});
    vec![
        error(
            "VS11",
            VS,
            vec![each(
                "http/-1/fault",
                [
                    json!({}),
                    percent(101.0),
                    percent(-1.0),
                    percent(0.000_01),
                    share(json!({"httpStatus": 99})),
                    share(json!({"httpStatus": 601})),
                    share(json!({"grpcStatus": "NOPE"})),
                    share(json!({"http2Error": "x"})),
                    json!({"delay": {"exponentialDelay": "1s"}}),
                    json!({"delay": {"fixedDelay": "1s", "percentage": {"value": 100.5}}}),
                ],
            )],
        ),
        error(
            "VS12",
            VS,
            vec![each(
                "http/-1/retries",
                [
                    json!({"attempts": -1}),
                    json!({"attempts": 0, "perTryTimeout": "1s"}),
                    json!({"retryOn": "5xx"}),
                    json!({"retryRemoteLocalities": false}),
                    json!({"attempts": 1, "retryOn": "5xx, 503"}),
                    json!({"attempts": 1, "retryOn": "nope"}),
                    json!({"attempts": 1, "retryOn": "999"}),
                    json!({"attempts": 1, "retryOn": "5xx,"}),
                ],
            )],
        ),
        error(
            "VS13",
            VS,
            vec![
                each("http/-1/timeout", [json!("0s"), json!("1us"), json!("1500us"), json!("-1s")]),
                each(
                    "http/-1/retries",
                    [json!({"attempts": 1, "perTryTimeout": "0s"}), json!({"attempts": 1, "backoff": "10ns"})],
                ),
                each("http/-1/fault", [json!({"delay": {"fixedDelay": "0s", "percentage": {"value": 1}}})]),
                each("http/-1/corsPolicy/maxAge", [json!("1500ms"), json!("0s")]),
            ],
        ),
        error(
            "VS14",
            VS,
            vec![
                each(
                    "http/0/match/0/headers",
                    [
                        json!({"": {"exact": "a"}}),
                        json!({"a b": {"exact": "a"}}),
                        json!({":nope": {"exact": "a"}}),
                        json!({"é": {}}),
                    ],
                ),
                each("http/0/match/0/withoutHeaders", [json!({"a(b": {"exact": "a"}})]),
                each("http/-1/headers/request/remove", [json!(["host"]), json!([":path"]), json!([""])]),
                each(
                    "http/-1/headers/response/set",
                    [json!({"Host": "a"}), json!({":status": "a"}), json!({"": "a"}), json!({"x": "%bad"})],
                ),
                each(
                    "http/-1/headers/request/set",
                    [
                        json!({":path": "a"}),
                        json!({"x": "a%"}),
                        json!({"x": "a\u{1}"}),
                        json!({"x": "%A([x])%"}),
                        json!({"x": "%A(b)c%"}),
                    ],
                ),
                each(
                    "http/-1/route/0/headers",
                    [json!({"request": {"add": {"x": "%%%"}}}), json!({"response": {"remove": ["HOST"]}})],
                ),
                vec![vec![
                    ("http/-1/rewrite", json!({"authority": "a"})),
                    ("http/-1/headers/request/set", json!({"host": "b"})),
                ]],
                each("http/-1/headers/request", [json!({"set": {"host": "b"}, "add": {":authority": "c"}})]),
            ],
        ),
        error(
            "VS15",
            VS,
            vec![
                each(
                    "http/0/match/0/headers",
                    [
                        json!({"x": {"prefix": ""}}),
                        json!({"x": {"regex": ""}}),
                        json!({"x": {"regex": "(?=a)"}}),
                        json!({"x": {"regex": "a**"}}),
                        json!({"x": {"regex": long}}),
                    ],
                ),
                each("http/-1/corsPolicy", [json!({"allowOrigins": [{"regex": "("}]})]),
                each("http/0/match/0/uri", [json!({"regex": "*"}), json!({"regex": "/(a"}), json!({"regex": "\\1"})]),
                each("http/0/match/0/method", [json!({"prefix": ""}), json!({"regex": "[z-a]"})]),
                each("http/0/match/0/authority", [json!({"regex": "a{1001}"}), json!({"prefix": ""})]),
                each("http/0/match/0/scheme", [json!({"regex": "(?<!a)b"})]),
                each("http/0/match/0/queryParams", [json!({"x": {"regex": "["}}), json!({"x": {"regex": "\\"}})]),
                each("http/0/match/0/withoutHeaders", [json!({"x": {"regex": "("}}), json!({"x": {"prefix": ""}})]),
            ],
        ),
        error(
            "VS16",
            VS,
            vec![
                vec![vec![("gateways", Value::Null), ("http/0/match/0/headers", claim.clone())]],
                vec![vec![("gateways", json!(["mesh"])), ("http/0/match/0/headers", claims.clone())]],
                vec![vec![("gateways", json!(["gw", "mesh"])), ("http/0/match/0/withoutHeaders", claim)]],
                vec![vec![("gateways", Value::Null), ("http/0/match/0/withoutHeaders", claims)]],
            ],
        ),
        error(
            "VS17",
            VS,
            vec![each(
                "exportTo",
                [json!(["*", "a"]), json!(["a", "a"]), json!([".", "shop"]), json!(["~"]), json!(["a_b"]), json!([""])],
            )],
        ),
        error(
            "VS18",
            VS,
            vec![each(
                "tls",
                [
                    json!([{"match": [], "route": [leg()]}]),
                    json!([{"match": [{"sniHosts": []}], "route": [leg()]}]),
                    json!([{"match": [{"sniHosts": ["nowhere.example.net"]}], "route": [leg()]}]),
                    json!([{"match": [{"sniHosts": ["a b"]}], "route": [leg()]}]),
                    json!([{"match": [{"sniHosts": ["*"]}], "route": []}]),
                ],
            )],
        ),
        error(
            "VS21",
            VS,
            vec![
                each(
                    "http/-1/rewrite",
                    [
                        json!({}),
                        json!({"uri": "/", "uriRegexRewrite": {"match": "a", "rewrite": "b"}}),
                        json!({"uriRegexRewrite": {"match": "a"}}),
                        json!({"uriRegexRewrite": {"match": "(", "rewrite": "b"}}),
                    ],
                ),
                each(
                    "http/-1",
                    [
                        json!({"redirect": {}}),
                        json!({"redirect": {"uri": "/", "redirectCode": 200}}),
                        json!({"redirect": {"scheme": "ftp"}}),
                        json!({"redirect": {"uri": "/", "prefixRewrite": "/"}}),
                        json!({"redirect": {"uri": "/", "port": 70_000}}),
                        json!({"match": [{"uri": {"exact": "/"}}], "redirect": {"prefixRewrite": "/"}}),
                        json!({"directResponse": {"status": 99}}),
                        json!({"directResponse": {"status": 700}}),
                    ],
                ),
                each(
                    "http/-1/corsPolicy",
                    [
                        json!({"allowMethods": ["NOPE"]}),
                        json!({"allowHeaders": ["a b"]}),
                        json!({"exposeHeaders": [""]}),
                        json!({"allowOrigins": [{"exact": ""}]}),
                        json!({"allowOrigins": [{}]}),
                    ],
                ),
            ],
        ),
    ]
}
