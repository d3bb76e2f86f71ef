//! Plans that choose clusters: what names and labels come to beside the clusters that there are.

use std::{collections::BTreeMap, sync::Arc};

use super::{Catalog, Commit, FileAt};
use crate::plan::{Known, ObjectKey, Revision, Touched, parse_file, render};

struct Repository {
    catalog: Catalog,
    text: String,
    commits: usize,
}

impl Repository {
    fn with(clusters: Known) -> Self {
        let mut catalog = Catalog::new();
        assert_eq!(catalog.know(clusters), Touched::default());
        Self { catalog, text: String::new(), commits: 0 }
    }

    fn push(&mut self, clusters: &str) -> Touched {
        self.commits += 1;
        self.text = format!(
            "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {{name: web, namespace: shop}}\nspec:\n  \
             service: web\n  versions: {{v1: {{labels: {{version: v1}}}}}}\n  traffic: {{v1: 100}}\n{clusters}\n"
        );
        let parsed = Arc::new(parse_file("web.yaml", self.text.as_bytes()));
        assert!(!parsed.has_errors(), "{:?}", parsed.findings);
        let changed = BTreeMap::from([("web.yaml".to_owned(), Some(FileAt { parsed, introduced: BTreeMap::new() }))]);
        let revision = Revision { branch: "main".into(), commit: format!("{:040}", self.commits) };
        self.catalog.commit(Commit { revision, changed, allow_removal: None })
    }

    /// The plan in force was brought by this commit, and whether something newer is refused.
    fn force(&self) -> Option<(usize, bool)> {
        let entry = self.catalog.entry(&route())?;
        Some((entry.revision.commit.parse().unwrap(), entry.newer_invalid))
    }

    fn findings(&self) -> Vec<String> {
        self.catalog.findings().map(|finding| render(finding, Some(&self.text), false)).collect()
    }
}

fn route() -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: "web".into() }
}

fn known(names: &[(&str, &str)]) -> Known {
    let labels = |region: &str| BTreeMap::from([("region".to_owned(), region.to_owned())]);
    names.iter().map(|(name, region)| ((*name).to_owned(), labels(region))).collect()
}

#[test]
fn an_unknown_name_is_refused_where_it_stands_and_the_last_good_version_stays() {
    let mut repository = Repository::with(known(&[("eu-1", "eu"), ("us-1", "us")]));
    repository.push("  clusters: [eu-1]");
    assert_eq!(repository.force(), Some((1, false)));
    repository.push("  clusters: [eu-1, eu-9]");
    assert_eq!(repository.force(), Some((1, true)), "the first version stays in force, and nothing rises");
    insta::assert_snapshot!(repository.findings().concat(), @r"
    error[TG39]: plan shop/web is for cluster `eu-9`, which is none of tidegate's
     --> web.yaml:8:20
      |
    8 |   clusters: [eu-1, eu-9]
      |                    ^^^^
      |
      = help: name one that it is configured with: eu-1, us-1
    ");
    repository.push("  clusters: [us-1]\n  waves: [[us-1], [eu-7]]");
    assert!(repository.findings()[0].contains("TG39") && repository.findings()[0].contains("eu-7"));
    assert_eq!(repository.force(), Some((1, true)));
    repository.push("  clusters: [us-1]");
    assert_eq!((repository.force(), repository.findings()), (Some((4, false)), vec![]));
}

#[test]
fn labels_that_select_nothing_are_refused_where_they_stand() {
    let mut repository = Repository::with(known(&[("eu-1", "eu")]));
    repository.push("  clusters: {matchLabels: {region: asia}}");
    assert_eq!(repository.force(), None);
    insta::assert_snapshot!(repository.findings().concat(), @r"
    error[TG40]: plan shop/web is for clusters with the labels region=asia, and none has them
     --> web.yaml:8:14
      |
    8 |   clusters: {matchLabels: {region: asia}}
      |              ^^^^^^^^^^^
      |
      = help: the labels of the clusters that tidegate is configured with: region=eu
    ");
}

#[test]
fn what_the_configuration_gets_or_loses_is_judged_anew_without_a_commit() {
    let mut repository = Repository::with(known(&[("eu-1", "eu")]));
    repository.push("  clusters: [eu-1, eu-2]");
    assert_eq!(repository.force(), None);
    let touched = repository.catalog.know(known(&[("eu-1", "eu"), ("eu-2", "eu")]));
    assert_eq!((touched.objects.contains(&route()), repository.force()), (true, Some((1, false))));
    // Whoever was in force stays so; that its cluster is gone is told, and nothing rises.
    let touched = repository.catalog.know(known(&[("eu-1", "eu")]));
    assert_eq!((touched.objects.contains(&route()), repository.force()), (true, Some((1, true))));
    assert!(repository.findings()[0].contains("TG39"), "{:?}", repository.findings());
    repository.catalog.know(known(&[("eu-1", "eu"), ("eu-2", "eu")]));
    assert_eq!((repository.force(), repository.findings()), (Some((1, false)), vec![]));
}

#[test]
fn where_nobody_knows_the_clusters_no_name_is_wrong() {
    let mut repository = Repository { catalog: Catalog::new(), text: String::new(), commits: 0 };
    repository.push("  clusters: [anywhere]");
    assert_eq!((repository.force(), repository.findings()), (Some((1, false)), vec![]));
}
