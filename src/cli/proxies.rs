//! The arguments that say who is asked whether the proxies have what was written.

use std::path::PathBuf;

use clap::Args;

use crate::cluster::{Gateways, Istiods, PodSelector, ProxyAccess, address};

use super::Failure;

/// What stands for whoever is found in the cluster.
const AUTO: &str = "auto";

/// Which istiods and gateways.
#[derive(Clone, Debug, Args)]
pub(super) struct ProxyArgs {
    /// HTTP address of istiod, `http://HOST:15014`: it is asked whether the proxies have what was written, and nothing rises
    /// before; name each replica, or a host that stands for all of them, as each knows its own proxies alone. With `auto`
    /// its pods are found by their labels and reached by port-forward
    #[arg(long, value_name = "URL|auto", value_delimiter = ',', value_parser = asked)]
    istiod: Vec<Asked>,
    /// File with the bearer token that istiod asks for at an address
    #[arg(long, value_name = "FILE", requires = "istiod")]
    istiod_token: Option<PathBuf>,
    /// The namespace of istiod's pods, for `auto`
    #[arg(long, value_name = "NAMESPACE", requires = "istiod", default_value = "istio-system")]
    istiod_namespace: String,
    /// The labels of istiod's pods, for `auto`; `app=istiod,istio.io/rev=stable` are those of one revision
    #[arg(long, value_name = "SELECTOR", requires = "istiod", default_value = "app=istiod")]
    istiod_labels: String,
    /// Address of the admin page of a gateway's Envoy, `http://HOST:15000`: it is asked whether it shows the weights, once
    /// istiod says that all proxies have them. With `auto` the pods that a plan's Gateways select, reached by port-forward
    #[arg(long, value_name = "URL|auto", value_delimiter = ',', value_parser = asked, requires = "istiod")]
    gateway_admin: Vec<Asked>,
}

#[derive(Clone, Debug)]
enum Asked {
    Auto,
    At(http::Uri),
}

impl ProxyArgs {
    /// Whom to ask; none: nobody.
    pub(super) fn access(&self) -> Result<Option<ProxyAccess>, Failure> {
        let selector = PodSelector { namespace: self.istiod_namespace.clone(), labels: self.istiod_labels.clone() };
        let istiods = match found_or_named("--istiod", &self.istiod)? {
            Some(Named::Found) => Istiods::In(selector),
            Some(Named::At(urls)) => Istiods::At(urls),
            None => return Ok(None),
        };
        let gateways = match found_or_named("--gateway-admin", &self.gateway_admin)? {
            Some(Named::Found) => Gateways::In,
            Some(Named::At(urls)) => Gateways::At(urls),
            None => Gateways::Unasked,
        };
        Ok(Some(ProxyAccess { istiods, token_file: self.istiod_token.clone(), gateways }))
    }

    /// The flag that names addresses, if one does.
    pub(super) fn named(&self) -> Option<&'static str> {
        let named = |asked: &[Asked]| asked.iter().any(|asked| matches!(asked, Asked::At(_)));
        let flags = [("--istiod", &self.istiod), ("--gateway-admin", &self.gateway_admin)];
        flags.into_iter().find(|(_, asked)| named(asked)).map(|(flag, _)| flag)
    }
}

enum Named {
    Found,
    At(Vec<http::Uri>),
}

/// Whoever is found, or those that are named; none where neither is asked for.
fn found_or_named(flag: &str, asked: &[Asked]) -> Result<Option<Named>, Failure> {
    let urls: Vec<http::Uri> = asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::At(url) => Some(url.clone()),
            Asked::Auto => None,
        })
        .collect();
    match (asked.len(), urls.len()) {
        (0, _) => Ok(None),
        (_, 0) => Ok(Some(Named::Found)),
        (all, named) if all == named => Ok(Some(Named::At(urls))),
        _ => Err(Failure::usage(anyhow::anyhow!("{flag} has both addresses and `{AUTO}`"), "say the one or the other")),
    }
}

fn asked(text: &str) -> Result<Asked, String> {
    if text == AUTO {
        return Ok(Asked::Auto);
    }
    address(text).map(Asked::At)
}
