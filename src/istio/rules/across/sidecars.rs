//! Whether the Sidecars of a namespace leave no doubt which of them a pod has, and whether there is a proxy that has it.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::at::At,
    Findings,
    view::{Sidecar, View},
    workloads::Proxy,
};
use crate::plan::codes;

const HINT: &str = "keep one of the two, or tell their pods apart by `workloadSelector`";

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    let (of_all, of_some): (Vec<_>, Vec<_>) = view.sidecars.iter().partition(|sidecar| sidecar.selector.is_empty());
    whole_namespaces(view, &of_all, findings);
    some_pods(view, &of_some, findings);
}

fn whole_namespaces(view: &View<'_>, sidecars: &[&Sidecar<'_>], findings: &mut Findings) {
    let mut by_namespace: BTreeMap<&str, Vec<&Sidecar<'_>>> = BTreeMap::new();
    for sidecar in sidecars {
        by_namespace.entry(sidecar.namespace).or_default().push(sidecar);
    }
    for (namespace, sidecars) in by_namespace {
        let ambient = view.is_ambient(namespace);
        for sidecar in sidecars.iter().filter(|sidecar| sidecar.whose.is_own()) {
            if ambient {
                does_nothing(sidecar, "its namespace is", findings);
            } else if let Some(other) = sidecars.iter().find(|other| other.member != sidecar.member) {
                let message = format!("the Sidecar `{namespace}/{}` is for all pods of the namespace too", other.name);
                findings.add(sidecar.member, codes::IST0111, &sidecar.spec, message, HINT);
            }
        }
    }
}

fn some_pods(view: &View<'_>, sidecars: &[&Sidecar<'_>], findings: &mut Findings) {
    let mut by_pod: BTreeMap<(&str, &str), Vec<&Sidecar<'_>>> = BTreeMap::new();
    let mut ambient = BTreeSet::new();
    for sidecar in sidecars {
        let pods = view.workloads.with(&sidecar.selector).into_iter();
        for pod in pods.filter(|pod| pod.namespace == sidecar.namespace) {
            if pod.proxy != Proxy::Ambient {
                by_pod.entry((pod.namespace, pod.name)).or_default().push(sidecar);
            } else if sidecar.whose.is_own() && ambient.insert(sidecar.member) {
                does_nothing(sidecar, "a pod that it selects is", findings);
            }
        }
    }
    let mut told = BTreeSet::new();
    for ((_, pod), sidecars) in by_pod {
        for sidecar in sidecars.iter().filter(|sidecar| sidecar.whose.is_own()) {
            let Some(other) = sidecars.iter().find(|other| other.member != sidecar.member) else { continue };
            if told.insert((sidecar.member, other.member)) {
                let message = format!(
                    "the Sidecar `{}/{}` selects the pod `{pod}` too: which of them it has is left open",
                    other.namespace, other.name
                );
                findings.add(sidecar.member, codes::IST0110, &selector(sidecar), message, HINT);
            }
        }
    }
}

fn does_nothing(sidecar: &Sidecar<'_>, what: &str, findings: &mut Findings) {
    let message = format!("the Sidecar does nothing: {what} served by the proxies of the nodes, in ambient mode");
    findings.add(
        sidecar.member,
        codes::IST0167,
        &selector(sidecar),
        message,
        "take it out, or the pods out of ambient",
    );
}

fn selector<'v>(sidecar: &Sidecar<'v>) -> At<'v> {
    sidecar.spec.get("workloadSelector").unwrap_or_else(|| sidecar.spec.clone())
}
