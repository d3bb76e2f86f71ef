//! Lists every resource that the sandbox serves, in one table: what is not a row here is 404.

/// A group and version under which a resource can be reached.
#[derive(Debug, PartialEq, Eq)]
pub struct Served {
    /// API group, empty for the core group.
    pub group: &'static str,
    /// API version within the group.
    pub version: &'static str,
    /// Top-level fields that are called otherwise here: (name in the store, name in this version).
    pub renames: &'static [(&'static str, &'static str)],
}

impl Served {
    /// Returns the value of `apiVersion`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.to_owned() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Whose schema a resource follows, and with it which habits of the real server apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Compiled into the real server.
    BuiltIn,
    /// Defined by one of Istio's CustomResourceDefinitions.
    Istio,
}

/// A row of the table: one stored collection of objects.
#[derive(Debug)]
pub struct Resource {
    /// The name in paths, unique in the table.
    pub plural: &'static str,
    /// The singular name in discovery.
    pub singular: &'static str,
    /// The value of `kind`.
    pub kind: &'static str,
    /// Abbreviations in discovery.
    pub short: &'static [&'static str],
    /// Where it is served; the first is the preferred version.
    pub served: &'static [Served],
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Built in, or by whose definition.
    pub origin: Origin,
    /// Whether `metadata.generation` is kept.
    pub generation: bool,
    /// Whether `status` can be written only through the subresource.
    pub status: bool,
    /// Whether a replacement must name the resourceVersion that it replaces.
    pub needs_version: bool,
    /// Whether a deletion answers with the object instead of a Status.
    pub delete_returns_object: bool,
}

impl PartialEq for Resource {
    fn eq(&self, other: &Self) -> bool {
        self.plural == other.plural
    }
}

impl Eq for Resource {}

impl Resource {
    /// Returns the group of the preferred version.
    pub fn group(&self) -> &'static str {
        self.served.first().map_or("", |served| served.group)
    }
}

const fn at(group: &'static str, version: &'static str) -> Served {
    Served { group, version, renames: &[] }
}

const CORE: &[Served] = &[at("", "v1")];
const APPS: &[Served] = &[at("apps", "v1")];
const DISCOVERY: &[Served] = &[at("discovery.k8s.io", "v1")];
const COORDINATION: &[Served] = &[at("coordination.k8s.io", "v1")];
const EXTENSIONS: &[Served] = &[at("apiextensions.k8s.io", "v1")];
const EVENTS: &[Served] = &[
    at("", "v1"),
    Served {
        group: "events.k8s.io",
        version: "v1",
        renames: &[
            ("involvedObject", "regarding"),
            ("message", "note"),
            ("source", "deprecatedSource"),
            ("firstTimestamp", "deprecatedFirstTimestamp"),
            ("lastTimestamp", "deprecatedLastTimestamp"),
            ("count", "deprecatedCount"),
            ("reportingComponent", "reportingController"),
        ],
    },
];
const NETWORKING: &[Served] =
    &[at("networking.istio.io", "v1"), at("networking.istio.io", "v1beta1"), at("networking.istio.io", "v1alpha3")];
const SECURITY: &[Served] = &[at("security.istio.io", "v1"), at("security.istio.io", "v1beta1")];

const fn built_in(
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
    served: &'static [Served],
) -> Resource {
    Resource {
        plural,
        singular,
        kind,
        short,
        served,
        namespaced: true,
        origin: Origin::BuiltIn,
        generation: false,
        status: false,
        needs_version: false,
        delete_returns_object: false,
    }
}

const fn istio(
    plural: &'static str,
    singular: &'static str,
    kind: &'static str,
    short: &'static [&'static str],
    served: &'static [Served],
) -> Resource {
    Resource {
        origin: Origin::Istio,
        generation: true,
        status: true,
        needs_version: true,
        ..built_in(plural, singular, kind, short, served)
    }
}

/// Every resource there is.
pub static RESOURCES: &[Resource] = &[
    Resource {
        namespaced: false,
        status: true,
        delete_returns_object: true,
        ..built_in("namespaces", "namespace", "Namespace", &["ns"], CORE)
    },
    Resource {
        status: true,
        delete_returns_object: true,
        ..built_in("services", "service", "Service", &["svc"], CORE)
    },
    Resource {
        generation: true,
        status: true,
        delete_returns_object: true,
        ..built_in("pods", "pod", "Pod", &["po"], CORE)
    },
    built_in("configmaps", "configmap", "ConfigMap", &["cm"], CORE),
    built_in("endpoints", "endpoints", "Endpoints", &["ep"], CORE),
    built_in("events", "event", "Event", &["ev"], EVENTS),
    Resource { generation: true, ..built_in("endpointslices", "endpointslice", "EndpointSlice", &[], DISCOVERY) },
    Resource {
        generation: true,
        status: true,
        ..built_in("deployments", "deployment", "Deployment", &["deploy"], APPS)
    },
    Resource { needs_version: true, ..built_in("leases", "lease", "Lease", &[], COORDINATION) },
    Resource {
        namespaced: false,
        generation: true,
        status: true,
        needs_version: true,
        ..built_in(
            "customresourcedefinitions",
            "customresourcedefinition",
            "CustomResourceDefinition",
            &["crd", "crds"],
            EXTENSIONS,
        )
    },
    istio("virtualservices", "virtualservice", "VirtualService", &["vs"], NETWORKING),
    istio("destinationrules", "destinationrule", "DestinationRule", &["dr"], NETWORKING),
    istio("gateways", "gateway", "Gateway", &["gw"], NETWORKING),
    istio("serviceentries", "serviceentry", "ServiceEntry", &["se"], NETWORKING),
    istio("sidecars", "sidecar", "Sidecar", &[], NETWORKING),
    istio("workloadentries", "workloadentry", "WorkloadEntry", &["we"], NETWORKING),
    istio("authorizationpolicies", "authorizationpolicy", "AuthorizationPolicy", &["ap"], SECURITY),
    istio("peerauthentications", "peerauthentication", "PeerAuthentication", &["pa"], SECURITY),
    istio("requestauthentications", "requestauthentication", "RequestAuthentication", &["ra"], SECURITY),
];

/// Finds the row and the version that a path names.
pub fn by_path(group: &str, version: &str, plural: &str) -> Option<(&'static Resource, &'static Served)> {
    RESOURCES.iter().filter(|row| row.plural == plural).find_map(|row| {
        row.served.iter().find(|at| at.group == group && at.version == version).map(|served| (row, served))
    })
}

/// Finds the row and the version that `apiVersion` and `kind` name.
pub fn by_kind(api_version: &str, kind: &str) -> Option<(&'static Resource, &'static Served)> {
    RESOURCES
        .iter()
        .filter(|row| row.kind == kind)
        .find_map(|row| row.served.iter().find(|at| at.api_version() == api_version).map(|served| (row, served)))
}

/// Finds a row by its plural name.
pub fn by_plural(plural: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|row| row.plural == plural)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_plural_names_one_row() {
        let names: BTreeSet<_> = RESOURCES.iter().map(|row| row.plural).collect();
        assert_eq!(names.len(), RESOURCES.len());
    }

    #[test]
    fn a_virtual_service_is_served_in_three_versions() {
        for version in ["v1", "v1beta1", "v1alpha3"] {
            assert!(by_path("networking.istio.io", version, "virtualservices").is_some(), "{version}");
        }
        assert!(by_path("networking.istio.io", "v2", "virtualservices").is_none());
        assert!(by_kind("networking.istio.io/v1alpha3", "VirtualService").is_some());
    }
}
