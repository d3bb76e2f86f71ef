//! Makes objects that Istio and the rules both take.

use serde_json::{Value, json};

use crate::dice::Dice;

pub const KINDS: [&str; 4] = ["VirtualService", "DestinationRule", "Gateway", "ServiceEntry"];

const HOSTS: [&str; 5] =
    ["web", "api.example.com", "*.shop.example.org", "reviews.other.svc.cluster.local", "10.1.2.3"];
const SERVICES: [&str; 3] = ["web", "reviews.shop.svc.cluster.local", "api.example.com"];

/// A good object of that kind in the namespace `shop`.
pub fn object(kind: &str, dice: &mut Dice) -> Value {
    let spec = match kind {
        "VirtualService" => virtual_service(dice),
        "DestinationRule" => destination_rule(dice),
        "Gateway" => gateway(dice),
        _ => service_entry(dice),
    };
    let version = dice.one(&["v1", "v1", "v1beta1", "v1alpha3"]);
    json!({"apiVersion": format!("networking.istio.io/{version}"), "kind": kind,
        "metadata": {"name": "web", "namespace": "shop", "labels": {"team": "a"}}, "spec": spec})
}

/// Adds a field in so many of a hundred cases.
fn maybe(owner: &mut Value, field: &str, percent: usize, dice: &mut Dice, make: impl FnOnce(&mut Dice) -> Value) {
    if dice.happens(percent) {
        owner[field] = make(dice);
    }
}

fn virtual_service(dice: &mut Dice) -> Value {
    let mut spec = json!({"hosts": dice.some(&HOSTS, 1, 3)});
    maybe(&mut spec, "gateways", 40, dice, |dice| {
        dice.one(&[json!(["mesh"]), json!(["edge/gw", "mesh"]), json!(["gw"])])
    });
    maybe(&mut spec, "exportTo", 20, dice, |dice| dice.one(&[json!(["*"]), json!(["."]), json!(["a", "b"])]));
    let count = 1 + dice.below(3);
    let mut routes: Vec<Value> = (0..count).map(|at| http_route(at, dice)).collect();
    let mut last = json!({"route": legs(dice)});
    common_fields(&mut last, dice);
    routes.push(last);
    spec["http"] = json!(routes);
    maybe(&mut spec, "tcp", 15, dice, |dice| {
        let block = json!({"port": 27_017, "destinationSubnets": ["10.0.0.0/8"], "sourceLabels": {"app": "a"}});
        json!([{"match": [block], "route": stream_legs(dice)}])
    });
    let host =
        spec["hosts"].as_array().unwrap().iter().find_map(|host| host.as_str().filter(|host| *host != "10.1.2.3"));
    if let Some(host) = host.map(str::to_owned).filter(|_| dice.happens(15)) {
        spec["tls"] = json!([{"match": [{"sniHosts": [host], "port": 443}], "route": stream_legs(dice)}]);
    }
    spec
}

fn http_route(at: usize, dice: &mut Dice) -> Value {
    let mut block = json!({"uri": {"prefix": format!("/p{at}/")}});
    maybe(&mut block, "headers", 30, dice, |dice| {
        dice.one(&[
            json!({"x-qa": {"exact": "1"}}),
            json!({"cookie": {"regex": "^(.*;)?(user=jason)(;.*)?$"}}),
            json!({"x": {}}),
        ])
    });
    maybe(&mut block, "withoutHeaders", 10, dice, |_| json!({"x-no": {"prefix": "a"}}));
    maybe(&mut block, "queryParams", 10, dice, |_| json!({"v": {"exact": "2"}}));
    maybe(&mut block, "method", 10, dice, |_| json!({"exact": "POST"}));
    maybe(&mut block, "authority", 10, dice, |_| json!({"prefix": "www."}));
    maybe(&mut block, "scheme", 5, dice, |_| json!({"exact": "https"}));
    maybe(&mut block, "port", 10, dice, |_| json!(8080));
    maybe(&mut block, "sourceLabels", 10, dice, |_| json!({"app.kubernetes.io/name": "a_b"}));
    maybe(&mut block, "sourceNamespace", 5, dice, |_| json!("other"));
    let mut route = json!({"name": format!("route-{at}"), "match": [block]});
    match dice.below(10) {
        0 => route["redirect"] = json!({"uri": "/new", "redirectCode": 302}),
        1 => route["directResponse"] = json!({"status": 503, "body": {"string": "closed"}}),
        2 => route["delegate"] = json!({"name": "more", "namespace": "other"}),
        _ => {
            route["route"] = legs(dice);
            common_fields(&mut route, dice);
        }
    }
    route
}

fn common_fields(route: &mut Value, dice: &mut Dice) {
    maybe(route, "timeout", 30, dice, |dice| json!(dice.one(&["10s", "1.5s", "250ms", "1h", "1m30s"])));
    maybe(route, "retries", 30, dice, |dice| {
        dice.one(&[
            json!({"attempts": 3, "perTryTimeout": "2s", "retryOn": "5xx,503,reset"}),
            json!({"attempts": 0}),
            json!({"attempts": 1, "backoff": "25ms", "retryRemoteLocalities": true}),
        ])
    });
    maybe(route, "fault", 15, dice, |dice| {
        dice.one(&[
            json!({"abort": {"httpStatus": 503, "percentage": {"value": 0.5}}}),
            json!({"abort": {"grpcStatus": "UNAVAILABLE", "percentage": {"value": 10}}}),
            json!({"delay": {"fixedDelay": "3s", "percentage": {"value": 5}}}),
        ])
    });
    maybe(route, "headers", 25, dice, |dice| {
        let value = dice.one(&["a", "100%%", "%DOWNSTREAM_REMOTE_ADDRESS%", "a %REQ(x)% b", ""]);
        json!({"request": {"set": {"x-a": value, "host": "b.example.com"}, "remove": ["x-b"]}, "response": {"add": {"x-c": value}}})
    });
    maybe(route, "corsPolicy", 20, dice, |dice| {
        let origin = dice.one(&[
            json!({"exact": "https://a.example.com"}),
            json!({"regex": "https://.*"}),
            json!({"prefix": "h"}),
        ]);
        json!({"allowOrigins": [origin], "allowMethods": ["GET", "*"], "allowHeaders": ["x-a", "*"], "exposeHeaders": ["x-b"],
            "maxAge": "600s", "allowCredentials": true})
    });
    maybe(route, "mirror", 10, dice, |_| json!({"host": "web", "subset": "v2"}));
    if route.get("mirror").is_some() {
        route["mirrorPercentage"] = json!({"value": 1.5});
    } else {
        maybe(route, "mirrors", 10, dice, |_| json!([{"destination": {"host": "web"}, "percentage": {"value": 5}}]));
    }
    maybe(route, "rewrite", 15, dice, |dice| {
        dice.one(&[json!({"uri": "/"}), json!({"uriRegexRewrite": {"match": "^/a/(.*)$", "rewrite": "/\\1"}})])
    });
}

fn destination(dice: &mut Dice) -> Value {
    let mut destination = json!({"host": dice.one(&SERVICES)});
    maybe(&mut destination, "subset", 60, dice, |dice| json!(dice.one(&["v1", "v2", "blue-2"])));
    maybe(&mut destination, "port", 30, dice, |_| json!({"number": 8080}));
    destination
}

fn legs(dice: &mut Dice) -> Value {
    let count = 1 + dice.below(3);
    let weights = dice.weights(count);
    let leg = |weight: &u64, dice: &mut Dice| {
        let mut leg = json!({"destination": destination(dice)});
        if count > 1 {
            leg["weight"] = json!(weight);
        }
        maybe(&mut leg, "headers", 10, dice, |_| json!({"response": {"set": {"x-served": "v"}}}));
        leg
    };
    weights.iter().map(|weight| leg(weight, dice)).collect()
}

fn stream_legs(dice: &mut Dice) -> Value {
    json!([{"destination": destination(dice), "weight": 70}, {"destination": destination(dice), "weight": 30}])
}

fn destination_rule(dice: &mut Dice) -> Value {
    let mut spec = json!({"host": dice.one(&["web", "*.example.com", "reviews.shop.svc.cluster.local"])});
    let subsets = dice.some(&["v1", "v2", "canary"], 1, 3);
    let subset = |name: &String, dice: &mut Dice| {
        let mut subset = json!({"name": name, "labels": {"version": name}});
        maybe(&mut subset, "trafficPolicy", 30, dice, policy);
        subset
    };
    spec["subsets"] = subsets.iter().map(|name| subset(name, dice)).collect();
    maybe(&mut spec, "trafficPolicy", 70, dice, |dice| {
        let mut policy = policy(dice);
        maybe(
            &mut policy,
            "portLevelSettings",
            30,
            dice,
            |_| json!([{"port": {"number": 80}, "tls": {"mode": "DISABLE"}}]),
        );
        maybe(
            &mut policy,
            "tunnel",
            10,
            dice,
            |_| json!({"protocol": "CONNECT", "targetHost": "a.example.com", "targetPort": 443}),
        );
        policy
    });
    maybe(&mut spec, "exportTo", 20, dice, |dice| dice.one(&[json!(["*"]), json!(["."])]));
    spec
}

fn policy(dice: &mut Dice) -> Value {
    let mut policy = json!({"loadBalancer": {"simple": "ROUND_ROBIN"}});
    maybe(&mut policy, "loadBalancer", 50, dice, |dice| {
        dice.one(&[
            json!({"localityLbSetting": {"distribute": [{"from": "a/b/*", "to": {"a/b/*": 80, "c": 20}}]}}),
            json!({"localityLbSetting": {"failover": [{"from": "a", "to": "b"}]}}),
            json!({"simple": "LEAST_REQUEST", "warmup": {"duration": "10s", "minimumPercent": 10, "aggression": 1.5}}),
        ])
    });
    if dice.happens(60) || policy["loadBalancer"]["localityLbSetting"]["failover"].is_array() {
        policy["outlierDetection"] = json!({"consecutive5xxErrors": 5, "interval": "10s", "baseEjectionTime": "30s",
            "maxEjectionPercent": 50, "minHealthPercent": 0});
    }
    maybe(&mut policy, "connectionPool", 40, dice, |_| {
        json!({"tcp": {"maxConnections": 100, "connectTimeout": "1s", "idleTimeout": "0s", "tcpKeepalive": {"time": "10s", "interval": "1s"}},
            "http": {"http1MaxPendingRequests": 10, "maxRetries": 3, "idleTimeout": "1h", "http2KeepAlive": {"interval": "10s", "timeout": "1s"}}})
    });
    maybe(&mut policy, "tls", 40, dice, |dice| {
        dice.one(&[
            json!({"mode": "ISTIO_MUTUAL"}),
            json!({"mode": "SIMPLE", "credentialName": "cred", "sni": "a.example.com"}),
            json!({"mode": "MUTUAL", "clientCertificate": "/c", "privateKey": "/k", "caCertificates": "/a"}),
        ])
    });
    policy
}

fn gateway(dice: &mut Dice) -> Value {
    let http = json!({"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": dice.some(&["*", "a.example.com", "shop/*.b.example.com", "./c.d", "*/e.f"], 1, 3)});
    let mut servers = vec![http];
    if dice.happens(60) {
        let tls = dice.one(&[
            json!({"mode": "SIMPLE", "credentialName": "cred"}),
            json!({"mode": "MUTUAL", "serverCertificate": "/c", "privateKey": "/k", "caCertificates": "/a"}),
            json!({"mode": "PASSTHROUGH"}),
            json!({"mode": "ISTIO_MUTUAL"}),
            json!({"mode": "SIMPLE", "tlsCertificates": [{"serverCertificate": "/c", "privateKey": "/k"}]}),
        ]);
        servers.push(json!({"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["a.example.com"], "tls": tls}));
    }
    if dice.happens(20) {
        servers.push(json!({"port": {"number": 0, "name": "socket", "protocol": "TCP"}, "hosts": ["*"], "bind": "unix:///run/a.sock"}));
    }
    if dice.happens(20) {
        servers.push(json!({"port": {"number": 27_017, "name": "mongo", "protocol": "MONGO"}, "hosts": ["*"], "bind": "127.0.0.1"}));
    }
    json!({"selector": {"istio": "ingressgateway"}, "servers": servers})
}

fn service_entry(dice: &mut Dice) -> Value {
    let port = json!({"number": 443, "name": "https", "protocol": "TLS"});
    let http = json!({"number": 80, "name": "http", "protocol": "HTTP"});
    dice.one(&[
        json!({"hosts": ["a.example.com", "b.example.com"], "ports": [port, http], "resolution": "DNS", "location": "MESH_EXTERNAL"}),
        json!({"hosts": ["*.example.com"], "ports": [port], "resolution": "NONE"}),
        json!({"hosts": ["db.example.com"], "addresses": ["10.0.0.0/24"], "ports": [{"number": 5432, "name": "pg", "protocol": "TCP", "targetPort": 5433}],
            "resolution": "STATIC", "endpoints": [{"address": "10.0.0.1", "ports": {"pg": 5433}, "labels": {"a": "b"}}], "exportTo": ["."]}),
        json!({"hosts": ["one.example.com"], "ports": [http], "resolution": "DNS_ROUND_ROBIN", "endpoints": [{"address": "c.example.com"}]}),
        json!({"hosts": ["vm.example.com"], "addresses": ["240.1.1.1"], "ports": [http], "resolution": "STATIC", "location": "MESH_INTERNAL",
            "workloadSelector": {"labels": {"app": "vm"}}}),
        json!({"hosts": ["*.dyn.example.com"], "ports": [port], "resolution": "DYNAMIC_DNS"}),
        json!({"hosts": ["sock.example.com"], "ports": [http], "resolution": "STATIC", "endpoints": [{"address": "unix:///run/a.sock"}], "exportTo": ["~"]}),
    ])
}
