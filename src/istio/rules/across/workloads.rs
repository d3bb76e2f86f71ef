//! Pods and WorkloadEntries, found by their labels.

use std::collections::BTreeMap;

use super::{
    super::at::At,
    view::{Labels, labels},
};

const PROXY: &str = "istio-proxy";
const INJECT: &str = "sidecar.istio.io/inject";
/// Says that the node's proxy serves the pod.
const REDIRECTED: &str = "ambient.istio.io/redirection";

/// A pod, or what a WorkloadEntry stands for.
pub(super) struct Workload<'v> {
    pub(super) namespace: &'v str,
    pub(super) name: &'v str,
    pub(super) labels: Labels<'v>,
    pub(super) proxy: Proxy,
}

/// What is known of a workload's proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proxy {
    /// Its containers are not known, or it is not to have one.
    Unknown,
    /// It has one of its own.
    Sidecar,
    /// It has none, and nobody said that it should not.
    Missing,
    /// That of its node.
    Ambient,
}

/// All of them.
#[derive(Default)]
pub(super) struct Workloads<'v> {
    all: Vec<Workload<'v>>,
    by_label: BTreeMap<(&'v str, &'v str), Vec<usize>>,
}

impl<'v> Workloads<'v> {
    pub(super) fn add(&mut self, workload: Workload<'v>) {
        for (key, value) in &workload.labels {
            self.by_label.entry((key, value)).or_default().push(self.all.len());
        }
        self.all.push(workload);
    }

    /// Those that have all these labels.
    pub(super) fn with(&self, wanted: &Labels<'_>) -> Vec<&Workload<'v>> {
        let lists = wanted.iter().map(|(key, value)| self.by_label.get(&(*key, *value)).map_or(&[][..], Vec::as_slice));
        let Some(shortest) = lists.min_by_key(|list| list.len()) else { return self.all.iter().collect() };
        let workloads = shortest.iter().filter_map(|position| self.all.get(*position));
        workloads.filter(|workload| has_all(&workload.labels, wanted)).collect()
    }

    /// The Pod of this object.
    pub(super) fn pod(namespace: &'v str, name: &'v str, root: &At<'v>) -> Workload<'v> {
        let metadata = root.get("metadata").unwrap_or_else(|| root.clone());
        let labels = labels(&metadata, "labels");
        let annotation = |key: &str| metadata.get("annotations").map_or("", |annotations| annotations.text_of(key));
        let inject = labels.get(INJECT).copied().unwrap_or_else(|| annotation(INJECT));
        let spec = root.get("spec");
        let proxy = match &spec {
            _ if annotation(REDIRECTED) == "enabled" => Proxy::Ambient,
            Some(spec) if spec.count("containers") > 0 => {
                let containers = ["containers", "initContainers"].map(|field| spec.list(field)).concat();
                let has = containers.iter().any(|container| container.text_of("name") == PROXY);
                let may_lack = spec.is("hostNetwork") || inject.eq_ignore_ascii_case("false");
                match (has, may_lack) {
                    (true, _) => Proxy::Sidecar,
                    (false, true) => Proxy::Unknown,
                    (false, false) => Proxy::Missing,
                }
            }
            _ => Proxy::Unknown,
        };
        Workload { namespace, name, labels, proxy }
    }
}

/// Whether labels have all that are wanted.
pub(super) fn has_all(labels: &Labels<'_>, wanted: &Labels<'_>) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}
