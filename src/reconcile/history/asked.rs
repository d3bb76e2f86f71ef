//! Reads from Git what each commit made of a plan's document, in whichever file it stood.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crate::{
    git::{self, Commit, FILE_BYTES_MAX, FileEntry, FileKind, GitError, Mirror},
    plan::{
        Digest, Plan, PlanKey,
        edit::{self, REASON_TRAILER, RESTORES_TRAILER, Texts, UNDOES_TRAILER},
    },
};

/// One commit that changed what the document says.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Who, when, and in which words.
    pub commit: Commit,
    /// What the document says from then on.
    pub said: Said,
    /// The file that it stands in; none: in none.
    pub path: Option<String>,
    /// The commits that this one undoes: as its trailer says, or as `git revert` does.
    pub undoes: Vec<String>,
    /// The commit whose text the document has again, as the trailer says.
    pub restores: Option<String>,
    /// Why, as the trailer says.
    pub reason: Option<String>,
}

/// What a document says.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// This.
    Plan(Arc<Plan>),
    /// Something that is not accepted; why, in short.
    Broken(String),
    /// Nothing: no file has it.
    Gone,
}

/// All that was asked of a plan, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Asking {
    /// By commit.
    pub asked: Vec<Asked>,
    /// Whether the history was read to its beginning.
    pub whole: bool,
}

/// What the first-parent commits down from `tip` asked of a plan; at most `limit` commits are looked at.
///
/// # Errors
/// [`GitError`] where the mirror cannot be read.
pub fn asked(mirror: &Mirror, tip: &str, key: &PlanKey, limit: usize) -> Result<Asking, GitError> {
    let mut reading = Reading { mirror, key, blobs: HashMap::new(), held: BTreeMap::new() };
    let mut asked: Vec<Asked> = Vec::new();
    let mut before = (None, Said::Gone);
    let mut is_first = true;
    let mut began_with = None;
    let whole = mirror.along(tip, limit, |commit, files| {
        let path = reading.take(files)?;
        let now = (path.as_ref().and_then(|path| reading.digest(path)), reading.said(path.as_deref()));
        if now != before {
            began_with = began_with.or(is_first.then_some(asked.len()));
            asked.push(told(mirror, commit, now.1.clone(), path)?);
            before = now;
        }
        is_first = false;
        Ok(())
    })?;
    if let Some(place) = began_with.filter(|_| !whole) {
        // What stood there already was asked by an earlier commit.
        asked.remove(place);
    }
    Ok(Asking { asked, whole })
}

fn told(mirror: &Mirror, id: &str, said: Said, path: Option<String>) -> Result<Asked, GitError> {
    let message = mirror.message(id)?;
    let mut undoes = git::reverted(&message);
    undoes.extend(git::trailer(&message, UNDOES_TRAILER));
    Ok(Asked {
        commit: mirror.commit(id)?,
        said,
        path,
        undoes,
        restores: git::trailer(&message, RESTORES_TRAILER),
        reason: git::trailer(&message, REASON_TRAILER),
    })
}

/// What one file holds of the plan.
#[derive(Clone, Debug, PartialEq)]
struct Held {
    digest: Option<Digest>,
    said: Said,
}

struct Reading<'m> {
    mirror: &'m Mirror,
    key: &'m PlanKey,
    /// A revert brings back what was read before.
    blobs: HashMap<String, Option<Held>>,
    /// The files that hold the plan.
    held: BTreeMap<String, Held>,
}

impl Reading<'_> {
    /// Takes changed files over and returns which file holds the plan; the first of several.
    fn take(&mut self, files: BTreeMap<String, Option<FileEntry>>) -> Result<Option<String>, GitError> {
        for (path, file) in files {
            let held = match file {
                Some(file) => self.read(&path, &file)?,
                None => None,
            };
            match held {
                Some(held) => drop(self.held.insert(path, held)),
                None => drop(self.held.remove(&path)),
            }
        }
        Ok(self.held.keys().next().cloned())
    }

    fn digest(&self, path: &str) -> Option<Digest> {
        self.held.get(path).and_then(|held| held.digest.clone())
    }

    fn said(&self, path: Option<&str>) -> Said {
        let mut paths = self.held.keys();
        match (path.and_then(|path| self.held.get(path)), paths.next(), paths.next()) {
            (_, Some(one), Some(other)) => Said::Broken(format!("it stands in {one} and in {other}")),
            (Some(held), ..) => held.said.clone(),
            _ => Said::Gone,
        }
    }

    fn read(&mut self, path: &str, file: &FileEntry) -> Result<Option<Held>, GitError> {
        let is_file = matches!(file.kind, FileKind::Regular | FileKind::Executable);
        if !is_file || file.size > FILE_BYTES_MAX {
            return Ok(None);
        }
        if let Some(known) = self.blobs.get(&file.blob) {
            return Ok(known.clone());
        }
        let bytes = self.mirror.read(&file.blob, FILE_BYTES_MAX)?;
        if !edit::may_hold(&bytes, &self.key.name) {
            return Ok(None);
        }
        let texts = Texts { commit: String::new(), files: BTreeMap::from([(path.to_owned(), bytes)]) };
        let held = match edit::locate(&texts, self.key) {
            Ok(found) => found.map(|found| {
                let broken = || Said::Broken(format!("{path} is not valid"));
                Held { digest: Some(found.digest), said: found.plan.map_or_else(broken, Said::Plan) }
            }),
            // A file that cannot be read concerns those whom it held.
            Err(_) if !self.held.contains_key(path) => None,
            Err(_) => Some(Held { digest: None, said: Said::Broken(format!("{path} cannot be read")) }),
        };
        self.blobs.insert(file.blob.clone(), held.clone());
        Ok(held)
    }
}
