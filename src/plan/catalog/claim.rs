//! What a plan takes for itself alone: its Service, its two objects, and its hosts on each gateway.

use super::super::codes;
use std::{collections::BTreeSet, fmt};

use crate::plan::{Host, MESH, ObjectKey, Plan};

/// One thing that at most one plan in force may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// The Service in front of the versions.
    Service(Host),
    /// The VirtualService that carries the weights.
    VirtualService(ObjectKey),
    /// The DestinationRule with the subsets.
    DestinationRule(ObjectKey),
    /// A host on a gateway: [`MESH`], or `namespace/name`.
    Host { gateway: String, host: Host },
}

impl Claim {
    /// All claims of a plan.
    pub(super) fn of(plan: &Plan) -> BTreeSet<Self> {
        let routing = &plan.routing;
        let hosts = routing.routes.iter().flat_map(|route| {
            route.gateways.iter().flat_map(|gateway| {
                route.hosts.iter().map(|host| Self::Host {
                    gateway: resolve_gateway(gateway, &plan.key.namespace),
                    host: Host::resolve(host, &plan.key.namespace),
                })
            })
        });
        [
            Self::Service(routing.service.clone()),
            Self::VirtualService(plan.object()),
            Self::DestinationRule(destination_rule(plan)),
        ]
        .into_iter()
        .chain(hosts)
        .collect()
    }

    /// The code of the finding that a second plan with this claim gets.
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Service(_) => codes::TG31,
            Self::VirtualService(_) => codes::TG32,
            Self::DestinationRule(_) => codes::TG33,
            Self::Host { .. } => codes::TG34,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(host) => write!(f, "service {host}"),
            Self::VirtualService(key) => write!(f, "VirtualService {key}"),
            Self::DestinationRule(key) => write!(f, "DestinationRule {key}"),
            Self::Host { gateway, host } if gateway == MESH => write!(f, "host {host} in the mesh"),
            Self::Host { gateway, host } => write!(f, "host {host} on gateway {gateway}"),
        }
    }
}

/// The DestinationRule that a plan writes.
pub(super) fn destination_rule(plan: &Plan) -> ObjectKey {
    ObjectKey { namespace: plan.key.namespace.clone(), name: plan.routing.destination_rule.name.clone() }
}

fn resolve_gateway(written: &str, namespace: &str) -> String {
    if written == MESH || written.contains('/') { written.to_owned() } else { format!("{namespace}/{written}") }
}
