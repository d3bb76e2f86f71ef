//! Which clusters share their endpoints: a version is as ready in one of them as it is in all of them together.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    istio::rules::ClusterLocal,
    rollout::{ClusterName, Images},
};

use super::engine::Engine;

/// The meshes of several clusters.
#[derive(Debug, Default)]
pub(super) struct Meshes(BTreeMap<ClusterName, Arc<[ClusterName]>>);

impl Meshes {
    /// Those of these clusters, each with the name of its mesh.
    pub(super) fn of<'a>(clusters: impl Iterator<Item = (&'a ClusterName, Option<&'a str>)>) -> Self {
        let mut meshes: BTreeMap<&str, Vec<ClusterName>> = BTreeMap::new();
        for (cluster, mesh) in clusters.filter_map(|(cluster, mesh)| Some((cluster, mesh?))) {
            meshes.entry(mesh).or_default().push(cluster.clone());
        }
        let mut sharing = BTreeMap::new();
        for clusters in meshes.into_values().filter(|clusters| clusters.len() > 1) {
            let all: Arc<[ClusterName]> = clusters.into();
            sharing.extend(all.iter().map(|one| (one.clone(), all.clone())));
        }
        Self(sharing)
    }

    /// All clusters of a cluster's mesh; none where it is alone.
    pub(super) fn sharing(&self, cluster: &str) -> Option<&[ClusterName]> {
        self.0.get(cluster).map(|clusters| &**clusters)
    }
}

/// The ready endpoints of all of them: unknown where those of one are.
pub(super) fn sum(each: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    each.into_iter().try_fold(0_u32, |sum, one| Some(sum.saturating_add(one?)))
}

/// Whether those that are ready are all in other clusters than the one that has `own`: unknown where it depends on one of
/// which that is.
pub(super) fn is_elsewhere(own: u32, others: impl Iterator<Item = Option<u32>>) -> Option<bool> {
    let others: Vec<Option<u32>> = others.collect();
    match own {
        0 if others.iter().any(|ready| *ready > Some(0)) => Some(true),
        0 if others.contains(&None) => None,
        _ => Some(false),
    }
}

/// What runs in any of them, as far as it is known.
pub(super) fn united(each: impl Iterator<Item = Option<Images>>) -> Option<Images> {
    let known: Vec<Images> = each.flatten().collect();
    Images::of(known.iter().flat_map(Images::iter).cloned())
}

impl Engine {
    /// A cluster answers, or does not: what is ready in the others of its mesh is another number, also for plans that do
    /// not go there.
    pub(super) fn look_in_mesh(&mut self, cluster: &str) {
        if self.view.meshes.sharing(cluster).is_some() {
            self.look_all();
        }
    }

    /// Takes in which hosts a cluster's callers reach there alone. Where that may not be read, none are known.
    pub(super) fn cluster_local(&mut self, cluster: ClusterName, hosts: Result<ClusterLocal, String>) {
        let hosts = hosts.unwrap_or_else(|why| {
            tracing::warn!(%cluster, "{why}; what it says is `clusterLocal` is not known");
            self.view.local.get(&cluster).cloned().unwrap_or_default()
        });
        if self.view.local.get(&cluster) != Some(&hosts) {
            self.view.local.insert(cluster, hosts);
            self.look_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Image;

    #[test]
    fn clusters_share_with_those_of_their_mesh_and_one_alone_with_nobody() {
        let clusters = [("east", Some("shop")), ("lone", Some("other")), ("none", None), ("west", Some("shop"))];
        let clusters = clusters.map(|(name, mesh)| (name.to_owned(), mesh));
        let meshes = Meshes::of(clusters.iter().map(|(name, mesh)| (name, *mesh)));
        for name in ["east", "west"] {
            assert_eq!(meshes.sharing(name).unwrap(), ["east", "west"]);
        }
        for name in ["lone", "none", "nowhere"] {
            assert_eq!(meshes.sharing(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_not_known_of_one_is_not_known_of_all() {
        assert_eq!(sum([Some(0), Some(2), Some(1)].into_iter()), Some(3));
        assert_eq!(sum([Some(3), None].into_iter()), None);
        assert_eq!(sum([Some(u32::MAX), Some(1)].into_iter()), Some(u32::MAX));
        assert_eq!(sum([Some(0), Some(0)].into_iter()), Some(0), "gone is known only where it is gone everywhere");
    }

    #[test]
    fn a_version_is_elsewhere_where_others_have_it_and_it_is_known_that_this_one_has_none() {
        let elsewhere = |own, others: &[Option<u32>]| is_elsewhere(own, others.iter().copied());
        assert_eq!(elsewhere(0, &[Some(0), Some(1)]), Some(true));
        assert_eq!(elsewhere(0, &[None, Some(1)]), Some(true));
        assert_eq!(elsewhere(0, &[None, Some(0)]), None);
        assert_eq!(elsewhere(0, &[Some(0)]), Some(false), "it is nowhere");
        assert_eq!(elsewhere(1, &[None, Some(1)]), Some(false));
    }

    #[test]
    fn images_of_one_cluster_are_no_other_ones_for_having_no_pods_elsewhere() {
        let runs = |tags: &[&str]| Images::of(tags.iter().filter_map(|tag| Image::of([(*tag, None)])));
        assert_eq!(united([runs(&["a"]), None].into_iter()), runs(&["a"]));
        assert_eq!(united([runs(&["a"]), runs(&["b", "a"])].into_iter()), runs(&["a", "b"]));
        assert_eq!(united([None, None].into_iter()), None);
    }
}
