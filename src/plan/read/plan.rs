//! Puts a plan together from its parts.

use super::super::{
    Digest, DriftPolicy, Host, OnFailure, Plan, PlanKey, Readiness, Routing, Span, fields, node::Node, report::Report,
};
use super::{clusters, document, hosts, objects, pins, policy, routes, rules, shape, steps, traffic, versions, waves};

/// The plan's names, as every part needs them.
pub(super) struct Names<'n> {
    /// The plan's namespace.
    pub(super) namespace: &'n str,
    /// The service's short name; the plan's name where the service is none.
    pub(super) short: String,
}

/// Reads a plan. What is returned is whole only where no error was reported.
pub(super) fn read(node: &Node, report: &mut Report<'_>) -> Option<Plan> {
    shape::check("document", node, shape::place(node), &fields::Shape::Object(fields::PLAN), report);
    let named = document::names(node, report);
    let namespace = node.get("metadata").and_then(document::namespace).unwrap_or("default");
    let name = named.map_or("plan", |(_, name)| name);
    let spec = node.get("spec").filter(|spec| spec.is_map())?;
    let service = hosts::service(spec, namespace, report);
    let short = service.as_ref().and_then(Host::service).map_or(name, |(short, _)| short).to_owned();
    let names = Names { namespace, short };

    let versions = versions::read(spec, report);
    let traffic_policy = policy::read(spec, versions.len(), report);
    let target = traffic::read("traffic", spec, &versions, report);
    let from = traffic::read("from", spec, &versions, report);
    let steps = steps::read(spec, report);
    steps::check_last_jump(spec, target.as_ref(), from.as_ref(), &versions, report);
    let routes = routes::read(spec, &names, report);
    let pins = pins::read(spec, &versions, report);
    rules::check(&routes, &pins, &names, report);
    let chosen = clusters::read(spec, report);
    let virtual_service = objects::read(spec, "virtualService", &names, report);
    let destination_rule = objects::read(spec, "destinationRule", &names, report);

    named?;
    let flag = |field| spec.get(field).and_then(Node::scalar).and_then(serde_json::Value::as_bool).unwrap_or(false);
    let whole = |field| spec.get(field).and_then(Node::whole).and_then(|number| u32::try_from(number).ok());
    let span = |field| spec.get(field).and_then(Node::text).and_then(|text| text.parse().ok());
    let hold = spec.get("settle").and_then(steps::hold);
    Some(Plan {
        key: PlanKey { namespace: namespace.to_owned(), name: name.to_owned() },
        digest: Digest::of(&node.value()),
        routing: Routing {
            namespace: namespace.to_owned(),
            service: service?,
            port: spec.get("port").and_then(Node::whole).and_then(|port| u16::try_from(port).ok()),
            versions,
            traffic_policy,
            routes: routes.into_iter().map(|written| written.route).collect(),
            pins: pins.into_iter().map(|written| written.pin).collect(),
            virtual_service,
            destination_rule,
        },
        traffic: target?,
        settle: hold.or_else(|| steps.last().map(|step| step.hold)).unwrap_or(Span::ZERO),
        steps,
        from,
        take_ownership: flag("takeOwnership"),
        prune: flag("prune"),
        drift: drift(spec),
        on_failure: on_failure(spec),
        on_partial: waves::on_partial(spec),
        waves: waves::read(spec, report),
        quorum: waves::quorum(spec),
        attempt: whole("attempt").unwrap_or(Plan::first_attempt()),
        progress_deadline: span("progressDeadline").unwrap_or(Plan::usual_progress_deadline()),
        readiness: readiness(spec),
        pause: flag("pause"),
        suspend: flag("suspend"),
        clusters: chosen,
    })
}

fn readiness(spec: &Node) -> Readiness {
    let field = |block: &str, field: &str| spec.get(block).and_then(|block| block.get(field));
    let usual = Readiness::default();
    let least = field("ready", "minEndpoints").and_then(Node::whole).and_then(|least| u32::try_from(least).ok());
    Readiness {
        min_endpoints: least.unwrap_or(usual.min_endpoints),
        capacity_percent: field("ready", "capacityFactor").and_then(shape::factor).unwrap_or(usual.capacity_percent),
        way_back_percent: field("wayBack", "minReady").and_then(shape::percent).unwrap_or(usual.way_back_percent),
    }
}

fn on_failure(spec: &Node) -> OnFailure {
    match spec.get("onFailure").and_then(Node::text) {
        Some("hold") => OnFailure::Hold,
        _ => OnFailure::Rollback,
    }
}

fn drift(spec: &Node) -> DriftPolicy {
    match spec.get("driftPolicy").and_then(Node::text) {
        Some("warn") => DriftPolicy::Warn,
        _ => DriftPolicy::Correct,
    }
}
