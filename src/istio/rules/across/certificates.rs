//! Whether Gateways of the same pods have certificates of their own: a client that keeps its connection for two hosts of
//! one certificate asks the wrong Gateway, and gets 404.

use std::collections::BTreeMap;

use super::{
    super::at::At,
    Findings,
    view::{Gateway, Labels, View, labels},
    workloads::has_all,
};
use crate::plan::codes;

pub(super) fn check(view: &View<'_>, findings: &mut Findings) {
    type Sharers<'g, 'v> = Vec<(Labels<'v>, Vec<(&'g Gateway<'v>, At<'v>)>)>;
    let mut by_certificate: BTreeMap<[&str; 3], Sharers<'_, '_>> = BTreeMap::new();
    for gateway in view.gateways.values() {
        let selector = labels(&gateway.spec, "selector");
        for tls in gateway.spec.list("servers").iter().filter_map(|server| server.get("tls")) {
            let Some(certificate) = certificate(&tls) else { continue };
            let sharers = by_certificate.entry(certificate).or_default();
            match sharers.iter_mut().find(|(other, _)| *other == selector) {
                Some((_, gateways)) => gateways.push((gateway, tls)),
                None => sharers.push((selector.clone(), vec![(gateway, tls)])),
            }
        }
    }
    for sharers in by_certificate.values() {
        for (selector, gateways) in sharers {
            let pods = |other: &Labels<'_>| has_all(selector, other) || has_all(other, selector);
            let rivals: Vec<_> = sharers.iter().filter(|(other, _)| pods(other)).flat_map(|(_, all)| all).collect();
            for (gateway, tls) in gateways.iter().filter(|(gateway, _)| gateway.whose.is_own()) {
                let Some((rival, _)) = rivals.iter().find(|(rival, _)| rival.member != gateway.member) else {
                    continue;
                };
                let message = format!(
                    "the Gateway `{}/{}` has the same certificate: who keeps a connection open for hosts of both gets 404",
                    rival.namespace, rival.name
                );
                let hint = "put the servers of one certificate into one Gateway, or give each its own certificate";
                findings.add(gateway.member, codes::IST0138, tls, message, hint);
            }
        }
    }
}

/// What tells certificates apart: the credential, else the files of certificate and key.
fn certificate<'v>(tls: &At<'v>) -> Option<[&'v str; 3]> {
    let [credential, file, key] = ["credentialName", "serverCertificate", "privateKey"].map(|field| tls.text_of(field));
    match (credential, file, key) {
        ("", "", _) | ("", _, "") => None,
        ("", ..) => Some(["", file, key]),
        _ => Some([credential, "", ""]),
    }
}
