//! Builders of small plans, files and commits for the catalog's tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Map, json};

use super::{Catalog, Commit, Entry, FileAt, Touched};
use crate::plan::{
    Chosen, Digest, Document, DriftPolicy, Finding, Host, ObjectKey, ObjectSpec, OnFailure, OnPartial, ParsedFile,
    Place, PlainObject, Plan, PlanKey, Readiness, Revision, Route, Routing, Severity, Span, Traffic, Version,
    VersionName,
};

/// A plan in the making; service, objects and host are named after the plan unless said otherwise.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub name: String,
    pub edition: u8,
    pub service: String,
    pub virtual_service: String,
    pub destination_rule: String,
    pub hosts: Vec<String>,
    pub gateways: Vec<String>,
}

pub(super) fn plan(name: &str) -> Draft {
    let name = name.to_owned();
    Draft {
        edition: 1,
        service: name.clone(),
        virtual_service: name.clone(),
        destination_rule: name.clone(),
        hosts: vec![name.clone()],
        gateways: vec!["mesh".into()],
        name,
    }
}

impl Draft {
    pub(super) fn edition(self, edition: u8) -> Self {
        Self { edition, ..self }
    }

    pub(super) fn service(self, name: &str) -> Self {
        Self { service: name.into(), ..self }
    }

    pub(super) fn virtual_service(self, name: &str) -> Self {
        Self { virtual_service: name.into(), ..self }
    }

    pub(super) fn destination_rule(self, name: &str) -> Self {
        Self { destination_rule: name.into(), ..self }
    }

    pub(super) fn hosts(self, hosts: &[&str]) -> Self {
        Self { hosts: hosts.iter().map(ToString::to_string).collect(), ..self }
    }

    pub(super) fn gateways(self, gateways: &[&str]) -> Self {
        Self { gateways: gateways.iter().map(ToString::to_string).collect(), ..self }
    }

    pub(super) fn built(&self) -> Arc<Plan> {
        let version = VersionName::new("v1");
        let object = |name: &String| ObjectSpec { name: name.clone(), export_to: None };
        Arc::new(Plan {
            key: plan_key(&self.name),
            digest: Digest::of(&json!(format!("{self:?}"))),
            routing: Routing {
                namespace: "shop".into(),
                service: Host::resolve(&self.service, "shop"),
                port: None,
                versions: vec![Version {
                    name: version.clone(),
                    labels: BTreeMap::from([("version".into(), "v1".into())]),
                    traffic_policy: None,
                    build: Some(self.edition.to_string()),
                }],
                traffic_policy: None,
                routes: vec![Route {
                    name: "all".into(),
                    hosts: self.hosts.clone(),
                    gateways: self.gateways.clone(),
                    matches: vec![],
                    http: Map::new(),
                }],
                pins: vec![],
                virtual_service: object(&self.virtual_service),
                destination_rule: object(&self.destination_rule),
            },
            traffic: Traffic::all(version),
            steps: vec![],
            settle: Span::ZERO,
            on_failure: OnFailure::Rollback,
            on_partial: OnPartial::RollbackAll,
            quorum: None,
            waves: Vec::new(),
            attempt: Plan::first_attempt(),
            progress_deadline: Plan::usual_progress_deadline(),
            from: None,
            take_ownership: false,
            prune: false,
            drift: DriftPolicy::Correct,
            readiness: Readiness::default(),
            pause: false,
            suspend: false,
            clusters: Chosen::All,
        })
    }
}

pub(super) fn plan_key(name: &str) -> PlanKey {
    PlanKey { namespace: "shop".into(), name: name.into() }
}

pub(super) fn object_key(name: &str) -> ObjectKey {
    ObjectKey { namespace: "shop".into(), name: name.into() }
}

pub(super) fn revision(number: usize) -> Revision {
    Revision { branch: "main".into(), commit: format!("{number:040}") }
}

/// A file in the making.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub parsed: ParsedFile,
    pub introduced: BTreeMap<PlanKey, Revision>,
}

pub(super) fn file(drafts: &[Draft]) -> File {
    drafts.iter().fold(File::default(), |file, draft| file.with(Document::Plan(draft.built())))
}

pub(super) fn one(draft: &Draft) -> File {
    file(std::slice::from_ref(draft))
}

impl File {
    fn with(mut self, document: Document) -> Self {
        let start = self.parsed.documents.len() * 100;
        self.parsed.documents.push((document, Place { file: String::new(), start, end: start + 10 }));
        self
    }

    /// Adds a Gateway; `edition` tells versions apart.
    pub(super) fn gateway(self, name: &str, edition: u8) -> Self {
        let object =
            PlainObject { kind: "Gateway".into(), key: object_key(name), value: json!({ "edition": edition }) };
        self.with(Document::Object(Arc::new(object)))
    }

    /// Adds an error, in a document of the plans `broken` where their names can be read.
    pub(super) fn broken(mut self, broken: &[&str]) -> Self {
        self.parsed.broken.extend(broken.iter().map(|name| plan_key(name)));
        self.parsed.findings.push(Finding {
            code: "TEST",
            severity: Severity::Error,
            message: "does not parse".into(),
            place: None,
            hints: vec![],
        });
        self
    }

    pub(super) fn at(mut self, path: &str) -> FileAt {
        self.parsed.documents.iter_mut().for_each(|(_, place)| place.file = path.to_owned());
        FileAt { parsed: Arc::new(self.parsed), introduced: self.introduced }
    }
}

/// A catalog and the number of its last commit.
#[derive(Clone, Default)]
pub(super) struct Repository {
    pub catalog: Catalog,
    pub commits: usize,
}

impl Repository {
    /// Commits files; none: gone.
    pub(super) fn push(&mut self, changed: Vec<(&str, Option<File>)>) -> Touched {
        self.push_allowing(changed, None)
    }

    pub(super) fn push_allowing(
        &mut self,
        changed: Vec<(&str, Option<File>)>,
        allow_removal: Option<usize>,
    ) -> Touched {
        self.commits += 1;
        let changed = changed.into_iter().map(|(path, file)| (path.to_owned(), file.map(|file| file.at(path))));
        self.catalog.commit(Commit { revision: revision(self.commits), changed: changed.collect(), allow_removal })
    }

    /// The entry of the VirtualService of that name.
    pub(super) fn entry(&self, object: &str) -> &Entry {
        self.catalog.entry(&object_key(object)).unwrap()
    }

    /// Whether exactly this version is in force, with nothing standing against it.
    pub(super) fn holds(&self, draft: &Draft) -> bool {
        let entry = self.catalog.entry(&object_key(&draft.virtual_service));
        entry.is_some_and(|entry| entry.plan == draft.built() && !entry.newer_invalid && entry.removed.is_none())
    }

    /// Whether this version is in force although the tip holds a refused newer one.
    pub(super) fn keeps(&self, draft: &Draft) -> bool {
        let entry = self.catalog.entry(&object_key(&draft.virtual_service));
        entry.is_some_and(|entry| entry.plan == draft.built() && entry.newer_invalid && entry.removed.is_none())
    }

    /// The findings' codes with their files, in order.
    pub(super) fn codes(&self) -> Vec<String> {
        let file = |finding: &Finding| finding.place.as_ref().map(|place| place.file.clone());
        let codes = self.catalog.findings();
        codes
            .map(|finding| format!("{} {}", finding.code, file(finding).unwrap_or_default()).trim().to_owned())
            .collect()
    }
}

pub(super) fn objects(names: &[&str]) -> BTreeSet<ObjectKey> {
    names.iter().map(|name| object_key(name)).collect()
}
