//! Reads what istiod says of its proxies: for each kind of configuration the last one sent and the last one taken.

use std::collections::HashMap;

use serde::Deserialize;

const ROUTE: &str = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration";
const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";
const CLUSTER: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";
const ENDPOINT: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

/// A nonce ends in a UUID of this length.
const UUID: usize = 36;

/// One proxy as its istiod sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ProxySync {
    pub(super) id: String,
    pub(super) routes: Sync,
    pub(super) listeners: Sync,
    pub(super) clusters: Sync,
    pub(super) endpoints: Sync,
}

/// One kind of configuration of a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sync {
    /// The nonce sent last; empty: nothing was sent.
    pub(super) sent: String,
    /// The nonce taken last.
    pub(super) acked: String,
    /// Why the proxy refused what was sent last; empty: it did not.
    pub(super) error: String,
}

impl Sync {
    /// The number of the push whose configuration the proxy has.
    pub(super) fn push(&self) -> Option<u64> {
        push(&self.acked)
    }

    /// Whether the proxy has what was sent last.
    pub(super) fn is_level(&self) -> bool {
        self.sent == self.acked && self.error.is_empty()
    }
}

/// The number in a nonce: `<instant>/<number><uuid>`.
pub(super) fn push(nonce: &str) -> Option<u64> {
    let (_, rest) = nonce.rsplit_once('/')?;
    rest.get(..rest.len().checked_sub(UUID)?)?.parse().ok()
}

/// The largest number of any push that was sent to any proxy, 0 where there was none.
pub(super) fn newest(proxies: &[ProxySync]) -> u64 {
    let sent = |proxy: &ProxySync| {
        [&proxy.routes, &proxy.listeners, &proxy.clusters, &proxy.endpoints].map(|sync| push(&sync.sent)).into_iter()
    };
    proxies.iter().flat_map(sent).flatten().max().unwrap_or(0)
}

/// Reads an answer of `/debug/syncz`.
pub(super) fn parse(body: &[u8]) -> Result<Vec<ProxySync>, String> {
    let proxies: Option<Vec<Wire>> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    Ok(proxies.unwrap_or_default().into_iter().map(Wire::read).collect())
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Wire {
    proxy: String,
    cluster_sent: String,
    cluster_acked: String,
    listener_sent: String,
    listener_acked: String,
    route_sent: String,
    route_acked: String,
    endpoint_sent: String,
    endpoint_acked: String,
    /// Since Istio 1.28; the fields above have no errors.
    resources: HashMap<String, Resource>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Resource {
    sent: String,
    acked: String,
    last_error: String,
}

impl Wire {
    fn read(mut self) -> ProxySync {
        let mut sync = |kind: &str, sent: String, acked: String| match self.resources.remove(kind) {
            Some(Resource { sent, acked, last_error }) => Sync { sent, acked, error: last_error },
            None => Sync { sent, acked, error: String::new() },
        };
        ProxySync {
            routes: sync(ROUTE, self.route_sent, self.route_acked),
            listeners: sync(LISTENER, self.listener_sent, self.listener_acked),
            clusters: sync(CLUSTER, self.cluster_sent, self.cluster_acked),
            endpoints: sync(ENDPOINT, self.endpoint_sent, self.endpoint_acked),
            id: self.proxy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_a_push_and_a_uuid_that_may_begin_with_a_digit() {
        assert_eq!(push("2026-08-27T12:05:24Z/412f0e6c1-8a54-4c2e-9a62-2f6ed6a0d9f1"), Some(4));
        assert_eq!(push("2026-08-27T12:05:24Z/377"), None);
        assert_eq!(push(""), None);
    }

    #[test]
    fn errors_come_with_the_kind_and_older_answers_have_none() {
        let newer = br#"[{"proxy": "gw.istio-system", "route_sent": "x",
            "resources": {"type.googleapis.com/envoy.config.route.v3.RouteConfiguration":
                {"sent": "t/9aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa", "acked": "t/8aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa",
                 "sentTime": "2026-08-27T12:05:24Z", "lastError": "weights"}}}]"#;
        let proxies = parse(newer).unwrap();
        assert_eq!((proxies[0].routes.push(), newest(&proxies)), (Some(8), 9));
        assert_eq!((proxies[0].routes.error.as_str(), proxies[0].routes.is_level()), ("weights", false));
        let older = br#"[{"proxy": "gw.istio-system", "route_sent": "a", "route_acked": "a"}]"#;
        assert!(parse(older).unwrap()[0].routes.is_level());
        assert_eq!(parse(b"null").unwrap(), Vec::new());
        assert!(parse(b"<html>").is_err());
    }
}
