//! What the plans and objects of one repository may be about: lists of namespaces, hosts, gateways and kinds.
//!
//! ```text
//!  text ─► parse ─► documents ─► claims: each host, gateway, namespace, kind ─► verdict by the lists ─► AL01 … AL04
//! ```
//!
//! Whoever writes a repository is taken to want the traffic of another team: what the rendered objects would name counts,
//! as a full name, wherever it is written. A refused document is treated as any invalid one.

mod claims;
#[cfg(test)]
mod laws;
mod pattern;
#[cfg(test)]
mod tests;
mod verdict;

pub use pattern::{GatewayPattern, HostPattern, KindName, NamePattern};

use super::{Around, Document, ParsedFile};

/// What is allowed: a list that is left out allows everything, an empty one nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// The namespaces of what is written; without `hosts` also those of the Services that hosts are.
    pub namespaces: Option<Vec<NamePattern>>,
    /// The hosts whose requests are routed, and those that they are sent to.
    pub hosts: Option<Vec<HostPattern>>,
    /// The gateways that routes are bound to, and those that are written.
    pub gateways: Option<Vec<GatewayPattern>>,
    /// The kinds of documents.
    pub kinds: Option<Vec<KindName>>,
}

impl Allow {
    /// Whether everything is allowed.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Adds to a file what its valid documents claim beyond the lists, and takes out those that do. `text` is what the
    /// file was parsed from.
    pub fn judge(&self, text: &str, file: &mut ParsedFile) {
        if self.is_everything() {
            return;
        }
        for (document, place) in std::mem::take(&mut file.documents) {
            let beyond = claims::beyond(self, &document);
            if beyond.is_empty() {
                file.documents.push((document, place));
                continue;
            }
            let around = Around::byte(text, place.start);
            let mut found: Vec<_> = beyond.into_iter().map(|beyond| beyond.finding(&place, around.as_ref())).collect();
            found.sort_by(|one, two| (&one.place, one.code, &one.message).cmp(&(&two.place, two.code, &two.message)));
            // A host that several routes share is written once.
            found.dedup();
            file.findings.extend(found);
            if let Document::Plan(plan) = document {
                file.noted.extend(around.map(|around| (plan.key.clone(), around.bytes)));
                file.broken.push(plan.key.clone());
            }
        }
    }
}
