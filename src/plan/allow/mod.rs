//! What the plans and objects of one repository may be about: lists of namespaces, hosts, gateways and kinds.

mod pattern;

pub use pattern::{GatewayPattern, HostPattern, KindName, NamePattern};

/// What is allowed: a list that is left out allows everything, an empty one nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// The namespaces of what is written.
    pub namespaces: Option<Vec<NamePattern>>,
    /// The hosts whose requests are routed, and those that they are sent to.
    pub hosts: Option<Vec<HostPattern>>,
    /// The gateways that routes are bound to.
    pub gateways: Option<Vec<GatewayPattern>>,
    /// The kinds of documents.
    pub kinds: Option<Vec<KindName>>,
}
