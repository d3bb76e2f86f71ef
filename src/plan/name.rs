//! The names that mean something: plans, objects, versions, hosts and revisions.

use std::{fmt, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};

/// The cluster domain that short host names are completed with.
pub const CLUSTER_DOMAIN: &str = "cluster.local";

/// Istio's reserved gateway name for every sidecar.
pub const MESH: &str = "mesh";

/// A plan's namespace and name, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanKey {
    /// The Kubernetes namespace of the plan and of all it makes.
    pub namespace: String,
    /// The plan's own name, unique in its namespace.
    pub name: String,
}

impl fmt::Display for PlanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The namespace and name of the VirtualService that carries a plan's weights, written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// The object's namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The name of a version: a DestinationRule subset (a DNS label). Shared: weights, proof and subsets all name versions,
/// and each decision copies them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VersionName(Arc<str>);

impl VersionName {
    /// Wraps a name that the caller has checked to be a DNS label.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VersionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for VersionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for VersionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        shared(deserializer).map(Self)
    }
}

/// A host as a full name: a short name is completed with its namespace, as Istio does.
///
/// Law 14: hosts are compared as full names, never by first label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Host(String);

impl Host {
    /// Completes a host as written in `namespace`: a name without a dot is a Service of that namespace, any other
    /// name stands for itself (Istio's `ResolveShortnameToFQDN`).
    pub fn resolve(written: &str, namespace: &str) -> Self {
        let written = written.to_ascii_lowercase();
        if written.contains('.') || written == "*" {
            Self(written)
        } else {
            Self(format!("{written}.{namespace}.svc.{CLUSTER_DOMAIN}"))
        }
    }

    /// Whether this is the full name, as it stands, of a host as written in `namespace`.
    pub fn is_written(written: &str, namespace: &str, full: &str) -> bool {
        if written.contains('.') || written == "*" {
            return written == full && !full.contains(|letter: char| letter.is_ascii_uppercase());
        }
        let rest = full.strip_prefix(written).and_then(|rest| rest.strip_prefix('.')?.strip_prefix(namespace));
        rest.and_then(|rest| rest.strip_prefix(".svc.")) == Some(CLUSTER_DOMAIN)
            && !written.contains(|letter: char| letter.is_ascii_uppercase())
    }

    /// The full name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Service's own name and namespace, where this is a Service of the cluster.
    pub fn service(&self) -> Option<(&str, &str)> {
        let mut labels = self.0.strip_suffix(CLUSTER_DOMAIN)?.strip_suffix(".svc.")?.split('.');
        match (labels.next(), labels.next(), labels.next()) {
            (Some(name), Some(namespace), None) => Some((name, namespace)),
            _ => None,
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A gateway's name as Istio reads it: `mesh`, or `namespace/name`.
pub fn gateway(written: &str, namespace: &str) -> String {
    if written == MESH {
        return written.to_owned();
    }
    match written.split_once('/') {
        Some((".", name)) => format!("{namespace}/{name}"),
        Some(_) => written.to_owned(),
        // The form of before 1.1, `name.namespace[.svc.cluster.local]`, is still read.
        None => match written.split_once('.') {
            Some((name, rest)) => format!("{}/{name}", rest.split('.').next().unwrap_or(rest)),
            None => format!("{namespace}/{written}"),
        },
    }
}

/// A commit of a branch, written `main@sha1:<40 hex>` as Flux writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Revision {
    /// The branch's name without `refs/heads/`.
    pub branch: String,
    /// The commit's id, 40 lower-case hex digits.
    pub commit: String,
}

impl Revision {
    /// The first 10 digits of the commit, for people.
    pub fn short(&self) -> &str {
        self.commit.get(..10).unwrap_or(&self.commit)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@sha1:{}", self.branch, self.commit)
    }
}

impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl TryFrom<String> for Revision {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.rsplit_once("@sha1:") {
            Some((branch, commit)) if !branch.is_empty() && !commit.is_empty() => {
                Ok(Self { branch: branch.to_owned(), commit: commit.to_owned() })
            }
            _ => Err(format!("`{text}` is not a revision of the form branch@sha1:commit")),
        }
    }
}

/// Reads a text that is to be shared.
pub(super) fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
    struct Text;

    impl Visitor<'_> for Text {
        type Value = Arc<str>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Arc<str>, E> {
            Ok(text.into())
        }
    }

    deserializer.deserialize_str(Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn law_14_hosts_are_compared_as_full_names() {
        assert_eq!(Host::resolve("reviews", "a"), Host::resolve("reviews.a.svc.cluster.local", "b"));
        assert_ne!(Host::resolve("reviews", "a"), Host::resolve("reviews", "b"));
        assert_ne!(Host::resolve("reviews.example.com", "a"), Host::resolve("reviews", "a"));
    }

    #[test]
    fn a_full_name_is_known_without_being_put_together() {
        for (written, full) in [
            ("reviews", "reviews.shop.svc.cluster.local"),
            ("Reviews", "reviews.shop.svc.cluster.local"),
            ("reviews", "reviews"),
            ("reviews", "reviews.other.svc.cluster.local"),
            ("www.example.com", "www.example.com"),
            ("www.example.com", "www.example.org"),
            ("*", "*"),
        ] {
            let resolved = Host::resolve(written, "shop");
            let is_lower = written.chars().all(|letter| !letter.is_ascii_uppercase());
            assert_eq!(Host::is_written(written, "shop", full), resolved.as_str() == full && is_lower, "{written}");
        }
    }

    #[test]
    fn a_service_host_tells_its_name_and_namespace() {
        assert_eq!(Host::resolve("reviews", "shop").service(), Some(("reviews", "shop")));
        assert_eq!(Host::resolve("www.example.com", "shop").service(), None);
        assert_eq!(Host::resolve("a.b.c.svc.cluster.local", "shop").service(), None);
    }

    #[test]
    fn a_revision_survives_its_written_form() {
        let revision = Revision { branch: "release/1".into(), commit: "a".repeat(40) };
        assert_eq!(Revision::try_from(revision.to_string()), Ok(revision));
        assert!(Revision::try_from("main".to_owned()).is_err());
    }
}
