//! Laws of the catalog over any sequence of commits.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::{collection::vec, prelude::*, sample::subsequence};

use super::{
    Touched,
    build::{Draft, File, Repository, file, plan, plan_key, revision},
    claim::Claim,
};
use crate::plan::Plan;

const PATHS: [&str; 4] = ["a.yaml", "b.yaml", "c.yaml", "d.yaml"];
const NAMES: [&str; 4] = ["cart", "pay", "stock", "web"];

/// Any plan over few names, so that claims collide often.
fn draft() -> impl Strategy<Value = Draft> {
    let name = || prop::sample::select(&NAMES[..]);
    let own = |share: f64| prop::option::weighted(share, name());
    (name(), 1_u8..3, own(0.1), own(0.1), own(0.1), subsequence(&NAMES[..], 0..=1), any::<bool>()).prop_map(
        |(name, edition, service, virtual_service, destination_rule, hosts, mesh)| {
            let mut draft = plan(name).edition(edition);
            draft = service.map_or(draft.clone(), |service| draft.service(service));
            draft = virtual_service.map_or(draft.clone(), |object| draft.virtual_service(object));
            draft = destination_rule.map_or(draft.clone(), |object| draft.destination_rule(object));
            if !hosts.is_empty() {
                draft = draft.hosts(&hosts);
            }
            draft.gateways(&[if mesh { "mesh" } else { "edge" }])
        },
    )
}

/// Any file: some plans, seldom an error, and then perhaps a plan whose name could be read.
fn any_file() -> impl Strategy<Value = (Vec<Draft>, Option<Vec<&'static str>>)> {
    (vec(draft(), 0..3), prop::option::weighted(0.15, subsequence(&NAMES[..], 0..=1)))
}

type AnyCommit = (Vec<(&'static str, Option<(Vec<Draft>, Option<Vec<&'static str>>)>)>, Option<usize>);

fn any_commit() -> impl Strategy<Value = AnyCommit> {
    let change = (prop::sample::select(&PATHS[..]), prop::option::weighted(0.8, any_file()));
    (vec(change, 0..4), prop::option::weighted(0.3, 0_usize..5))
}

fn committed(written: &(Vec<Draft>, Option<Vec<&'static str>>)) -> File {
    let good = file(&written.0);
    written.1.iter().fold(good, |file, broken| file.broken(broken))
}

/// Moves and edits of plans that never collide: where each plan is, and in which edition.
type Tidy = BTreeMap<&'static str, (&'static str, u8)>;

fn tidy() -> impl Strategy<Value = Vec<Tidy>> {
    let place = (prop::sample::select(&PATHS[..]), 1_u8..3);
    let commit = vec(prop::option::weighted(0.8, place), NAMES.len())
        .prop_map(|places| NAMES.into_iter().zip(places).filter_map(|(name, at)| Some((name, at?))).collect());
    vec(commit, 1..8)
}

fn files(tidy: &Tidy) -> BTreeMap<&'static str, Vec<Draft>> {
    let mut files: BTreeMap<&str, Vec<Draft>> = BTreeMap::new();
    for (name, (path, edition)) in tidy {
        files.entry(path).or_default().push(plan(name).edition(*edition));
    }
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// After any commits without refusals, the catalog is the one built from the final files alone.
    #[test]
    fn commits_one_by_one_come_to_the_same_as_all_at_once(commits in tidy()) {
        let mut repository = Repository::default();
        let mut before = BTreeMap::new();
        let mut introduced: BTreeMap<&str, (u8, usize)> = BTreeMap::new();
        for (position, commit) in commits.iter().enumerate() {
            introduced.retain(|name, _| commit.contains_key(name));
            for (name, (_, edition)) in commit {
                if introduced.get(name).is_none_or(|(known, _)| known != edition) {
                    introduced.insert(name, (*edition, position + 1));
                }
            }
            let after = files(commit);
            let paths: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
            let changed = paths.into_iter().map(|path| (path, after.get(path).map(|drafts| file(drafts)))).collect();
            repository.push_allowing(changed, Some(NAMES.len()));
            prop_assert!(repository.codes().is_empty());
            before = after;
        }
        let removed: Vec<_> = repository.catalog.entries()
            .filter(|(_, entry)| entry.removed.is_some()).map(|(object, _)| object.clone()).collect();
        removed.iter().for_each(|object| repository.catalog.forget(object));

        let mut scratch = Repository::default();
        let all = before.into_iter().map(|(path, drafts)| {
            let mut file = file(&drafts);
            file.introduced = introduced.iter().map(|(name, (_, at))| (plan_key(name), revision(*at))).collect();
            (path, Some(file))
        });
        scratch.push(all.collect());
        prop_assert!(repository.catalog.entries().eq(scratch.catalog.entries()));
        for name in NAMES {
            let key = plan_key(name);
            prop_assert_eq!(repository.catalog.plan_object(&key), scratch.catalog.plan_object(&key));
            prop_assert_eq!(repository.catalog.has_plan(&key), scratch.catalog.has_plan(&key));
        }
    }

    /// Whatever is committed: an entry's plan is one that some commit held, no two living plans share a claim, what
    /// changed is told, what is not in force is told, and an empty commit changes nothing.
    #[test]
    fn whatever_is_committed_the_plans_in_force_fit_together(commits in vec(any_commit(), 1..10)) {
        let mut repository = Repository::default();
        let mut seen = Vec::new();
        let mut tip: BTreeMap<&str, (Vec<Draft>, Option<Vec<&str>>)> = BTreeMap::new();
        for (changed, allow_removal) in commits {
            let changed: BTreeMap<_, _> = changed.into_iter().collect();
            for (path, written) in &changed {
                tip.remove(path);
                if let Some(written) = written {
                    seen.extend(written.0.iter().map(Draft::built));
                    tip.insert(path, written.clone());
                }
            }
            let before = repository.clone();
            let files = changed.iter().map(|(path, written)| (*path, written.as_ref().map(committed))).collect();
            let touched = repository.push_allowing(files, allow_removal);

            let catalog = &repository.catalog;
            let mut claims = BTreeMap::new();
            for (object, entry) in catalog.entries() {
                prop_assert!(seen.contains(&entry.plan));
                prop_assert_eq!(object, &entry.plan.object());
                let changed = before.catalog.entry(object) != Some(entry);
                prop_assert_eq!(touched.objects.contains(object), changed);
                if entry.removed.is_some() {
                    continue;
                }
                prop_assert_eq!(catalog.plan_object(&entry.plan.key), Some(object));
                prop_assert!(catalog.has_plan(&entry.plan.key));
                for claim in Claim::of(&entry.plan) {
                    prop_assert_eq!(claims.insert(claim, entry.plan.key.clone()), None);
                }
            }
            for (object, _) in before.catalog.entries() {
                prop_assert!(catalog.entry(object).is_some(), "only `forget` drops an entry");
            }
            let written: Vec<_> = tip.values().flat_map(|(drafts, _)| drafts).map(Draft::built).collect();
            let idle = |draft: &Arc<Plan>| !catalog.entries().any(|(_, entry)| entry.plan == *draft && entry.removed.is_none());
            if written.iter().any(idle) {
                prop_assert!(!repository.codes().is_empty());
            }
            for (_, entry) in catalog.entries().filter(|(_, entry)| entry.removed.is_none()) {
                let of_key: Vec<_> = written.iter().filter(|draft| draft.key == entry.plan.key).collect();
                if entry.newer_invalid {
                    prop_assert!(!repository.codes().is_empty());
                } else {
                    prop_assert!(of_key.is_empty() || of_key == [&entry.plan], "what the tip says is in force");
                }
            }
            let errors = tip.values().any(|(_, broken)| broken.is_some());
            prop_assert_eq!(catalog.all_parse(), !errors);
            if errors {
                let removed = |repository: &Repository| {
                    repository.catalog.entries().filter(|(_, entry)| entry.removed.is_some()).count()
                };
                prop_assert!(removed(&repository) <= removed(&before), "no removal beside an error");
            }
            let codes = repository.codes();
            // What a refusal says may name another rival now.
            prop_assert_eq!(Touched { plans: [].into(), ..repository.push(vec![]) }, Touched::default());
            prop_assert_eq!(repository.codes(), codes);
        }
    }
}
