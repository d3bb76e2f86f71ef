//! The members of a mesh, read once and found by name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    super::at::At,
    Known, Member, Whose,
    control_plane::REVISION,
    workloads::{Proxy, Workload, Workloads},
};
use crate::{
    istio::lens,
    plan::{Host, MESH},
};

/// A VirtualService.
pub(super) struct Route<'v> {
    pub(super) member: usize,
    pub(super) whose: Whose,
    pub(super) namespace: &'v str,
    pub(super) name: &'v str,
    pub(super) spec: At<'v>,
    pub(super) hosts: Vec<(Host, At<'v>)>,
    /// As `namespace/name`, without `mesh`.
    pub(super) gateways: Vec<(String, At<'v>)>,
    pub(super) is_in_mesh: bool,
    pub(super) legs: Vec<Leg<'v>>,
    pub(super) visible: Visible<'v>,
}

/// A place that a VirtualService sends requests to.
pub(super) struct Leg<'v> {
    pub(super) destination: At<'v>,
    pub(super) host: Host,
    pub(super) subset: Option<At<'v>>,
    pub(super) port: Option<i64>,
    pub(super) is_http: bool,
    /// Whether it gets requests, or copies of them.
    pub(super) is_served: bool,
}

/// A DestinationRule.
pub(super) struct Rule<'v> {
    pub(super) member: usize,
    pub(super) whose: Whose,
    pub(super) namespace: &'v str,
    pub(super) name: &'v str,
    pub(super) host: Host,
    pub(super) spec: At<'v>,
    pub(super) subsets: BTreeMap<&'v str, At<'v>>,
}

/// A Gateway.
pub(super) struct Gateway<'v> {
    pub(super) member: usize,
    pub(super) whose: Whose,
    pub(super) namespace: &'v str,
    pub(super) name: &'v str,
    pub(super) spec: At<'v>,
}

/// A Service.
pub(super) struct Service<'v> {
    pub(super) ports: Vec<(i64, &'v str, &'v str)>,
    /// The ports of its pods, where they are given by number.
    pub(super) targets: Vec<i64>,
    pub(super) selector: Labels<'v>,
}

/// A Sidecar.
pub(super) struct Sidecar<'v> {
    pub(super) member: usize,
    pub(super) whose: Whose,
    pub(super) namespace: &'v str,
    pub(super) name: &'v str,
    pub(super) spec: At<'v>,
    pub(super) selector: Labels<'v>,
}

/// An AuthorizationPolicy or RequestAuthentication.
pub(super) struct Policy<'v> {
    pub(super) member: usize,
    pub(super) whose: Whose,
    pub(super) namespace: &'v str,
    pub(super) spec: At<'v>,
}

/// What a namespace says of the proxies of its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Injection {
    /// Nothing.
    Unsaid,
    /// They are to have one each.
    Enabled,
    /// They are to have none.
    Disabled,
    /// Those of the nodes serve them.
    Ambient,
}

/// Labels by their keys.
pub(super) type Labels<'v> = BTreeMap<&'v str, &'v str>;

/// Which namespaces see an object.
pub(super) enum Visible<'v> {
    /// All.
    Everywhere,
    /// These.
    In(BTreeSet<&'v str>),
}

impl Visible<'_> {
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Visible::In(one), Visible::In(other)) => !one.is_disjoint(other),
            _ => true,
        }
    }
}

/// All members.
pub(super) struct View<'v> {
    pub(super) known: Known,
    pub(super) routes: Vec<Route<'v>>,
    pub(super) rules: Vec<Rule<'v>>,
    pub(super) gateways: BTreeMap<String, Gateway<'v>>,
    /// The namespaces of Gateways by their names.
    pub(super) gateway_names: BTreeMap<&'v str, BTreeSet<&'v str>>,
    /// Positions of DestinationRules by host.
    rules_by_host: BTreeMap<Host, Vec<usize>>,
    /// Those for wildcards.
    wild_rules: Vec<usize>,
    /// By namespace and name.
    services: BTreeMap<&'v str, BTreeMap<&'v str, Service<'v>>>,
    entries: Vec<Host>,
    pub(super) workloads: Workloads<'v>,
    pub(super) sidecars: Vec<Sidecar<'v>>,
    pub(super) policies: Vec<Policy<'v>>,
    namespaces: BTreeMap<&'v str, Injection>,
    /// The caller's objects that are for one revision of Istio, each with the label that says so.
    pub(super) revised: Vec<(usize, At<'v>)>,
    /// Istio's own settings.
    pub(super) mesh: Option<At<'v>>,
}

impl<'v> View<'v> {
    pub(super) fn new(members: &[Member<'v>], known: Known) -> Self {
        let mut view = Self {
            known,
            routes: Vec::new(),
            rules: Vec::new(),
            gateways: BTreeMap::new(),
            gateway_names: BTreeMap::new(),
            rules_by_host: BTreeMap::new(),
            wild_rules: Vec::new(),
            services: BTreeMap::new(),
            entries: Vec::new(),
            workloads: Workloads::default(),
            sidecars: Vec::new(),
            policies: Vec::new(),
            namespaces: BTreeMap::new(),
            revised: Vec::new(),
            mesh: None,
        };
        for (position, member) in members.iter().enumerate() {
            view.read(position, *member);
        }
        view
    }

    fn read(&mut self, member: usize, Member { object, whose }: Member<'v>) {
        let root = At::root(object);
        let (name, namespace) = names(object);
        let spec = root.get("spec").unwrap_or_else(|| root.clone());
        match root.text_of("kind") {
            "VirtualService" => self.routes.push(route(member, whose, namespace, name, spec)),
            "DestinationRule" => {
                let host = Host::resolve(spec.text_of("host"), namespace);
                let position = self.rules.len();
                if host.as_str().starts_with('*') {
                    self.wild_rules.push(position);
                } else {
                    self.rules_by_host.entry(host.clone()).or_default().push(position);
                }
                let subsets = spec.list("subsets").into_iter().map(|subset| (subset.text_of("name"), subset)).collect();
                self.rules.push(Rule { member, whose, namespace, name, host, spec, subsets });
            }
            "Gateway" => {
                self.gateway_names.entry(name).or_default().insert(namespace);
                let gateway = Gateway { member, whose, namespace, name, spec };
                self.gateways.insert(format!("{namespace}/{name}"), gateway);
            }
            "ServiceEntry" => {
                let hosts = spec.list("hosts");
                self.entries.extend(hosts.iter().filter_map(At::text).map(|host| Host::resolve(host, namespace)));
            }
            "Service" => {
                let ports = spec.list("ports");
                let port = |port: &At<'v>| (port.whole_of("port"), port.text_of("name"), port.text_of("appProtocol"));
                let target = |port: &At<'v>| port.get("targetPort").and_then(|target| target.whole());
                let service = Service {
                    ports: ports.iter().map(port).collect(),
                    targets: ports.iter().filter_map(target).collect(),
                    selector: labels(&spec, "selector"),
                };
                self.services.entry(namespace).or_default().insert(name, service);
            }
            "Pod" => self.workloads.add(Workloads::pod(namespace, name, &root)),
            "WorkloadEntry" => {
                let labels = labels(&spec, "labels");
                self.workloads.add(Workload { namespace, name, labels, proxy: Proxy::Unknown });
            }
            "Sidecar" => {
                let selector = spec.get("workloadSelector").map(|selector| labels(&selector, "labels"));
                let selector = selector.unwrap_or_default();
                self.sidecars.push(Sidecar { member, whose, namespace, name, spec, selector });
            }
            "AuthorizationPolicy" | "RequestAuthentication" => {
                self.policies.push(Policy { member, whose, namespace, spec });
            }
            "Namespace" => {
                self.namespaces.insert(name, injection(&root));
            }
            "MeshConfig" => self.mesh = Some(spec),
            _ => {}
        }
        let revision = root.reach(&["metadata", "labels", REVISION]).filter(|_| whose.is_own());
        self.revised.extend(revision.map(|revision| (member, revision)));
    }

    /// What a namespace says of its proxies; none where it was not shown.
    pub(super) fn injection(&self, namespace: &str) -> Option<Injection> {
        self.namespaces.get(namespace).copied()
    }

    /// Whether the proxies of the nodes serve a namespace.
    pub(super) fn is_ambient(&self, namespace: &str) -> bool {
        self.injection(namespace) == Some(Injection::Ambient)
    }

    /// The Service behind a host.
    pub(super) fn service(&self, host: &Host) -> Option<&Service<'v>> {
        let (name, namespace) = host.service()?;
        self.services.get(namespace)?.get(name)
    }

    /// Whether nothing stands behind a host, as far as everything is known.
    pub(super) fn is_missing(&self, host: &Host) -> bool {
        self.known.hosts
            && self.service(host).is_none()
            && !self.entries.iter().any(|entry| super::super::syntax::overlap(entry.as_str(), host.as_str()))
    }

    /// The DestinationRules for a host, those for wildcards above it included.
    pub(super) fn rules_of(&self, host: &Host) -> impl Iterator<Item = &Rule<'v>> {
        let exact = self.rules_by_host.get(host).into_iter().flatten();
        let wild = self.wild_rules.iter();
        let all = exact.chain(wild).filter_map(|position| self.rules.get(*position));
        all.filter(|rule| super::super::syntax::overlap(rule.host.as_str(), host.as_str()))
    }

    /// The DestinationRules for exactly this host.
    pub(super) fn exact_rules(&self, host: &Host) -> impl Iterator<Item = &Rule<'v>> {
        self.rules_by_host.get(host).into_iter().flatten().filter_map(|position| self.rules.get(*position))
    }

    /// The Services that select a pod of these labels in a namespace.
    pub(super) fn services_of(&self, namespace: &str, pod: &Labels<'_>) -> impl Iterator<Item = &Service<'v>> {
        let services = self.services.get(namespace).into_iter().flat_map(BTreeMap::values);
        services.filter(|service| {
            !service.selector.is_empty() && service.selector.iter().all(|(key, value)| pod.get(key) == Some(value))
        })
    }
}

impl Whose {
    /// Whether it is the caller's.
    pub(super) fn is_own(self) -> bool {
        self != Self::Other
    }
}

/// What a Namespace says of its proxies, by the labels that Istio reads.
fn injection(root: &At<'_>) -> Injection {
    let of = |key: &'static str| root.reach(&["metadata", "labels", key]).and_then(|label| label.text());
    match (of("istio.io/dataplane-mode"), of("istio-injection"), of(REVISION)) {
        (Some("ambient"), ..) => Injection::Ambient,
        (_, Some("enabled"), _) | (_, None, Some(_)) => Injection::Enabled,
        (_, Some(_), _) => Injection::Disabled,
        (_, None, None) => Injection::Unsaid,
    }
}

fn names(object: &Value) -> (&str, &str) {
    let text = |field: &str| object.get("metadata").and_then(|metadata| metadata.get(field)?.as_str());
    (text("name").unwrap_or_default(), text("namespace").unwrap_or("default"))
}

/// The labels in a field.
pub(super) fn labels<'v>(owner: &At<'v>, field: &'static str) -> Labels<'v> {
    owner.map(field).into_iter().filter_map(|(key, at)| Some((key, at.text()?))).collect()
}

fn route<'v>(member: usize, whose: Whose, namespace: &'v str, name: &'v str, spec: At<'v>) -> Route<'v> {
    let hosts = spec.list("hosts").into_iter();
    let hosts = hosts.filter_map(|at| Some((Host::resolve(at.text()?, namespace), at))).collect();
    let written = spec.list("gateways");
    let is_in_mesh = written.is_empty() || written.iter().any(|at| at.text() == Some(MESH));
    let gateways = written.into_iter().filter_map(|at| Some((at.text()?, at))).filter(|(text, _)| *text != MESH);
    let gateways = gateways.map(|(text, at)| (lens::gateway(text, namespace), at)).collect();
    let export = spec.list("exportTo");
    let export: BTreeSet<&str> =
        export.iter().filter_map(At::text).map(|to| if to == "." { namespace } else { to }).collect();
    let visible = match export.is_empty() || export.contains("*") {
        true => Visible::Everywhere,
        false => Visible::In(export),
    };
    let legs = legs(&spec, namespace);
    Route { member, whose, namespace, name, spec, hosts, gateways, is_in_mesh, legs, visible }
}

fn legs<'v>(spec: &At<'v>, namespace: &str) -> Vec<Leg<'v>> {
    let mut legs = Vec::new();
    for field in ["http", "tls", "tcp"] {
        for route in spec.list(field) {
            let several = route.count("route") > 1;
            let mut add = |destination: Option<At<'v>>, is_served: bool| {
                let Some(destination) = destination else { return };
                let subset = destination.get("subset").filter(|subset| subset.text() != Some(""));
                let port = destination.reach(&["port", "number"]).and_then(|port| port.whole());
                let host = Host::resolve(destination.text_of("host"), namespace);
                legs.push(Leg { host, subset, port, is_http: field == "http", is_served, destination });
            };
            for leg in route.list("route") {
                add(leg.get("destination"), !several || leg.whole_of("weight") > 0);
            }
            add(route.get("mirror"), true);
            for mirror in route.list("mirrors") {
                add(mirror.get("destination"), true);
            }
        }
    }
    legs
}
