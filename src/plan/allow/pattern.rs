//! The patterns that a list of what is allowed is made of.

use std::{fmt, str::FromStr};

use super::super::{
    MESH,
    read::{is_dns_label, is_dns_subdomain},
};

/// Names of namespaces: one, or all that begin or end alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamePattern {
    /// Exactly this one.
    One(String),
    /// All that begin so.
    Beginning(String),
    /// All that end so.
    Ending(String),
}

impl NamePattern {
    /// Whether every name is one of them.
    pub(super) fn is_any(&self) -> bool {
        matches!(self, Self::Beginning(rest) | Self::Ending(rest) if rest.is_empty())
    }

    /// Whether a name is one of them.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Beginning(start) => name.starts_with(start.as_str()),
            Self::Ending(end) => name.ends_with(end.as_str()),
        }
    }
}

impl FromStr for NamePattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A name that the star stands for a letter of shows whether the rest can be part of one.
        let part = |rest: &str| rest.is_empty() || is_dns_label(&text.replacen('*', "x", 1));
        let pattern = match (text.strip_suffix('*'), text.strip_prefix('*')) {
            (Some(start), _) if part(start) => Self::Beginning(start.to_owned()),
            (_, Some(end)) if part(end) => Self::Ending(end.to_owned()),
            _ if is_dns_label(text) => Self::One(text.to_owned()),
            _ => return Err("write the name of a namespace, or `team-*` or `*-team` for all that begin or end so"),
        };
        Ok(pattern)
    }
}

/// Hosts: a full name, or all names under a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Exactly this one.
    One(String),
    /// All that end so, the dot included.
    Under(String),
}

impl HostPattern {
    /// Whether it covers all that a host stands for, which may be a wildcard itself. The host is a full name in lower
    /// case.
    pub(super) fn has(&self, host: &str) -> bool {
        match self {
            Self::One(one) => one == host,
            Self::Under(domain) => host.len() > domain.len() && host.ends_with(domain.as_str()),
        }
    }
}

impl FromStr for HostPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_ascii_lowercase();
        let (name, is_wild) = lower.strip_prefix("*.").map_or((lower.as_str(), false), |name| (name, true));
        match is_dns_subdomain(name) {
            true if is_wild => Ok(Self::Under(format!(".{name}"))),
            true if name.contains('.') => Ok(Self::One(lower)),
            true => Err("write the full name, of a Service `<name>.<namespace>.svc.cluster.local`"),
            false => {
                Err("write a full name, or `*.example.com` for all under it; leave the list out to allow any host")
            }
        }
    }
}

/// Gateways: one, all of a namespace, or the sidecars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayPattern {
    /// Istio's reserved name for every sidecar.
    Mesh,
    /// Exactly this one.
    One {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// All of a namespace.
    In(String),
}

impl GatewayPattern {
    /// Whether a gateway, written `mesh` or `namespace/name`, is one of them.
    pub(super) fn has(&self, gateway: &str) -> bool {
        match (self, gateway.split_once('/')) {
            (Self::Mesh, None) => gateway == MESH,
            (Self::One { namespace, name }, Some((there, named))) => namespace == there && name == named,
            (Self::In(namespace), Some((there, _))) => namespace == there,
            _ => false,
        }
    }
}

impl FromStr for GatewayPattern {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            None if text == MESH => Ok(Self::Mesh),
            Some((namespace, "*")) if is_dns_label(namespace) => Ok(Self::In(namespace.to_owned())),
            Some((namespace, name)) if is_dns_label(namespace) && is_dns_subdomain(name) => {
                Ok(Self::One { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("write `mesh`, `namespace/name`, or `namespace/*` for all of a namespace"),
        }
    }
}

/// A kind of document that plan files may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindName(pub(super) &'static str);

impl FromStr for KindName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = || super::super::read::kinds();
        known().find(|kind| *kind == text).map(Self).ok_or_else(|| {
            let all: Vec<&str> = known().collect();
            format!("known here: {}", all.join(", "))
        })
    }
}

impl fmt::Display for KindName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_named_or_begins_or_ends_so() {
        let has = |pattern: &str, name: &str| pattern.parse::<NamePattern>().unwrap().has(name);
        assert!(has("shop", "shop") && !has("shop", "shop-2"));
        assert!(has("team-*", "team-a") && has("team-*", "team-") && !has("team-*", "teams"));
        assert!(has("*-test", "shop-test") && !has("*-test", "shop-tests"));
        assert!(has("*", "anything"));
        for bad in ["", "a*b", "*a*", "Shop", "a.b", "a/b", "-*", "**"] {
            assert!(bad.parse::<NamePattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_wildcard_covers_what_is_under_it_and_nothing_wider() {
        let has = |pattern: &str, host: &str| pattern.parse::<HostPattern>().unwrap().has(host);
        assert!(has("www.example.com", "www.example.com") && !has("www.example.com", "example.com"));
        for host in ["a.example.com", "a.b.example.com", "*.example.com", "*.a.example.com"] {
            assert!(has("*.example.com", host), "{host}");
        }
        for host in ["example.com", "aexample.com", "*.com", "*", ".example.com", "a.example.com."] {
            assert!(!has("*.example.com", host), "{host}");
        }
        assert!(has("WWW.Example.com", "www.example.com"));
        for bad in ["", "*", "web", "a*.b", "*.*.b", "a..b", "a/b.c", "*."] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_gateway_is_named_or_one_of_a_namespace_or_the_mesh() {
        let has = |pattern: &str, gateway: &str| pattern.parse::<GatewayPattern>().unwrap().has(gateway);
        assert!(has("mesh", "mesh") && !has("mesh", "shop/mesh"));
        assert!(has("istio-system/*", "istio-system/public") && !has("istio-system/*", "mesh"));
        assert!(has("shop/web", "shop/web") && !has("shop/web", "shop/web2") && !has("shop/web", "other/web"));
        for bad in ["", "web", "*", "*/web", "*/*", "a/b/c", "a/", "/a", "a/w*"] {
            assert!(bad.parse::<GatewayPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_kind_is_one_that_plan_files_may_hold() {
        assert_eq!("CanaryPlan".parse::<KindName>().unwrap().to_string(), "CanaryPlan");
        assert!("Gateway".parse::<KindName>().is_ok());
        assert!("VirtualService".parse::<KindName>().unwrap_err().contains("CanaryPlan, Gateway"));
    }
}
