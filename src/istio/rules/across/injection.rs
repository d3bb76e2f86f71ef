//! Whether the pods behind a route have proxies: what a pod without one calls is split by nobody.

use super::{
    Findings,
    view::{Injection, View},
    workloads::Proxy,
};
use crate::plan::codes;

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    for route in view.routes.iter().filter(|route| route.whose.is_own() && route.is_in_mesh) {
        let mut told = Vec::new();
        for leg in &route.legs {
            let Some((name, namespace)) = leg.host.service().filter(|_| !told.contains(&&leg.host)) else { continue };
            told.push(&leg.host);
            let selector = view.service(&leg.host).map(|service| &service.selector).filter(|all| !all.is_empty());
            let (Some(selector), Some(injection)) = (selector, view.injection(namespace)) else { continue };
            let pods = view.workloads.with(selector).into_iter().filter(|pod| pod.namespace == namespace);
            let pods: Vec<_> = pods.collect();
            let lacking = pods.iter().filter(|pod| pod.proxy == Proxy::Missing).count();
            if lacking == 0 {
                continue;
            }
            let lack = format!(
                "{lacking} of {} pods of `{name}` have no proxy: what they call is split by nobody",
                pods.len()
            );
            let (code, message, hint) = match injection {
                Injection::Unsaid => (
                    codes::IST0102,
                    format!("the namespace `{namespace}` is not enabled for injection, and {lack}"),
                    "label it `istio-injection: enabled`, or `istio.io/rev`, and start the pods anew; `disabled` says so on purpose",
                ),
                Injection::Enabled => (codes::IST0103, lack, "start them anew: they are older than the injection"),
                Injection::Disabled | Injection::Ambient => continue,
            };
            findings.add(route.member, code, &leg.destination, message, hint);
        }
    }
}
