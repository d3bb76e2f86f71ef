//! Whether policies say by `targetRef` which Kubernetes Gateway they are for: a selector does nothing there.

use super::{
    Findings,
    view::{View, labels},
};
use crate::plan::codes;

/// The label of the pods that Istio runs for a Kubernetes Gateway.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    for policy in view.policies.iter().filter(|policy| policy.whose.is_own()) {
        let targets = policy.spec.has("targetRef") || policy.spec.count("targetRefs") > 0;
        let Some(selector) = policy.spec.get("selector").filter(|_| !targets) else { continue };
        let wanted = labels(&selector, "matchLabels");
        if wanted.is_empty() {
            continue;
        }
        let pods = view.workloads.with(&wanted).into_iter().filter(|pod| pod.namespace == policy.namespace);
        let by_pod = || pods.into_iter().find_map(|pod| pod.labels.get(GATEWAY_NAME).copied());
        if let Some(gateway) = wanted.get(GATEWAY_NAME).copied().or_else(by_pod) {
            let gateway = gateway.escape_debug();
            let message =
                format!("the selector does nothing at the Kubernetes Gateway `{gateway}`, whose pods it selects");
            let hint = format!(
                "write `targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: {gateway}}}]` instead"
            );
            findings.add(policy.member, codes::IST0166, &selector, message, hint);
        }
    }
}
