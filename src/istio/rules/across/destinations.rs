//! Whether the places that VirtualServices send requests to are there.

use super::{
    super::at::At,
    Findings,
    view::{Leg, Route, Rule, Service, View, labels},
};
use crate::plan::codes;

const HTTP: [&str; 4] = ["http", "http2", "grpc", "grpc-web"];
const HTTP_APPS: [&str; 6] = ["http", "http2", "grpc", "grpc-web", "kubernetes.io/h2c", "kubernetes.io/ws"];

/// How the labels begin that Istio gives to endpoints, and no pod has: by where they are, perhaps in another cluster.
const OF_ENDPOINTS: [&str; 3] = ["topology.istio.io/", "topology.kubernetes.io/", "kubernetes.io/hostname"];

/// With fewer, ejecting one leaves hardly anything.
const EJECTABLE_PODS_MIN: usize = 3;

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    for route in view.routes.iter().filter(|route| route.whose.is_own()) {
        let mut told = Vec::new();
        for leg in &route.legs {
            // Each route of a VirtualService may lead to the same place: it is told once.
            let place = (&leg.host, leg.subset.as_ref().and_then(At::text), leg.port);
            if !told.contains(&place) {
                told.push(place);
                host(view, route, leg, findings);
                subset(view, route, leg, findings);
            }
        }
    }
}

fn host(view: &View<'_>, route: &Route<'_>, leg: &Leg<'_>, findings: &mut Findings) {
    let Some(service) = view.service(&leg.host) else {
        if view.is_missing(&leg.host) {
            let message = format!("there is no Service or ServiceEntry for `{}`", leg.host);
            let hint = "create it first, or correct the host: requests to it get 503";
            findings.add(route.member, codes::IST0101, &leg.destination, message, hint);
        }
        return;
    };
    let known = || service.ports.iter().map(|(number, ..)| number.to_string()).collect::<Vec<_>>().join(", ");
    match (leg.port, service.ports.as_slice()) {
        (Some(port), ports) => match ports.iter().find(|(number, ..)| *number == port) {
            Some(port) => speaks_http(route, leg, port, findings),
            None => {
                let message = format!("the Service of `{}` has no port {port}", leg.host);
                let at = leg.destination.get("port").unwrap_or_else(|| leg.destination.clone());
                findings.add(route.member, codes::IST0101, &at, message, format!("write one of {}", known()));
            }
        },
        (None, [port]) => speaks_http(route, leg, port, findings),
        (None, []) => {}
        (None, _) => {
            let message = format!("the Service of `{}` has several ports, and none is named", leg.host);
            findings.add(
                route.member,
                codes::IST0112,
                &leg.destination,
                message,
                format!("write one of {} as `port`", known()),
            );
        }
    }
}

fn speaks_http(route: &Route<'_>, leg: &Leg<'_>, port: &(i64, &str, &str), findings: &mut Findings) {
    let (number, name, app) = *port;
    let by_name =
        HTTP.iter().any(|http| name == *http || name.strip_prefix(http).is_some_and(|rest| rest.starts_with('-')));
    if !leg.is_http || by_name || HTTP_APPS.contains(&app) {
        return;
    }
    let said = if name.is_empty() { "has no name".to_owned() } else { format!("is named `{}`", name.escape_debug()) };
    let message = format!("port {number} of the Service of `{}` {said}: it does not say that it speaks HTTP", leg.host);
    let hint = "name it `http`, `http2` or `grpc`, alone or before `-`, or set its `appProtocol`";
    findings.add(route.member, codes::IST0118, &leg.destination, message, hint);
}

fn subset(view: &View<'_>, route: &Route<'_>, leg: &Leg<'_>, findings: &mut Findings) {
    let Some((at, name)) = leg.subset.as_ref().and_then(|at| Some((at, at.text()?))) else { return };
    let rules: Vec<&Rule<'_>> = view.rules_of(&leg.host).collect();
    let Some(rule) = rules.iter().find(|rule| rule.subsets.contains_key(name)) else {
        if view.known.rules || !rules.is_empty() {
            let message = format!("no DestinationRule for `{}` has the subset `{}`", leg.host, name.escape_debug());
            let hint = match rules.first() {
                Some(rule) => format!("add the subset to DestinationRule {}/{} first", rule.namespace, rule.name),
                None => "write a DestinationRule with the subset first: requests to it get 503".to_owned(),
            };
            findings.add(route.member, codes::IST0101, at, message, hint);
        }
        return;
    };
    let Some(service) = view.service(&leg.host) else { return };
    endpoints(view, route, leg, service, rule, findings);
}

/// Whether a subset can have endpoints, and has.
fn endpoints(
    view: &View<'_>,
    route: &Route<'_>,
    leg: &Leg<'_>,
    service: &Service<'_>,
    rule: &Rule<'_>,
    findings: &mut Findings,
) {
    let Some(subset) = leg.subset.as_ref().and_then(|at| rule.subsets.get(at.text()?)) else { return };
    let at = leg.subset.as_ref().unwrap_or(&leg.destination);
    let name = subset.text_of("name").escape_debug();
    let mut wanted = labels(subset, "labels");
    let by_place = wanted.keys().any(|key| OF_ENDPOINTS.iter().any(|made| key.starts_with(made)));
    for (key, value) in &service.selector {
        match wanted.insert(key, value) {
            Some(other) if other != *value => {
                let message =
                    format!("the Service of `{}` selects `{key}: {value}`, and `{name}` is `{key}: {other}`", leg.host);
                let hint =
                    format!("take `{key}` out of the Service's selector: it has to select the pods of every version");
                return findings.add(route.member, codes::TG14, at, message, hint);
            }
            _ => {}
        }
    }
    let namespace = leg.host.service().map_or(route.namespace, |(_, namespace)| namespace);
    if !view.known.workloads || by_place || !leg.is_served || service.selector.is_empty() {
        return;
    }
    let pods = view.workloads.with(&wanted).into_iter().filter(|pod| pod.namespace == namespace).count();
    let outliers =
        [subset, &rule.spec].iter().any(|owner| owner.reach(&["trafficPolicy", "outlierDetection"]).is_some());
    if pods == 0 {
        let message = format!("`{name}` of `{}` gets requests and has no pods", leg.host);
        let hint = "nothing rises to it before it has: start its pods first";
        findings.add(route.member, codes::IST0173, at, message, hint);
    } else if outliers && pods < EJECTABLE_PODS_MIN {
        let message = format!(
            "`{name}` of `{}` has {pods} pods, which outlier detection can all eject: its share gets 503",
            leg.host
        );
        let hint = format!(
            "run {EJECTABLE_PODS_MIN} pods of it, or leave `outlierDetection` out of its subset while it is small"
        );
        findings.add(route.member, codes::TG15, at, message, hint);
    }
}
