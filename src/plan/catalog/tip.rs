//! What the files of the newest commit hold, by path and by name.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::FileAt;
use crate::plan::{Digest, Document, Finding, ObjectKey, ParsedFile, Place, PlainObject, Plan, PlanKey, Revision};

/// Kind, namespace and name of a plain object.
pub(super) type PlainKey = (String, ObjectKey);

/// One document that names a plan.
#[derive(Clone, Debug)]
pub(super) struct Written {
    /// The file that holds it.
    pub path: String,
    /// What it says; none where the document has errors.
    pub good: Option<Good>,
}

/// A plan document without errors of its own.
#[derive(Clone, Debug)]
pub(super) struct Good {
    pub plan: Arc<Plan>,
    pub place: Place,
    /// Where it chooses clusters: the place of each name, or of the labels.
    pub chosen: Vec<Place>,
    /// The commit that gave it its present digest.
    pub revision: Revision,
}

/// The plans and objects that a commit gave, took or changed.
#[derive(Default)]
pub(super) struct Affected {
    pub plans: BTreeSet<PlanKey>,
    pub objects: BTreeSet<PlainKey>,
}

/// The files of the newest commit.
#[derive(Clone, Debug, Default)]
pub(super) struct Tip {
    files: BTreeMap<String, Arc<ParsedFile>>,
    with_errors: BTreeSet<String>,
    plans: BTreeMap<PlanKey, Vec<Written>>,
    objects: BTreeMap<PlainKey, Vec<(Arc<PlainObject>, Place)>>,
}

impl Tip {
    /// Takes over the changed files and returns what they held before or hold now.
    pub(super) fn apply(&mut self, revision: &Revision, changed: BTreeMap<String, Option<FileAt>>) -> Affected {
        let mut affected = Affected::default();
        let mut former = BTreeMap::new();
        for path in changed.keys() {
            self.take(path, &mut affected, &mut former);
        }
        for (path, file) in changed {
            if let Some(file) = file {
                self.add(path, file, revision, &former, &mut affected);
            }
        }
        affected
    }

    /// Every document that names the plan, by path.
    pub(super) fn plan(&self, key: &PlanKey) -> &[Written] {
        self.plans.get(key).map_or(&[], Vec::as_slice)
    }

    /// Every document of the plain object, by place.
    pub(super) fn object(&self, key: &PlainKey) -> &[(Arc<PlainObject>, Place)] {
        self.objects.get(key).map_or(&[], Vec::as_slice)
    }

    pub(super) fn all_parse(&self) -> bool {
        self.with_errors.is_empty()
    }

    pub(super) fn has_errors(&self, path: &str) -> bool {
        self.with_errors.contains(path)
    }

    /// The first file with errors, by path.
    pub(super) fn first_with_errors(&self) -> Option<&str> {
        self.with_errors.first().map(String::as_str)
    }

    /// The findings of the files, by path.
    pub(super) fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.files.values().flat_map(|file| &file.findings)
    }

    /// The plans that documents name.
    pub(super) fn keys(&self) -> impl Iterator<Item = &PlanKey> {
        self.plans.keys()
    }

    /// Whether a document names the plan.
    pub(super) fn names(&self, key: &PlanKey) -> bool {
        self.plans.contains_key(key)
    }

    /// The findings about a plan in its own documents, by path.
    pub(super) fn findings_of(&self, key: &PlanKey) -> impl Iterator<Item = &Finding> {
        let paths: BTreeSet<&str> = self.plan(key).iter().map(|written| written.path.as_str()).collect();
        paths.into_iter().filter_map(|path| self.files.get(path)).flat_map(move |file| file.findings_of(key))
    }

    fn take(&mut self, path: &str, affected: &mut Affected, former: &mut BTreeMap<PlanKey, (Digest, Revision)>) {
        self.with_errors.remove(path);
        let Some(file) = self.files.remove(path) else { return };
        for key in plan_keys(&file) {
            if let Some(written) = self.plans.get_mut(key) {
                for good in written.iter().filter(|one| one.path == path).filter_map(|one| one.good.as_ref()) {
                    former.insert(key.clone(), (good.plan.digest.clone(), good.revision.clone()));
                }
                written.retain(|one| one.path != path);
                if written.is_empty() {
                    self.plans.remove(key);
                }
            }
            affected.plans.insert(key.clone());
        }
        for (object, _) in objects(&file) {
            let key = (object.kind.clone(), object.key.clone());
            if let Some(written) = self.objects.get_mut(&key) {
                written.retain(|(_, place)| place.file != path);
                if written.is_empty() {
                    self.objects.remove(&key);
                }
            }
            affected.objects.insert(key);
        }
    }

    fn add(
        &mut self,
        path: String,
        file: FileAt,
        revision: &Revision,
        former: &BTreeMap<PlanKey, (Digest, Revision)>,
        affected: &mut Affected,
    ) {
        let FileAt { parsed, introduced } = file;
        for (plan, place) in plans(&parsed) {
            // An edit elsewhere in the file, or a move to another, does not make the plan newer.
            let unchanged = former.get(&plan.key).filter(|(digest, _)| *digest == plan.digest);
            let introduced = introduced.get(&plan.key).or(unchanged.map(|(_, revision)| revision)).unwrap_or(revision);
            let chosen = parsed.chosen.get(&plan.key).cloned().unwrap_or_default();
            let good = Good { plan: plan.clone(), place: place.clone(), chosen, revision: introduced.clone() };
            self.write(&plan.key, Written { path: path.clone(), good: Some(good) });
        }
        for key in &parsed.broken {
            self.write(key, Written { path: path.clone(), good: None });
        }
        affected.plans.extend(plan_keys(&parsed).cloned());
        for (object, place) in objects(&parsed) {
            let key = (object.kind.clone(), object.key.clone());
            let written = self.objects.entry(key.clone()).or_default();
            // A parser that is handed no path would leave it out of the place; the index must not depend on it.
            written.push((object.clone(), Place { file: path.clone(), ..place.clone() }));
            written.sort_by(|(_, one), (_, other)| one.cmp(other));
            affected.objects.insert(key);
        }
        if parsed.has_errors() {
            self.with_errors.insert(path.clone());
        }
        self.files.insert(path, parsed);
    }

    fn write(&mut self, key: &PlanKey, one: Written) {
        let written = self.plans.entry(key.clone()).or_default();
        written.push(one);
        // Stable: documents of one file stay in their order.
        written.sort_by(|one, other| one.path.cmp(&other.path));
    }
}

fn plans(file: &ParsedFile) -> impl Iterator<Item = (&Arc<Plan>, &Place)> {
    file.documents.iter().filter_map(|(document, place)| match document {
        Document::Plan(plan) => Some((plan, place)),
        Document::Object(_) => None,
    })
}

fn objects(file: &ParsedFile) -> impl Iterator<Item = (&Arc<PlainObject>, &Place)> {
    file.documents.iter().filter_map(|(document, place)| match document {
        Document::Plan(_) => None,
        Document::Object(object) => Some((object, place)),
    })
}

fn plan_keys(file: &ParsedFile) -> impl Iterator<Item = &PlanKey> {
    plans(file).map(|(plan, _)| &plan.key).chain(&file.broken)
}
