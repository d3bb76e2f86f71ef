//! The rules of a traffic policy: of a whole host, of a subset, or of a port.

use super::{
    at::At,
    balancer, names,
    report::Report,
    syntax::{duration_fault, is_address, is_domain, is_port},
};
use crate::plan::codes;

const FIELDS: [&str; 8] = [
    "outlierDetection",
    "connectionPool",
    "loadBalancer",
    "tls",
    "portLevelSettings",
    "tunnel",
    "proxyProtocol",
    "retryBudget",
];
const PORT_FIELDS: [&str; 4] = ["outlierDetection", "connectionPool", "loadBalancer", "tls"];
const POOL_NUMBERS: [&str; 5] =
    ["http1MaxPendingRequests", "http2MaxRequests", "maxRequestsPerConnection", "maxRetries", "maxConcurrentStreams"];

pub(super) fn check(policy: &At<'_>, namespace: &str, report: &mut Report) {
    let set = |field: &&&str| policy.has(field) && (**field != "portLevelSettings" || policy.count(field) > 0);
    if FIELDS.iter().filter(set).count() == 0 {
        report.add(codes::DR02, policy, "the traffic policy is empty: Istio refuses it", "leave it out");
    }
    if let Some(at) = policy.get("proxyProtocol").filter(|_| policy.has("tunnel")) {
        report.add(codes::DR02, &at, "`proxyProtocol` stands beside `tunnel`", "keep one of the two");
    }
    settings(policy, namespace, report);
    for port in policy.list("portLevelSettings") {
        if !port.has("port") {
            report.add(codes::DR02, &port, "a port's settings have no port", "write `port: {number: …}`");
        }
        if !PORT_FIELDS.iter().any(|field| port.has(field)) {
            report.add(codes::DR02, &port, "a port's settings are empty: Istio refuses them", "take them out");
        }
        settings(&port, namespace, report);
    }
    if let Some(at) = policy.get("tunnel") {
        tunnel(&at, report);
    }
}

fn settings(owner: &At<'_>, namespace: &str, report: &mut Report) {
    if let Some(at) = owner.get("outlierDetection") {
        outliers(&at, report);
    }
    if let Some(at) = owner.get("connectionPool") {
        pool(&at, report);
    }
    if let Some(at) = owner.get("loadBalancer") {
        balancer::check(&at, owner.has("outlierDetection"), report);
    }
    if let Some(at) = owner.get("tls") {
        tls(&at, namespace, report);
    }
}

fn tunnel(tunnel: &At<'_>, report: &mut Report) {
    let mut add = |message: &str, hint: &str| report.add(codes::DR02, tunnel, message, hint);
    if !["", "CONNECT", "POST"].contains(&tunnel.text_of("protocol")) {
        add("the tunnel's protocol is neither CONNECT nor POST", "write one of them");
    }
    let host = tunnel.text_of("targetHost");
    if !is_domain(host) && !is_address(host) {
        add("the tunnel's `targetHost` is neither a name nor an address", "write a full name");
    }
    if !is_port(tunnel.whole_of("targetPort")) {
        add("the tunnel's `targetPort` is none from 1 to 65535", "write e.g. 443");
    }
}

fn outliers(outliers: &At<'_>, report: &mut Report) {
    for field in ["baseEjectionTime", "interval"] {
        names::duration(outliers, field, codes::DR03, report);
    }
    if let Some(at) = outliers.get("consecutiveErrors").filter(|at| at.whole() != Some(0)) {
        let hint = "write `consecutive5xxErrors` or `consecutiveGatewayErrors`";
        report.add(codes::DR07, &at, "`consecutiveErrors` is deprecated", hint);
    }
    let local = outliers.whole_of("consecutiveLocalOriginFailures") > 0;
    if let Some(at) = outliers
        .get("consecutiveLocalOriginFailures")
        .filter(|_| local && !outliers.is("splitExternalLocalOriginErrors"))
    {
        let message = "`consecutiveLocalOriginFailures` without `splitExternalLocalOriginErrors`";
        report.add(codes::DR03, &at, message, "write `splitExternalLocalOriginErrors: true`");
    }
    for field in ["maxEjectionPercent", "minHealthPercent"] {
        if let Some(at) = outliers.get(field).filter(|at| !at.whole().is_some_and(|share| (0..=100).contains(&share))) {
            report.add(codes::DR03, &at, format!("`{field}` is no percentage"), "write 0 to 100");
        }
    }
}

fn pool(pool: &At<'_>, report: &mut Report) {
    if !pool.has("http") && !pool.has("tcp") {
        report.add(codes::DR02, pool, "the connection pool is empty: Istio refuses it", "leave it out");
    }
    let negative = |owner: &At<'_>, field: &'static str, report: &mut Report| {
        if let Some(at) = owner.get(field).filter(|at| at.whole().is_some_and(|number| number < 0)) {
            report.add(codes::DR04, &at, format!("`{field}` is below 0"), "write 0 for the default");
        }
    };
    if let Some(http) = pool.get("http") {
        POOL_NUMBERS.iter().for_each(|field| negative(&http, field, report));
        names::duration(&http, "idleTimeout", codes::DR04, report);
        if let Some(at) = http
            .get("useClientProtocol")
            .filter(|_| http.is("useClientProtocol") && http.text_of("h2UpgradePolicy") == "UPGRADE")
        {
            report.add(codes::DR04, &at, "`useClientProtocol` stands beside `UPGRADE`", "keep one of the two");
        }
        if let Some(keepalive) = http.get("http2KeepAlive") {
            for field in ["interval", "timeout"] {
                if !keepalive.has(field) {
                    let message = format!("`http2KeepAlive` has no `{field}`");
                    report.add(codes::DR04, &keepalive, message, format!("write `{field}: 10s`"));
                }
                names::duration(&keepalive, field, codes::DR04, report);
            }
        }
    }
    let Some(tcp) = pool.get("tcp") else { return };
    negative(&tcp, "maxConnections", report);
    for field in ["connectTimeout", "maxConnectionDuration"] {
        names::duration(&tcp, field, codes::DR04, report);
    }
    if let Some(at) = tcp.get("idleTimeout") {
        let text = at.text().unwrap_or_default();
        // Anything shorter than a millisecond is Istio's word for no time-out at all.
        let is_off = crate::plan::duration_ns(text).is_some_and(|ns| ns / 1_000_000 == 0);
        if let Some(fault) = duration_fault(text).filter(|_| !is_off) {
            report.add(codes::DR04, &at, format!("`idleTimeout` {fault}"), "write e.g. `10m`, or `0s` for none");
        }
    }
    if let Some(keepalive) = tcp.get("tcpKeepalive") {
        for field in ["time", "interval"] {
            names::duration(&keepalive, field, codes::DR04, report);
        }
    }
}

fn tls(tls: &At<'_>, namespace: &str, report: &mut Report) {
    let has = |field: &str| !tls.text_of(field).is_empty();
    let mode = tls.text_of("mode");
    let mut add = |message: &str, hint: &str| report.add(codes::DR06, tls, message, hint);
    if let Some(place) = tls.text_of("credentialName").strip_prefix("configmap://") {
        let mut parts = place.split('/');
        let own = parts.next() == Some(namespace) && parts.next().is_some_and(|name| !name.is_empty());
        if !own {
            let hint = format!("write `configmap://{namespace}/<name>`");
            add("`credentialName` names no ConfigMap of the rule's own namespace", &hint);
        }
    }
    let names = tls.count("subjectAltNames") > 0;
    if tls.is("insecureSkipVerify") {
        let checks = has("caCertificates") || names || (mode == "SIMPLE" && has("credentialName"));
        if checks && matches!(mode, "SIMPLE" | "MUTUAL") {
            add("the server is verified and `insecureSkipVerify` is set", "keep one of the two");
        }
    }
    if !matches!(mode, "SIMPLE" | "MUTUAL") {
        return;
    }
    if has("credentialName") {
        if ["clientCertificate", "caCertificates", "privateKey", "caCrl"].iter().any(|field| has(field)) {
            add("files of certificates stand beside `credentialName`", "keep one of the two");
        }
        return;
    }
    for field in ["clientCertificate", "privateKey"].iter().filter(|field| mode == "MUTUAL" && !has(field)) {
        add(&format!("mutual TLS has no `{field}`"), "write `credentialName`, or both files; or use `ISTIO_MUTUAL`");
    }
    if !has("caCertificates") && !tls.is("insecureSkipVerify") {
        let message = "no authority is named that the server's certificate must be signed by";
        report.add(codes::DR07, tls, message, "write `caCertificates` or `credentialName`");
    }
}
