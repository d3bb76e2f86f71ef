//! Reads the text of a configuration into values that are valid by construction.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{
    cluster::{Access, Gateways, Istiods, Member, PodSelector, ProxyAccess, SecretName, address},
    plan::{
        Finding, codes,
        node::{Content, Node},
        read::{is_dns_label, is_dns_subdomain, is_rule_name, labels, place},
        report::Report,
        schema_of, strict,
    },
};

use super::{
    fields::{CONFIGURATION, KIND, is_field},
    masked::masked,
    meshes,
    repositories::{Repository, repositories},
};

/// What stands for whoever is found in the cluster.
const AUTO: &str = "auto";

/// A file that is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The plan repositories, in their order; names distinct. None where the file lists none.
    pub repositories: Vec<Repository>,
    /// The clusters, in their order; names distinct, never empty.
    pub clusters: Vec<Member>,
}

/// Reads a file; paths in it are seen from its folder.
///
/// # Errors
/// Everything that is wrong, by place.
pub fn configuration(file: &Path, bytes: &[u8]) -> Result<Configuration, Vec<Finding>> {
    let folder = file.parent().unwrap_or(Path::new(""));
    strict(&file.display().to_string(), bytes, KIND, CONFIGURATION, |node, report| {
        let clusters: Vec<Member> =
            node.get("clusters")?.items().iter().filter_map(|node| cluster(node, folder, report)).collect();
        distinct(node, report);
        meshes::check(node, report);
        Some(Configuration { repositories: repositories(node, folder, report), clusters })
    })
    .map_err(|findings| findings.into_iter().map(without_secrets).collect())
}

/// The finding, whose sentences may quote what was written, without the secrets of a URL.
fn without_secrets(finding: Finding) -> Finding {
    let hints = finding.hints.iter().map(|hint| masked(hint).into_owned()).collect();
    Finding { message: masked(&finding.message).into_owned(), hints, ..finding }
}

/// The JSON Schema of a file.
pub fn schema() -> Value {
    schema_of(KIND, CONFIGURATION)
}

/// A number that its shape has bounded.
pub(super) fn whole<N: TryFrom<i64>>(node: &Node, field: &str) -> Option<N> {
    node.get(field)?.scalar()?.as_i64().and_then(|number| N::try_from(number).ok())
}

pub(super) fn text(node: &Node, field: &str) -> Option<String> {
    node.get(field).and_then(Node::text).map(str::to_owned)
}

/// Reports an empty list of clusters, and names that are given twice.
fn distinct(node: &Node, report: &mut Report<'_>) {
    let Some(entry) = node.entry("clusters") else { return };
    if matches!(&entry.node.content, Content::List(items) if items.is_empty()) {
        let message = "`clusters` is empty: there is nothing to keep";
        report.hint(codes::PL04, &entry.key_span, message, "write e.g. `clusters: [{name: here, inCluster: true}]`");
    }
    let mut seen = BTreeSet::new();
    for name in entry.node.items().iter().filter_map(|cluster| cluster.get("name")) {
        let Some(text) = name.text() else { continue };
        if !seen.insert(text) {
            let message = format!("two clusters are called `{text}`");
            report.hint(codes::CF01, place(name), message, "give each a name of its own");
        }
    }
}

fn cluster(node: &Node, folder: &Path, report: &mut Report<'_>) -> Option<Member> {
    let written = node.get("name")?;
    let name = written.text()?.to_owned();
    if !is_rule_name(&name) {
        let message = format!("`{}` is no name of a cluster", name.escape_debug());
        report.hint(codes::PL06, place(written), message, "use letters, digits, `-`, `_` and `.`, at most 63");
    }
    Some(Member {
        labels: labels(node.get("labels"), report),
        access: access(node, &name, folder, report)?,
        mesh: meshes::name(node, report),
        role: meshes::role(node),
        writes_max: node.get("limits").and_then(|limits| whole(limits, "writes")),
        proxies: proxies(node, folder, report),
        name,
    })
}

/// How the API server is reached: exactly one way.
fn access(node: &Node, name: &str, folder: &Path, report: &mut Report<'_>) -> Option<Access> {
    let in_cluster = node.get("inCluster").and_then(Node::scalar).and_then(Value::as_bool) == Some(true);
    let ways = [
        ("kubeconfig", node.get("kubeconfig").is_some() || node.get("context").is_some()),
        ("inCluster", in_cluster),
        ("secret", node.get("secret").is_some()),
    ];
    let given: Vec<&str> = ways.into_iter().filter(|(_, given)| *given).map(|(way, _)| way).collect();
    match given.as_slice() {
        [_] => {}
        // A field that is not known may be the way that was meant.
        [] if node.entries().iter().any(|entry| !is_field(&entry.key)) => return None,
        [] => {
            let message = format!("cluster `{name}` is reached in no way");
            let hint = "write one of `kubeconfig` and `context`, `inCluster: true`, and `secret`";
            report.hint(codes::CF02, place(node.get("name")?), message, hint);
            return None;
        }
        several => {
            let message = format!("cluster `{name}` is reached in several ways: {}", several.join(", "));
            report.hint(codes::CF02, place(node.get("name")?), message, "keep one of them");
            return None;
        }
    }
    let secret = node.get("secret").and_then(|secret| {
        let mut part = |field: &str, is_name: fn(&str) -> bool| {
            let found = secret.get(field)?;
            let text = found.text()?;
            if !is_name(text) {
                let message = format!("`{}` is no {field} that Kubernetes accepts", text.escape_debug());
                report.add(codes::PL06, place(found), message);
            }
            Some(text.to_owned())
        };
        Some(SecretName { namespace: part("namespace", is_dns_label)?, name: part("name", is_dns_subdomain)? })
    });
    let kubeconfig = text(node, "kubeconfig").map(|file| folder.join(file));
    Some(Access { kubeconfig, context: text(node, "context"), in_cluster, secret })
}

/// Who is asked about the proxies.
fn proxies(node: &Node, folder: &Path, report: &mut Report<'_>) -> Option<ProxyAccess> {
    let istiods = named(node, "istiod", report);
    let gateways = named(node, "gatewayAdmin", report);
    if istiods.is_none() {
        for field in ["istiodToken", "istiodNamespace", "istiodLabels", "gatewayAdmin"] {
            if let Some(entry) = node.entry(field).filter(|entry| !entry.node.is_null() && node.get("istiod").is_none())
            {
                let message = format!("`{field}` stands without `istiod`");
                report.hint(codes::PL04, &entry.key_span, message, "write `istiod: auto`, or where it is");
            }
        }
    }
    let selector = PodSelector {
        namespace: text(node, "istiodNamespace").unwrap_or_else(|| "istio-system".to_owned()),
        labels: text(node, "istiodLabels").unwrap_or_else(|| "app=istiod".to_owned()),
    };
    let istiods = match istiods? {
        urls if urls.is_empty() => Istiods::In(selector),
        urls => Istiods::At(urls),
    };
    let gateways = match gateways {
        None => Gateways::Unasked,
        Some(urls) if urls.is_empty() => Gateways::In,
        Some(urls) => Gateways::At(urls),
    };
    let token_file: Option<PathBuf> = text(node, "istiodToken").map(|file| folder.join(file));
    Some(ProxyAccess { istiods, token_file, gateways })
}

/// The addresses of a field; empty: `auto`.
fn named(node: &Node, field: &str, report: &mut Report<'_>) -> Option<Vec<http::Uri>> {
    let found = node.get(field)?;
    if found.text() == Some(AUTO) {
        return Some(Vec::new());
    }
    let texts = if found.text().is_some() { std::slice::from_ref(found) } else { found.items() };
    if matches!(&found.content, Content::List(items) if items.is_empty()) {
        report.hint(codes::PL04, place(found), format!("`{field}` is empty"), "leave it out, or write `auto`");
    }
    let mut urls = Vec::new();
    for text in texts {
        match text.text().map(address) {
            Some(Ok(url)) => urls.push(url),
            Some(Err(why)) => {
                let written = text.text().unwrap_or_default().escape_debug();
                report.hint(codes::CF03, place(text), format!("`{written}` is no address of `{field}`"), why);
            }
            None => {}
        }
    }
    Some(urls).filter(|urls| !urls.is_empty())
}
