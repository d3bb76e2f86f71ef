//! Looks at files beside each of several clusters, with what the others of its mesh have.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::plan::{Catalog, Finding, ParsedFile};

use super::{Surroundings, in_order, inspect};

/// What [`inspect`] finds beside each of the clusters, by name: what is not the same beside all of them says beside which.
pub fn inspect_each(
    files: &BTreeMap<&str, (&str, Arc<ParsedFile>)>,
    catalog: &Catalog,
    clusters: &BTreeMap<String, Surroundings>,
) -> Vec<Finding> {
    let mut found: Vec<(Finding, BTreeSet<&str>)> = Vec::new();
    for (cluster, live) in clusters {
        for finding in inspect(files, catalog, live) {
            match found.iter_mut().find(|(known, _)| *known == finding) {
                Some((_, clusters)) => drop(clusters.insert(cluster)),
                None => found.push((finding, BTreeSet::from([cluster.as_str()]))),
            }
        }
    }
    let named = |(finding, there): (Finding, BTreeSet<&str>)| {
        if there.len() == clusters.len() {
            return finding;
        }
        let there = there.into_iter().collect::<Vec<_>>().join(", ");
        Finding { message: format!("in cluster {there}: {}", finding.message), ..finding }
    };
    in_order(found.into_iter().map(named).collect())
}
