//! Reads the routes that carry the weights.

use std::ops::Range;

use super::super::{MESH, Route, codes, node::Node, report::Report};
use super::{hosts, http, matches, plan::Names, shape::place, syntax::is_rule_name};

/// A route, and where it is written.
pub(super) struct Written<'n> {
    pub(super) route: Route,
    pub(super) node: &'n Node,
    pub(super) at: &'n Range<usize>,
}

impl Written<'_> {
    /// Where a field of the route stands.
    pub(super) fn place(&self, field: &str) -> &Range<usize> {
        self.node.entry(field).map_or(self.at, |entry| &entry.key_span)
    }
}

/// The routes in order: those of `routes`, or the only one, which stands in `spec` itself.
pub(super) fn read<'n>(spec: &'n Node, names: &Names<'_>, report: &mut Report<'_>) -> Vec<Written<'n>> {
    let plan_hosts = hosts::hosts(spec, &names.short, names.namespace, report);
    let plan_gateways = hosts::gateways(spec, report);
    let own: Vec<&Node> = match spec.entry("routes").filter(|entry| !entry.node.is_null()) {
        None => vec![spec],
        Some(entry) => {
            for field in ["match", "http", "name"].iter().filter_map(|field| spec.entry(field)) {
                let message = format!("`{}` stands in `spec`, beside `routes`", field.key);
                report.hint(codes::PL11, &field.key_span, message, "move it into the route that it is meant for");
            }
            if entry.node.kind() == "a list" && entry.node.items().is_empty() {
                report.hint(codes::PL04, &entry.key_span, "`routes` is empty", "leave it out for one of all requests");
            }
            entry.node.items().iter().filter(|node| node.is_map()).collect()
        }
    };
    let routes = own.into_iter().map(|node| {
        let is_spec = std::ptr::eq(node, spec);
        let own_hosts = if is_spec { None } else { hosts::hosts(node, &names.short, names.namespace, report) };
        let own_gateways = if is_spec { None } else { hosts::gateways(node, report) };
        let route = Route {
            name: name(node, report).unwrap_or(&names.short).to_owned(),
            hosts: own_hosts.or_else(|| plan_hosts.clone()).unwrap_or_else(|| vec![names.short.clone()]),
            gateways: own_gateways.or_else(|| plan_gateways.clone()).unwrap_or_else(|| vec![MESH.to_owned()]),
            matches: matches::read(node, report),
            http: http::read(node, report),
        };
        Written { route, node, at: place(node) }
    });
    routes.collect()
}

/// The name of a route or pin, where it has one; reports what is no name.
pub(super) fn name<'n>(node: &'n Node, report: &mut Report<'_>) -> Option<&'n str> {
    let node = node.get("name")?;
    let name = node.text()?;
    if !is_rule_name(name) {
        report.hint(codes::PL06, &node.span, format!("`{name}` is no name of a route"), "use letters, digits and `-`");
    }
    Some(name)
}
