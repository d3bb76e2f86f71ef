//! The plain Istio objects in force.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    refusal::object_twice,
    tip::{PlainKey, Tip},
};
use crate::plan::{Finding, PlainObject};

/// The plain objects in force, each written once.
#[derive(Clone, Debug, Default)]
pub(super) struct Plain {
    objects: BTreeMap<PlainKey, Arc<PlainObject>>,
    /// Gone from the files, but some file has errors and may hold them.
    missing: BTreeSet<PlainKey>,
    findings: BTreeMap<PlainKey, Vec<Finding>>,
}

impl Plain {
    pub(super) fn objects(&self) -> impl Iterator<Item = &Arc<PlainObject>> {
        self.objects.values()
    }

    pub(super) fn object(&self, key: &PlainKey) -> Option<&Arc<PlainObject>> {
        self.objects.get(key)
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.values().flatten()
    }

    /// Takes over the objects that a commit affects and returns those that changed, came or went.
    pub(super) fn settle(&mut self, tip: &Tip, mut affected: BTreeSet<PlainKey>) -> BTreeSet<PlainKey> {
        affected.append(&mut self.missing);
        affected.into_iter().filter(|key| self.settle_one(tip, key)).collect()
    }

    fn settle_one(&mut self, tip: &Tip, key: &PlainKey) -> bool {
        self.findings.remove(key);
        match tip.object(key) {
            [] if !self.objects.contains_key(key) => false,
            [] if tip.all_parse() => self.objects.remove(key).is_some(),
            [] => {
                self.missing.insert(key.clone());
                false
            }
            [(object, _)] => self.objects.insert(key.clone(), object.clone()).as_ref() != Some(object),
            several => {
                let finding = |at: usize, place| {
                    let others = several.iter().enumerate().filter(|(other, _)| *other != at);
                    let paths: Vec<&str> = others.map(|(_, (_, place))| place.file.as_str()).collect();
                    object_twice(&key.0, &key.1, place, &paths)
                };
                let findings = several.iter().enumerate().map(|(at, (_, place))| finding(at, place)).collect();
                self.findings.insert(key.clone(), findings);
                false
            }
        }
    }
}
