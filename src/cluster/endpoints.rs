//! Counts the ready endpoints of each version of a Service, and knows what they run: EndpointSlices joined with the labels
//! and images of their pods.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use k8s_openapi::api::discovery::v1::EndpointSlice;

use crate::rollout::{Image, Images};

/// The label by which a slice tells its Service.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The index of one cluster, kept up to date by its watch. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Endpoints(Arc<RwLock<Index>>);

#[derive(Debug, Default)]
struct Index {
    synced: bool,
    namespaces: HashMap<Box<str>, Namespace>,
    /// What pods run, each text once: those of one workload run the same.
    images: HashSet<Image>,
}

#[derive(Debug, Default)]
struct Namespace {
    slices: HashMap<Box<str>, Slice>,
    /// The names of each Service's slices.
    by_service: HashMap<Box<str>, BTreeSet<Box<str>>>,
    pods: HashMap<Box<str>, Pod>,
}

#[derive(Debug, PartialEq, Eq)]
struct Pod {
    labels: Labels,
    image: Option<Image>,
}

/// Sorted pairs: a map per pod would cost several times as much.
type Labels = Box<[(Box<str>, Box<str>)]>;

#[derive(Debug, Default, PartialEq, Eq)]
struct Slice {
    service: Box<str>,
    /// The pods of the ready endpoints.
    ready: BTreeSet<Box<str>>,
    /// The addresses of ready endpoints that are no pod's.
    strangers: BTreeSet<Box<str>>,
}

impl Endpoints {
    /// How many ready endpoints of a Service belong to pods that carry all of these labels; a pod that is in several
    /// slices or has several addresses counts once. `None` is unknown: the watch is not complete yet, or a ready
    /// endpoint has no pod whose labels could be asked.
    pub fn ready(&self, namespace: &str, service: &str, labels: &BTreeMap<String, String>) -> Option<u32> {
        self.read().ready(namespace, service, labels, |pods| u32::try_from(pods.len()).ok())?
    }

    /// What the pods of those endpoints run. `None` is unknown: there are none, or not all of them are known.
    pub fn images(&self, namespace: &str, service: &str, labels: &BTreeMap<String, String>) -> Option<Images> {
        let images = |pods: BTreeMap<&str, &Pod>| {
            let images: Option<Vec<Image>> = pods.into_values().map(|pod| pod.image.clone()).collect();
            Images::of(images?)
        };
        self.read().ready(namespace, service, labels, images)?
    }

    pub(super) fn set_synced(&self) {
        self.write().synced = true;
    }

    /// Takes a slice; returns the Services whose ready endpoints changed by it.
    pub(super) fn put_slice(&self, namespace: &str, name: &str, slice: &EndpointSlice) -> Vec<String> {
        let new = parse(slice);
        let mut index = self.write();
        let entry = index.namespaces.entry(namespace.into()).or_default();
        let old = entry.slices.get(name);
        if old == Some(&new) {
            return Vec::new();
        }
        let mut touched: Vec<String> =
            old.into_iter().chain([&new]).filter(|slice| slice.counts()).map(Slice::owner).collect();
        touched.dedup();
        entry.take(name);
        entry.by_service.entry(new.service.clone()).or_default().insert(name.into());
        entry.slices.insert(name.into(), new);
        touched
    }

    /// Forgets a slice; returns the Services whose ready endpoints changed by it.
    pub(super) fn remove_slice(&self, namespace: &str, name: &str) -> Vec<String> {
        let mut index = self.write();
        let Some(entry) = index.namespaces.get_mut(namespace) else { return Vec::new() };
        let removed = entry.take(name);
        index.drop_if_empty(namespace);
        removed.filter(Slice::counts).map(|slice| slice.owner()).into_iter().collect()
    }

    /// Takes a pod's labels and what it runs; returns the Services of which it is a ready endpoint, where they changed.
    pub(super) fn put_pod(
        &self,
        namespace: &str,
        name: &str,
        labels: &BTreeMap<String, String>,
        image: Option<Image>,
    ) -> Vec<String> {
        let labels = labels.iter().map(|(key, value)| (key.as_str().into(), value.as_str().into()));
        let mut index = self.write();
        let pod = Pod { labels: labels.collect(), image: image.map(|image| index.shared(image)) };
        let entry = index.namespaces.entry(namespace.into()).or_default();
        if entry.pods.get(name) == Some(&pod) {
            return Vec::new();
        }
        let before = entry.pods.insert(name.into(), pod);
        let touched = entry.services_of(name);
        index.let_go(before);
        touched
    }

    /// Forgets a pod; returns the Services of which it still is a ready endpoint.
    pub(super) fn remove_pod(&self, namespace: &str, name: &str) -> Vec<String> {
        let mut index = self.write();
        let Some(entry) = index.namespaces.get_mut(namespace) else { return Vec::new() };
        let removed = entry.pods.remove(name);
        let touched = entry.services_of(name);
        index.drop_if_empty(namespace);
        index.let_go(removed);
        touched
    }

    fn read(&self) -> RwLockReadGuard<'_, Index> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// What `of` makes of the ready endpoints of a Service whose pods carry the labels; none where not all are known.
    fn ready<T>(
        &self,
        namespace: &str,
        service: &str,
        labels: &BTreeMap<String, String>,
        of: impl FnOnce(BTreeMap<&str, &Pod>) -> T,
    ) -> Option<T> {
        let mut counted = BTreeMap::new();
        let namespace = self.namespaces.get(namespace);
        for (namespace, slice) in namespace.iter().flat_map(|one| one.slices_of(service).map(move |slice| (one, slice)))
        {
            if !slice.strangers.is_empty() {
                return None;
            }
            for name in &slice.ready {
                let pod = namespace.pods.get(name)?;
                if carries(&pod.labels, labels) {
                    counted.insert(&**name, pod);
                }
            }
        }
        self.synced.then(|| of(counted))
    }

    /// The same text as other pods have.
    fn shared(&mut self, image: Image) -> Image {
        if let Some(known) = self.images.get(&image) {
            return known.clone();
        }
        self.images.insert(image.clone());
        image
    }

    /// Forgets the text that only this pod had.
    fn let_go(&mut self, pod: Option<Pod>) {
        let Some(image) = pod.and_then(|pod| pod.image) else { return };
        // This one and that of the set.
        if image.holders() <= 2 {
            self.images.remove(&image);
        }
    }

    fn drop_if_empty(&mut self, namespace: &str) {
        if self.namespaces.get(namespace).is_some_and(|entry| entry.slices.is_empty() && entry.pods.is_empty()) {
            self.namespaces.remove(namespace);
        }
    }
}

impl Namespace {
    fn slices_of(&self, service: &str) -> impl Iterator<Item = &Slice> {
        self.by_service.get(service).into_iter().flatten().filter_map(|name| self.slices.get(name))
    }

    /// Takes a slice out.
    fn take(&mut self, name: &str) -> Option<Slice> {
        let slice = self.slices.remove(name)?;
        if let Some(names) = self.by_service.get_mut(&slice.service) {
            names.remove(name);
            if names.is_empty() {
                self.by_service.remove(&slice.service);
            }
        }
        Some(slice)
    }

    fn services_of(&self, pod: &str) -> Vec<String> {
        let owners: BTreeSet<String> =
            self.slices.values().filter(|slice| slice.ready.contains(pod)).map(Slice::owner).collect();
        owners.into_iter().collect()
    }
}

impl Slice {
    fn counts(&self) -> bool {
        !self.ready.is_empty() || !self.strangers.is_empty()
    }

    fn owner(&self) -> String {
        self.service.as_ref().to_owned()
    }
}

fn carries(have: &Labels, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(key, value)| {
        let found = have.binary_search_by(|(have, _)| have.as_ref().cmp(key));
        found.ok().and_then(|at| have.get(at)).is_some_and(|(_, have)| have.as_ref() == value)
    })
}

fn parse(slice: &EndpointSlice) -> Slice {
    let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_LABEL));
    let mut parsed = Slice { service: service.map(String::as_str).unwrap_or_default().into(), ..Slice::default() };
    for endpoint in &slice.endpoints {
        let conditions = endpoint.conditions.as_ref();
        // An absent `ready` means ready, by the API's definition.
        let ready = conditions.and_then(|conditions| conditions.ready).unwrap_or(true);
        if !ready || conditions.and_then(|conditions| conditions.terminating) == Some(true) {
            continue;
        }
        let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"));
        match target.and_then(|target| target.name.as_deref()) {
            Some(pod) => parsed.ready.extend([pod.into()]),
            None => parsed.strangers.extend(endpoint.addresses.iter().map(|address| address.as_str().into())),
        }
    }
    parsed
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn slice(service: &str, endpoints: Value) -> EndpointSlice {
        let labels = json!({SERVICE_LABEL: service});
        let value = json!({"metadata": {"labels": labels}, "addressType": "IPv4", "endpoints": endpoints});
        serde_json::from_value(value).unwrap()
    }

    fn endpoint(pod: &str, conditions: Value) -> Value {
        json!({"addresses": [format!("ip-{pod}")], "conditions": conditions, "targetRef": {"kind": "Pod", "name": pod}})
    }

    fn labels(version: &str) -> BTreeMap<String, String> {
        [("version".to_owned(), version.to_owned())].into()
    }

    fn index(pods: &[(&str, &str)]) -> Endpoints {
        let endpoints = Endpoints::default();
        for (pod, version) in pods {
            endpoints.put_pod("shop", pod, &labels(version), None);
        }
        endpoints.set_synced();
        endpoints
    }

    #[test]
    fn nothing_is_known_before_the_watch_is_complete() {
        let endpoints = Endpoints::default();
        assert_eq!(endpoints.ready("shop", "web", &labels("v1")), None);
        endpoints.set_synced();
        assert_eq!(endpoints.ready("shop", "web", &labels("v1")), Some(0));
    }

    #[test]
    fn ready_or_unsaid_counts_and_unready_or_terminating_does_not() {
        let endpoints = index(&[("a", "v1"), ("b", "v1"), ("c", "v1"), ("d", "v1"), ("e", "v2")]);
        let all = json!([
            endpoint("a", json!({"ready": true})),
            endpoint("b", json!({})),
            endpoint("c", json!({"ready": false})),
            endpoint("d", json!({"ready": true, "terminating": true})),
            endpoint("e", json!({"ready": true})),
        ]);
        endpoints.put_slice("shop", "web-1", &slice("web", all));
        assert_eq!(endpoints.ready("shop", "web", &labels("v1")), Some(2));
        assert_eq!(endpoints.ready("shop", "web", &labels("v2")), Some(1));
        assert_eq!(endpoints.ready("shop", "web", &BTreeMap::new()), Some(3));
        assert_eq!(endpoints.ready("shop", "other", &labels("v1")), Some(0));
        assert_eq!(endpoints.ready("elsewhere", "web", &labels("v1")), Some(0));
    }

    #[test]
    fn a_pod_in_two_slices_counts_once() {
        let endpoints = index(&[("a", "v1")]);
        for name in ["web-ipv4", "web-ipv6"] {
            endpoints.put_slice("shop", name, &slice("web", json!([endpoint("a", json!({"ready": true}))])));
        }
        assert_eq!(endpoints.ready("shop", "web", &labels("v1")), Some(1));
    }

    #[test]
    fn an_endpoint_without_a_known_pod_makes_the_count_unknown() {
        let endpoints = index(&[]);
        endpoints.put_slice("shop", "web-1", &slice("web", json!([endpoint("a", json!({"ready": true}))])));
        assert_eq!(endpoints.ready("shop", "web", &labels("v1")), None);
        endpoints.put_slice("shop", "web-1", &slice("web", json!([{"addresses": ["10.0.0.9"]}])));
        assert_eq!(endpoints.ready("shop", "web", &labels("v1")), None);
        endpoints.put_slice(
            "shop",
            "web-1",
            &slice("web", json!([{"addresses": ["x"], "conditions": {"ready": false}}])),
        );
        assert_eq!(endpoints.ready("shop", "web", &labels("v1")), Some(0));
    }

    #[test]
    fn only_a_real_change_touches_a_service() {
        let endpoints = index(&[("a", "v1")]);
        let with = |conditions: Value| slice("web", json!([endpoint("a", conditions)]));
        assert_eq!(endpoints.put_slice("shop", "web-1", &with(json!({"ready": false}))), [""; 0]);
        assert_eq!(endpoints.put_slice("shop", "web-1", &with(json!({"ready": true}))), ["web"]);
        assert_eq!(endpoints.put_slice("shop", "web-1", &with(json!({"ready": true, "serving": true}))), [""; 0]);
        assert_eq!(endpoints.put_pod("shop", "a", &labels("v1"), None), [""; 0]);
        assert_eq!(endpoints.put_pod("shop", "a", &labels("v2"), None), ["web"]);
        assert_eq!(endpoints.put_pod("shop", "b", &labels("v2"), None), [""; 0]);
        assert_eq!(endpoints.remove_slice("shop", "web-1"), ["web"]);
        assert_eq!(endpoints.remove_slice("shop", "web-1"), [""; 0]);
    }

    #[test]
    fn a_slice_that_changes_hands_touches_both_services() {
        let endpoints = index(&[("a", "v1")]);
        let of = |service: &str| slice(service, json!([endpoint("a", json!({"ready": true}))]));
        endpoints.put_slice("shop", "s", &of("web"));
        assert_eq!(endpoints.put_slice("shop", "s", &of("api")), ["web", "api"]);
        let ready = |service| endpoints.ready("shop", service, &labels("v1"));
        assert_eq!((ready("web"), ready("api")), (Some(0), Some(1)));
        assert_eq!(endpoints.remove_slice("shop", "s"), ["api"]);
        assert_eq!(ready("api"), Some(0));
    }

    #[test]
    fn what_ready_endpoints_run_is_known_once_all_of_them_are() {
        let endpoints = index(&[]);
        let image = |tag: &str| Image::of([(format!("web:{tag}").as_str(), None)]);
        let run = |tags: &[&str]| Images::of(tags.iter().filter_map(|tag| image(tag)));
        let ready = |pods: &[(&str, bool)]| {
            let each = pods.iter().map(|(pod, ready)| endpoint(pod, json!({"ready": ready})));
            slice("web", each.collect())
        };
        let seen = || endpoints.images("shop", "web", &labels("v1"));
        endpoints.put_slice("shop", "web-1", &ready(&[("a", true), ("b", false)]));
        assert_eq!(seen(), None, "the pod is not known yet");
        endpoints.put_pod("shop", "a", &labels("v1"), image("1"));
        endpoints.put_pod("shop", "b", &labels("v1"), image("2"));
        assert_eq!(seen(), run(&["1"]), "what is not ready gets no requests");
        endpoints.put_slice("shop", "web-1", &ready(&[("a", true), ("b", true)]));
        assert_eq!(seen(), run(&["1", "2"]));
        assert_eq!(endpoints.images("shop", "web", &labels("v2")), None, "no pod tells nothing");
        assert_eq!(endpoints.put_pod("shop", "a", &labels("v1"), image("2")), ["web"], "an image is a real change");
        assert_eq!(endpoints.put_pod("shop", "a", &labels("v1"), image("2")), [""; 0]);
        assert_eq!(seen(), run(&["2"]));
        endpoints.put_pod("shop", "a", &labels("v1"), None);
        assert_eq!(seen(), None, "of one of them it is not known");
        endpoints.remove_pod("shop", "b");
        assert_eq!(endpoints.read().images.len(), 0, "what no pod runs is not kept");
    }
}
