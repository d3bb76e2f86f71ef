//! Reads a request's path and query: which resource, which object, which verb, which options.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::{HeaderMap, Method, Uri, header};

use super::faults::Verb;
use super::object::Shape;
use super::refusal::{Cause, Refusal};
use super::resource::{Origin, Resource, Served, by_path};
use super::selector::Selector;

/// What a path names.
#[derive(Debug, Clone)]
pub struct Place {
    /// The row of the table.
    pub resource: &'static Resource,
    /// The version of the path.
    pub served: &'static Served,
    /// The namespace; `None` for all of them and for what has none.
    pub namespace: Option<String>,
    /// The object; `None` for all of them.
    pub name: Option<String>,
    /// Whether the path ends in `/status`.
    pub status: bool,
}

impl Place {
    /// Reads a path; `None` for what is not served.
    pub fn read(path: &str, istio: bool) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, plural, rest) = match rest {
            ["namespaces", namespace, plural, rest @ ..] if *plural != "status" => (Some(*namespace), *plural, rest),
            [plural, rest @ ..] => (None, *plural, rest),
            [] => return None,
        };
        let (resource, served) = by_path(group, version, plural)?;
        let (name, status) = match rest {
            [] => (None, false),
            [name] => (Some((*name).to_owned()), false),
            [name, "status"] if resource.status => (Some((*name).to_owned()), true),
            _ => return None,
        };
        let scoped = resource.namespaced == namespace.is_some() || (resource.namespaced && name.is_none());
        let installed = istio || resource.origin == Origin::BuiltIn;
        (scoped && installed).then(|| Self { resource, served, namespace: namespace.map(str::to_owned), name, status })
    }

    /// Returns what the method does here; `None` if it does nothing.
    pub fn verb(&self, method: &Method, options: &Options) -> Option<Verb> {
        let wide = self.resource.namespaced && self.namespace.is_none();
        Some(match (method.as_str(), &self.name) {
            ("GET", Some(_)) => Verb::Get,
            ("GET", None) if options.is_true("watch") => Verb::Watch,
            ("GET", None) => Verb::List,
            ("POST", None) if !wide => Verb::Create,
            ("PUT", Some(_)) => Verb::Update,
            ("PATCH", Some(_)) => Verb::Patch,
            ("DELETE", Some(_)) if !self.status => Verb::Delete,
            ("DELETE", None) if !wide && self.resource.plural != "namespaces" => Verb::DeleteCollection,
            _ => return None,
        })
    }
}

/// The options of a query.
#[derive(Debug, Default)]
pub struct Options(BTreeMap<String, String>);

impl Options {
    /// Reads a query; what can't be decoded counts as absent.
    pub fn read(uri: &Uri) -> Self {
        Self(Query::try_from_uri(uri).map(|Query(options)| options).unwrap_or_default())
    }

    /// Returns an option, empty if it was not given.
    pub fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// Returns whether a switch is on.
    pub fn is_true(&self, key: &str) -> bool {
        matches!(self.text(key), "true" | "1" | "True" | "t" | "T" | "TRUE")
    }

    /// Returns a number, `None` if it was not given.
    ///
    /// # Errors
    /// Refuses what is no number.
    pub fn number(&self, key: &str) -> Result<Option<u64>, Refusal> {
        match self.text(key) {
            "" => Ok(None),
            text => text
                .parse()
                .map(Some)
                .map_err(|_| Refusal::BadRequest(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
        }
    }

    /// Returns whether the write is only a rehearsal.
    ///
    /// # Errors
    /// Refuses any other value than `All`.
    pub fn dry_run(&self, kind: &'static str) -> Result<bool, Refusal> {
        match self.text("dryRun") {
            "" => Ok(false),
            "All" => Ok(true),
            other => {
                let message = format!("Unsupported value: [{other:?}]: supported values: \"All\"");
                let cause = Cause { reason: "FieldValueNotSupported", message, field: "dryRun".into() };
                Err(Refusal::InvalidOptions { kind, cause })
            }
        }
    }

    /// Returns the selector of the query.
    ///
    /// # Errors
    /// Refuses what is no selector.
    pub fn selector(&self, resource: &Resource) -> Result<Selector, Refusal> {
        Selector::parse(self.text("labelSelector"), self.text("fieldSelector"), resource)
    }

    /// Checks the options of lists and watches that depend on each other.
    ///
    /// # Errors
    /// Refuses combinations that mean nothing.
    pub fn check_versions(&self, watch: bool) -> Result<(), Refusal> {
        let matching = self.text("resourceVersionMatch");
        let initial = !self.text("sendInitialEvents").is_empty();
        let refuse = |field: &str, why: &str| {
            Err(Refusal::InvalidOptions { kind: "ListOptions", cause: Cause::forbidden(field, why) })
        };
        if !matches!(matching, "" | "Exact" | "NotOlderThan") {
            let message =
                format!("Unsupported value: {matching:?}: supported values: \"Exact\", \"NotOlderThan\", \"\"");
            let cause = Cause { reason: "FieldValueNotSupported", message, field: "resourceVersionMatch".into() };
            return Err(Refusal::InvalidOptions { kind: "ListOptions", cause });
        }
        if initial && !watch {
            return refuse("sendInitialEvents", "sendInitialEvents is forbidden for list");
        }
        if initial && matching != "NotOlderThan" {
            return refuse(
                "resourceVersionMatch",
                "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            );
        }
        if watch && !matching.is_empty() && !initial {
            return refuse(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            );
        }
        if !watch && !matching.is_empty() && self.text("resourceVersion").is_empty() {
            return refuse(
                "resourceVersionMatch",
                "resourceVersionMatch is forbidden unless resourceVersion is provided",
            );
        }
        if matching == "Exact" && self.text("resourceVersion") == "0" {
            return refuse(
                "resourceVersionMatch",
                "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            );
        }
        Ok(())
    }
}

/// Returns how much of each object the client asked for.
pub fn shape(headers: &HeaderMap) -> Shape {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let metadata =
        accept.split(',').next().is_some_and(|first| first.replace(' ', "").contains("as=PartialObjectMetadata"));
    if metadata { Shape::Metadata } else { Shape::Whole }
}

/// Returns the field manager: the option, or the name of the client's program.
pub fn manager(options: &Options, headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    match options.text("fieldManager") {
        "" => agent.split('/').next().unwrap_or(agent).to_owned(),
        given => given.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str) -> Option<(String, Option<String>, Option<String>, bool)> {
        Place::read(path, true).map(|p| (p.resource.plural.to_owned(), p.namespace, p.name, p.status))
    }

    #[test]
    fn a_path_names_a_resource_a_namespace_and_an_object() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(read("/api/v1/pods"), Some(("pods".into(), None, None, false)));
        assert_eq!(read("/api/v1/namespaces/shop"), Some(("namespaces".into(), None, some("shop"), false)));
        assert_eq!(read("/api/v1/namespaces/shop/status"), Some(("namespaces".into(), None, some("shop"), true)));
        assert_eq!(read("/api/v1/namespaces/shop/pods/p/status"), Some(("pods".into(), some("shop"), some("p"), true)));
        let web = "/apis/networking.istio.io/v1beta1/namespaces/shop/virtualservices/web";
        assert_eq!(read(web), Some(("virtualservices".into(), some("shop"), some("web"), false)));
        assert!(Place::read(web, false).is_none());
        for nothing in ["/api/v1", "/apis/apps/v1/pods", "/api/v1/pods/p", "/api/v1/namespaces/shop/pods/p/log", "/x"] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
    }
}
