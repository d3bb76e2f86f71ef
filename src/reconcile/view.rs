//! What the shell knows beside the events: readiness, claims, clocks, the sight of Git, and plain objects that fail.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    cluster::{Cluster, Endpoints},
    istio::{ObjectKind, rules::ClusterLocal},
    plan::{Host, MESH, ObjectKey, PlainObject, Plan, Routing, Version},
    rollout::{ClusterName, GitSight, Images, Lease, Taken},
};

use super::{
    Sight,
    claims::Claims,
    living::Living,
    meshes::{self, Meshes},
    namespaces::Namespace,
    proxies::Asked,
    shadows::Shadows,
    watched::Away,
};

/// One cluster of the view.
pub(super) struct Place {
    pub(super) cluster: Cluster,
    /// Which of the API servers that had the cluster's name: answers of another one say nothing of this.
    pub(super) server: u64,
    pub(super) endpoints: Endpoints,
    pub(super) claims: Claims,
    pub(super) shadows: Shadows,
    pub(super) proxies: Asked,
}

impl Place {
    /// A cluster of which nothing was seen yet.
    pub(super) fn new(cluster: Cluster, server: u64, endpoints: Endpoints) -> Self {
        let (claims, shadows, proxies) = (Claims::default(), Shadows::default(), Asked::default());
        Self { cluster, server, endpoints, claims, shadows, proxies }
    }

    /// Who is asked here.
    pub(super) fn server(&self) -> Server {
        (self.cluster.name().to_owned(), self.server)
    }
}

/// A cluster, and which of its API servers is meant.
pub(super) type Server = (ClusterName, u64);

/// A cluster of which nothing but the endpoints is read, and nothing is written.
pub(super) struct Remote {
    pub(super) cluster: Cluster,
    pub(super) endpoints: Endpoints,
}

/// Everything that workers may ask.
pub(super) struct View {
    /// The repository that is followed; none: a guard follows none.
    pub(super) repository: Option<Arc<str>>,
    pub(super) places: BTreeMap<ClusterName, Place>,
    pub(super) remotes: BTreeMap<ClusterName, Remote>,
    pub(super) meshes: Meshes,
    /// The hosts whose callers stay in their cluster, by cluster, once that was asked.
    pub(super) local: BTreeMap<ClusterName, ClusterLocal>,
    /// The clusters that do not answer, with why.
    pub(super) away: HashMap<ClusterName, Away>,
    pub(super) git: GitSight,
    pub(super) lease: Lease,
    pub(super) living: Living,
    /// Plain objects that are not applied yet, with what is in the way.
    pub(super) pending: HashMap<(ClusterName, String, ObjectKey), Pending>,
    /// Namespaces that are not known to be there.
    pub(super) namespaces: HashMap<(ClusterName, String), Namespace>,
}

impl View {
    /// The cluster of an API server, where that is the present one.
    pub(super) fn present(&self, (cluster, server): Server) -> Option<ClusterName> {
        self.places.get(&cluster).is_some_and(|place| place.server == server).then_some(cluster)
    }
}

/// A plain object that is not applied.
pub(super) struct Pending {
    pub(super) hosts: Vec<Host>,
    pub(super) message: String,
}

impl Pending {
    /// A plain object that is on its way.
    pub(super) fn of(object: &PlainObject) -> Self {
        let hosts = object.value.pointer("/spec/hosts").and_then(serde_json::Value::as_array);
        let hosts = hosts.into_iter().flatten().filter_map(serde_json::Value::as_str);
        let hosts = hosts.map(|host| Host::resolve(host, &object.key.namespace)).collect();
        Self { hosts, message: "it is being applied".to_owned() }
    }
}

impl View {
    /// The client of a cluster.
    pub(super) fn client(&self, name: &str) -> Option<&Cluster> {
        let place = self.places.get(name).map(|place| &place.cluster);
        place.or_else(|| self.remotes.get(name).map(|remote| &remote.cluster))
    }

    /// What is counted in a cluster; none where that is not known now.
    fn counted(&self, name: &str) -> Option<&Endpoints> {
        if self.away.contains_key(name) {
            return None;
        }
        let place = self.places.get(name).map(|place| &place.endpoints);
        place.or_else(|| self.remotes.get(name).map(|remote| &remote.endpoints))
    }

    /// Whose endpoints callers in a cluster reach by a Service; none where that is not known yet.
    fn reached(&self, cluster: &str, namespace: &str, service: &str) -> Option<Reached<'_>> {
        let Some(all) = self.meshes.sharing(cluster) else { return Some(Reached::Own) };
        let local = self.local.get(cluster)?.has(Host::resolve(service, namespace).as_str());
        Some(if local { Reached::OwnOf(all) } else { Reached::All(all) })
    }
}

/// Whose endpoints are reached.
enum Reached<'a> {
    /// Those of the cluster, which shares them with no other.
    Own,
    /// Those of the cluster, though it shares others with these.
    OwnOf(&'a [ClusterName]),
    /// Those of all of these.
    All(&'a [ClusterName]),
}

impl Sight for View {
    fn repository(&self) -> Option<&Arc<str>> {
        self.repository.as_ref()
    }

    fn ready(&self, cluster: &str, namespace: &str, service: &str, labels: &BTreeMap<String, String>) -> Option<u32> {
        match self.reached(cluster, namespace, service)? {
            Reached::Own | Reached::OwnOf(_) => self.places.get(cluster)?.endpoints.ready(namespace, service, labels),
            Reached::All(all) => {
                meshes::sum(all.iter().map(|name| self.counted(name)?.ready(namespace, service, labels)))
            }
        }
    }

    fn elsewhere(
        &self,
        cluster: &str,
        namespace: &str,
        service: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<bool> {
        let Reached::All(all) = self.reached(cluster, namespace, service)? else { return Some(false) };
        let ready = |name: &ClusterName| self.counted(name)?.ready(namespace, service, labels);
        let own = self.places.get(cluster)?.endpoints.ready(namespace, service, labels)?;
        meshes::is_elsewhere(own, all.iter().filter(|name| *name != cluster).map(ready))
    }

    fn images(
        &self,
        cluster: &str,
        namespace: &str,
        service: &str,
        labels: &BTreeMap<String, String>,
    ) -> Option<Images> {
        match self.reached(cluster, namespace, service)? {
            Reached::Own | Reached::OwnOf(_) => self.places.get(cluster)?.endpoints.images(namespace, service, labels),
            Reached::All(all) => {
                meshes::united(all.iter().map(|name| self.counted(name)?.images(namespace, service, labels)))
            }
        }
    }

    fn claims(&self, cluster: &str, own: &ObjectKey, wanted: &Routing) -> Vec<ObjectKey> {
        self.places.get(cluster).map(|place| place.claims.others(own, wanted)).unwrap_or_default()
    }

    fn shadow(&self, cluster: &str, own: &ObjectKey, wanted: &Routing) -> Option<ObjectKey> {
        self.places.get(cluster)?.shadows.over(own, wanted)
    }

    fn beyond(&self, cluster: &str, plan: &Plan) -> Option<String> {
        let (service, namespace) = plan.routing.service.service()?;
        match self.reached(cluster, namespace, service) {
            None => Some(format!("the mesh config of cluster {cluster} was not read yet")),
            Some(Reached::Own) => None,
            Some(Reached::All(all)) => {
                let mut away =
                    all.iter().filter(|name| *name != cluster).filter_map(|name| self.away.get_key_value(name));
                let (name, away) = away.next()?;
                Some(format!("cluster {name} of the mesh of {cluster} does not answer: {}", away.why))
            }
            Some(Reached::OwnOf(all)) => {
                let ready =
                    |name: &str, version: &Version| self.counted(name)?.ready(namespace, service, &version.labels);
                let weighted = plan.routing.versions.iter().filter(|version| plan.traffic.weight(&version.name) > 0);
                let mut missing = weighted.filter(|version| ready(cluster, version) == Some(0));
                let version = missing.find(|version| all.iter().any(|name| ready(name, version) > Some(0)))?;
                Some(format!(
                    "the pods of version {} are in other clusters than {cluster}, whose mesh config says `clusterLocal` \
                     of {}: its callers would get 503",
                    version.name, plan.routing.service
                ))
            }
        }
    }

    fn clock_offset_ms(&self, cluster: &str) -> Option<i64> {
        Some(-self.places.get(cluster)?.cluster.clock_offset_ms()?)
    }

    fn taken(&self, cluster: &str, kind: ObjectKind, key: &ObjectKey, generation: Option<i64>) -> Option<Taken> {
        self.places.get(cluster)?.proxies.taken(kind, key, generation)
    }

    fn git(&self) -> GitSight {
        self.git.clone()
    }

    fn lease(&self) -> Lease {
        self.lease.clone()
    }

    fn lacks_namespace(&self, cluster: &str, namespace: &str) -> bool {
        self.namespaces.get(&(cluster.to_owned(), namespace.to_owned())) == Some(&Namespace::Missing)
    }

    fn lives(&self, owner: &str) -> bool {
        self.living.has(owner)
    }

    fn dependency(&self, cluster: &str, wanted: &Routing) -> Option<String> {
        self.pending.iter().find_map(|((place, kind, key), pending)| {
            let concerns = place == cluster
                && match kind.as_str() {
                    "Gateway" => names_gateway(wanted, key),
                    "ServiceEntry" => pending.hosts.iter().any(|host| names_host(wanted, host)),
                    _ => false,
                };
            concerns.then(|| format!("{kind} {key}: {}", pending.message))
        })
    }
}

fn names_gateway(routing: &Routing, key: &ObjectKey) -> bool {
    let resolves = |written: &String| match written.split_once('/') {
        _ if written == MESH => false,
        Some((".", name)) => routing.namespace == key.namespace && name == key.name,
        Some((namespace, name)) => namespace == key.namespace && name == key.name,
        None => routing.namespace == key.namespace && *written == key.name,
    };
    routing.routes.iter().flat_map(|route| &route.gateways).any(resolves)
}

fn names_host(routing: &Routing, host: &Host) -> bool {
    routing.routes.iter().flat_map(|route| &route.hosts).any(|own| Host::resolve(own, &routing.namespace) == *host)
}
