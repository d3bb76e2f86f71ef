//! Keeps the plans of one repository: what the newest commit holds, what of it is in force, and what stands against the
//! rest.
//!
//! ```text
//! changed files ─► Tip (what is written) ─► Newcomers (who may) ─► Force (what is in force) ─► Touched
//! ```
//!
//! A commit costs what it changed, plus the plans that wait: refused ones are tried again at each commit, missing ones
//! are looked at again until they may be removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::{
    force::Force,
    plain::Plain,
    refusal::{Refusal, mass_removal, removal_waits},
    tip::{Tip, Written},
    verdict::Newcomers,
};
use super::{Chosen, Finding, Known, ObjectKey, ParsedFile, PlainObject, Plan, PlanKey, Revision};

mod claim;
mod force;
mod plain;
mod refusal;
mod tip;
mod verdict;

#[cfg(test)]
mod build;
#[cfg(test)]
mod homes;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;

/// Law 12: a commit may remove this many plans without a trailer.
const REMOVALS_MAX: usize = 10;

/// Law 12: from this many plans on, no commit may remove more than half of them without a trailer.
const HALF_FROM: usize = 4;

/// What a new tip changes against the one before.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The new tip.
    pub revision: Revision,
    /// The changed files by path; none: gone.
    pub changed: BTreeMap<String, Option<FileAt>>,
    /// How many plans the commit's trailer lets it remove.
    pub allow_removal: Option<usize>,
}

/// One file as the tip holds it.
#[derive(Clone, Debug)]
pub struct FileAt {
    /// What it says.
    pub parsed: Arc<ParsedFile>,
    /// The commit that gave a plan its present digest; missing: the one known from before if the digest is the same,
    /// else the tip.
    pub introduced: BTreeMap<PlanKey, Revision>,
}

/// What a commit changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// The VirtualServices whose entry changed in any way.
    pub objects: BTreeSet<ObjectKey>,
    /// The plain objects that came, went or changed, by kind and key.
    pub plain: BTreeSet<(String, ObjectKey)>,
    /// The plans whose documents came, went or changed, or about which the findings did.
    pub plans: BTreeSet<PlanKey>,
}

/// The plan of one VirtualService.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The last version that was accepted.
    pub plan: Arc<Plan>,
    /// The commit that gave it its digest.
    pub revision: Revision,
    /// Whether the tip holds a newer version that is refused.
    pub newer_invalid: bool,
    /// The commit at which the plan counted as removed.
    pub removed: Option<Revision>,
}

/// The plans of one repository. What is in force depends on the order of commits, not only on the newest: whoever came
/// first keeps a contested host.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    tip: Tip,
    force: Force,
    plain: Plain,
    /// Refused newcomers and living plans that no file holds: looked at again at each commit.
    waiting: BTreeSet<PlanKey>,
    findings: BTreeMap<PlanKey, Vec<Finding>>,
    /// The tip; none before the first.
    revision: Option<Revision>,
    /// The clusters that plans may ask for; none: nobody knows.
    known: Option<Known>,
    mass_removal: Option<Finding>,
}

impl Catalog {
    /// A catalog without any file.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes over a new tip and returns what it changed.
    pub fn commit(&mut self, commit: Commit) -> Touched {
        let Commit { revision, changed, allow_removal } = commit;
        let affected = self.tip.apply(&revision, changed);
        self.revision = Some(revision.clone());
        let plain = affected.objects;
        Touched {
            plain: self.plain.settle(&self.tip, plain),
            ..self.judge(affected.plans, BTreeSet::new(), &revision, allow_removal)
        }
    }

    /// Takes over which clusters plans may ask for, and returns what that changes.
    pub fn know(&mut self, clusters: Known) -> Touched {
        self.known = Some(clusters);
        let Some(revision) = self.revision.clone() else { return Touched::default() };
        let all = self.tip.keys().cloned().collect();
        self.judge(BTreeSet::new(), all, &revision, None)
    }

    /// Decides on plans that changed, and again on others and on those that wait.
    fn judge(
        &mut self,
        mut plans: BTreeSet<PlanKey>,
        mut keys: BTreeSet<PlanKey>,
        revision: &Revision,
        allow_removal: Option<usize>,
    ) -> Touched {
        keys.extend(plans.iter().cloned());
        keys.append(&mut self.waiting);
        let before: Vec<_> = keys.iter().map(|key| self.findings.get(key).cloned()).collect();
        let objects = self.settle(&keys, revision, allow_removal);
        let now = keys.iter().zip(before).filter(|(key, before)| self.findings.get(key) != before.as_ref());
        plans.extend(now.map(|(key, _)| key.clone()));
        Touched { objects, plain: BTreeSet::new(), plans }
    }

    /// The plan of a VirtualService.
    pub fn entry(&self, object: &ObjectKey) -> Option<&Entry> {
        self.force.entry(object)
    }

    /// All plans in force and all removed ones that were not let go yet, by VirtualService.
    pub fn entries(&self) -> impl Iterator<Item = (&ObjectKey, &Entry)> {
        self.force.entries()
    }

    /// The VirtualService of a plan, removed ones included.
    pub fn plan_object(&self, key: &PlanKey) -> Option<&ObjectKey> {
        self.force.object(key)
    }

    /// Whether some version of the plan is in force and the plan is not removed.
    pub fn has_plan(&self, key: &PlanKey) -> bool {
        self.force.is_living(key)
    }

    /// The plain objects in force, by kind and key.
    pub fn plain_objects(&self) -> impl Iterator<Item = &Arc<PlainObject>> {
        self.plain.objects()
    }

    /// The plain object of this kind and key, if it is in force.
    pub fn plain_object(&self, kind: &str, key: &ObjectKey) -> Option<&Arc<PlainObject>> {
        self.plain.object(&(kind.to_owned(), key.clone()))
    }

    /// Everything that is wrong: in files by path, then with the commit, then between plans and between objects by key.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        let across = self.mass_removal.iter().chain(self.findings.values().flatten());
        self.tip.findings().chain(across).chain(self.plain.findings())
    }

    /// Everything that is wrong with one plan, in its documents or between it and others.
    pub fn findings_of(&self, key: &PlanKey) -> impl Iterator<Item = &Finding> {
        self.tip.findings_of(key).chain(self.findings.get(key).into_iter().flatten())
    }

    /// The plans that the tip names and of which no version is in force or on its way out.
    pub fn refused(&self) -> impl Iterator<Item = &PlanKey> {
        self.tip.keys().filter(|key| self.force.object(key).is_none())
    }

    /// The clusters that the document of that name asks for, in force or refused; all where it has errors.
    pub fn asks_for(&self, key: &PlanKey) -> Chosen {
        let good = self.only(key).and_then(|one| one.good.as_ref());
        good.map_or(Chosen::All, |good| good.plan.clusters.clone())
    }

    /// Whether the tip has a document of that name, refused or not.
    pub fn is_written(&self, key: &PlanKey) -> bool {
        self.tip.names(key)
    }

    /// Whether no file has errors.
    pub fn all_parse(&self) -> bool {
        self.tip.all_parse()
    }

    /// Drops a removed plan that was let go; a living one stays.
    pub fn forget(&mut self, object: &ObjectKey) {
        self.force.forget(object);
    }

    fn settle(
        &mut self,
        keys: &BTreeSet<PlanKey>,
        revision: &Revision,
        allow_removal: Option<usize>,
    ) -> BTreeSet<ObjectKey> {
        let before = self.snapshot(keys);
        let outcome = self.decide(keys, allow_removal);
        self.mass_removal = outcome.mass_removal;
        self.perform(keys, &outcome.gone, &outcome.inherited, &outcome.refusals, revision);
        before.into_iter().filter(|(object, entry)| self.entry(object) != entry.as_ref()).map(|(key, _)| key).collect()
    }

    /// The entries that the plans `keys` have now or may get.
    fn snapshot(&self, keys: &BTreeSet<PlanKey>) -> BTreeMap<ObjectKey, Option<Entry>> {
        let wanted =
            keys.iter().filter_map(|key| self.only(key)).filter_map(|one| Some(one.good.as_ref()?.plan.object()));
        let present = keys.iter().filter_map(|key| self.force.object(key)).cloned();
        wanted.chain(present).map(|object| (object.clone(), self.entry(&object).cloned())).collect()
    }

    fn decide(&self, keys: &BTreeSet<PlanKey>, allow_removal: Option<usize>) -> Outcome {
        let force = &self.force;
        let documents = keys.iter().filter_map(|key| self.only(key));
        let newcomers =
            Newcomers::new(force, documents.filter(|one| !self.is_in_force(one)), |plan| self.homeless(plan));
        let mut gone = BTreeSet::new();
        if self.tip.all_parse() {
            gone.extend(keys.iter().filter(|key| self.is_missing(key)).cloned());
        }
        let mut refusals = newcomers.judge(force, &gone);
        let mut inherited = newcomers.inherited(force, &gone, &refusals);
        let removals = gone.len() - inherited.len();
        let living = force.living_count();
        let many = removals > REMOVALS_MAX || (living >= HALF_FROM && removals * 2 > living);
        let mut mass = None;
        if many && allow_removal.is_none_or(|allowed| allowed < removals) {
            mass = Some(mass_removal(removals, living));
            // Each round keeps more plans in force, which may refuse a heir that would have taken over another.
            while inherited.len() < gone.len() {
                gone = inherited;
                refusals = newcomers.judge(force, &gone);
                inherited = newcomers.inherited(force, &gone, &refusals);
            }
        }
        // One that is in force stays so, and is told to be wrong, when its cluster goes.
        for plan in keys.iter().filter_map(|key| self.only(key)?.good.as_ref()).map(|good| &good.plan) {
            if let Some(refusal) = self.homeless(plan).filter(|_| !refusals.contains_key(&plan.key)) {
                refusals.insert(plan.key.clone(), vec![refusal]);
            }
        }
        Outcome { gone, inherited, refusals, mass_removal: mass }
    }

    fn perform(
        &mut self,
        keys: &BTreeSet<PlanKey>,
        gone: &BTreeSet<PlanKey>,
        inherited: &BTreeSet<PlanKey>,
        refusals: &BTreeMap<PlanKey, Vec<Refusal>>,
        revision: &Revision,
    ) {
        let accepted: Vec<Written> =
            keys.iter().filter(|key| !refusals.contains_key(key)).filter_map(|key| self.only(key)).cloned().collect();
        for key in gone {
            let object = self.force.object(key).cloned();
            self.force.release(key);
            if let Some(object) = object.filter(|_| !inherited.contains(key)) {
                self.force.remove(&object, revision);
            }
        }
        // All give up before anyone takes: an accepted version may drop what nobody else wants.
        let plans = accepted.iter().filter_map(|one| one.good.as_ref()).map(|good| &good.plan.key);
        plans.for_each(|key| self.force.release(key));
        accepted.iter().for_each(|one| self.force.put(one));
        for key in keys {
            self.note(key, refusals.get(key));
        }
    }

    /// Notes what stands against a plan after a commit.
    fn note(&mut self, key: &PlanKey, refusals: Option<&Vec<Refusal>>) {
        let documents = self.tip.plan(key);
        let mut findings = Vec::new();
        let mut newer_invalid = true;
        match documents {
            [] if self.force.is_living(key) => {
                self.waiting.insert(key.clone());
                newer_invalid = self.force.path(key).is_some_and(|path| self.tip.has_errors(path));
                findings.extend(self.tip.first_with_errors().map(|path| removal_waits(key, path)));
            }
            [] => {}
            [Written { good: None, .. }] => {}
            [Written { good: Some(good), .. }] => {
                newer_invalid = refusals.is_some();
                if let Some(refusals) = refusals {
                    self.waiting.insert(key.clone());
                    findings.extend(refusals.iter().map(|refusal| refusal.finding(key, good)));
                }
            }
            several => {
                for (at, one) in several.iter().enumerate() {
                    let others = several.iter().enumerate().filter(|(other, _)| *other != at);
                    let others = others.map(|(_, other)| other.path.clone()).collect();
                    findings.extend(one.good.as_ref().map(|good| Refusal::Twice { others }.finding(key, good)));
                }
            }
        }
        self.force.set_newer_invalid(key, newer_invalid);
        if findings.is_empty() {
            self.findings.remove(key);
        } else {
            self.findings.insert(key.clone(), findings);
        }
    }

    /// The plan's only document, if it has no errors.
    fn only(&self, key: &PlanKey) -> Option<&Written> {
        match self.tip.plan(key) {
            [one @ Written { good: Some(_), .. }] => Some(one),
            _ => None,
        }
    }

    fn is_in_force(&self, written: &Written) -> bool {
        written.good.as_ref().is_some_and(|good| self.force.plan(&good.plan.key) == Some(&good.plan))
    }

    /// Why a plan has not the clusters that it asks for.
    fn homeless(&self, plan: &Plan) -> Option<Refusal> {
        let known = self.known.as_ref()?;
        let chosen = plan.clusters.check(known);
        let waves = super::chosen::in_waves(&plan.waves, known);
        chosen.err().or(waves.err()).map(Refusal::NoCluster)
    }

    fn is_missing(&self, key: &PlanKey) -> bool {
        self.force.is_living(key) && self.tip.plan(key).is_empty()
    }
}

/// What a commit comes to.
struct Outcome {
    /// The plans that give up what they hold.
    gone: BTreeSet<PlanKey>,
    /// Those of them whose entry passes to another plan.
    inherited: BTreeSet<PlanKey>,
    refusals: BTreeMap<PlanKey, Vec<Refusal>>,
    mass_removal: Option<Finding>,
}
