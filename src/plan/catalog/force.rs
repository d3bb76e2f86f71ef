//! The plans in force, by VirtualService and by name, and what each of them holds.

use std::{collections::BTreeMap, sync::Arc};

use super::{Entry, claim::Claim, tip::Written};
use crate::plan::{ObjectKey, Plan, PlanKey, Revision};

/// Where a living plan stands.
#[derive(Clone, Debug)]
struct Living {
    object: ObjectKey,
    /// The file that its version in force came from.
    path: String,
}

/// The plans in force. Law 10 rests on it: no claim ever has two holders.
#[derive(Clone, Debug, Default)]
pub(super) struct Force {
    entries: BTreeMap<ObjectKey, Entry>,
    living: BTreeMap<PlanKey, Living>,
    leaving: BTreeMap<PlanKey, ObjectKey>,
    holders: BTreeMap<Claim, PlanKey>,
}

impl Force {
    pub(super) fn entry(&self, object: &ObjectKey) -> Option<&Entry> {
        self.entries.get(object)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&ObjectKey, &Entry)> {
        self.entries.iter()
    }

    /// The plan's VirtualService, of a living plan rather than of a removed one.
    pub(super) fn object(&self, key: &PlanKey) -> Option<&ObjectKey> {
        self.living.get(key).map(|living| &living.object).or_else(|| self.leaving.get(key))
    }

    pub(super) fn is_living(&self, key: &PlanKey) -> bool {
        self.living.contains_key(key)
    }

    pub(super) fn living_count(&self) -> usize {
        self.living.len()
    }

    /// The last good version of a living plan.
    pub(super) fn plan(&self, key: &PlanKey) -> Option<&Arc<Plan>> {
        let living = self.living.get(key)?;
        self.entries.get(&living.object).map(|entry| &entry.plan)
    }

    /// The file that the version in force came from.
    pub(super) fn path(&self, key: &PlanKey) -> Option<&str> {
        self.living.get(key).map(|living| living.path.as_str())
    }

    /// The living plan that holds the claim.
    pub(super) fn holder(&self, claim: &Claim) -> Option<&PlanKey> {
        self.holders.get(claim)
    }

    /// Gives up what a living plan holds; its entry stays.
    pub(super) fn release(&mut self, key: &PlanKey) {
        if let Some(plan) = self.plan(key).cloned() {
            for claim in Claim::of(&plan) {
                self.holders.remove(&claim);
            }
        }
        self.living.remove(key);
    }

    /// Marks a released plan as removed.
    pub(super) fn remove(&mut self, object: &ObjectKey, revision: &Revision) {
        if let Some(entry) = self.entries.get_mut(object) {
            entry.removed = Some(revision.clone());
            entry.newer_invalid = false;
            self.leaving.insert(entry.plan.key.clone(), object.clone());
        }
    }

    /// Puts a version in force whose claims nobody else holds.
    pub(super) fn put(&mut self, written: &Written) {
        let Some(good) = &written.good else { return };
        let plan = &good.plan;
        let object = plan.object();
        for claim in Claim::of(plan) {
            self.holders.insert(claim, plan.key.clone());
        }
        self.living.insert(plan.key.clone(), Living { object: object.clone(), path: written.path.clone() });
        let entry = Entry { plan: plan.clone(), revision: good.revision.clone(), newer_invalid: false, removed: None };
        if let Some(former) = self.entries.insert(object.clone(), entry) {
            self.let_go(&former.plan.key, &object);
        }
    }

    /// Notes whether the tip holds a refused newer version of a living plan.
    pub(super) fn set_newer_invalid(&mut self, key: &PlanKey, newer_invalid: bool) {
        if let Some(living) = self.living.get(key)
            && let Some(entry) = self.entries.get_mut(&living.object)
        {
            entry.newer_invalid = newer_invalid;
        }
    }

    /// Drops the entry of a removed plan.
    pub(super) fn forget(&mut self, object: &ObjectKey) {
        if self.entries.get(object).is_some_and(|entry| entry.removed.is_some())
            && let Some(former) = self.entries.remove(object)
        {
            self.let_go(&former.plan.key, object);
        }
    }

    fn let_go(&mut self, key: &PlanKey, object: &ObjectKey) {
        if self.leaving.get(key) == Some(object) {
            self.leaving.remove(key);
        }
    }
}
