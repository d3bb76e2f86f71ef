//! Copies what one repository on this machine has and another lacks, as one pack, all or nothing.

use std::collections::HashSet;
use std::io::Write;
use std::time::Instant;

use git2::{ObjectType, Odb, OdbLookupFlags, Oid, Repository, Tree};

/// Why nothing was copied.
pub(super) enum CopyFailed {
    /// The one that is copied from cannot be read.
    Reading(git2::Error),
    /// The one that is copied to cannot be read.
    Target(git2::Error),
    /// The one that is copied to cannot be written.
    Writing(String),
    /// It took too long.
    Late,
}

/// Copies all that is reachable from `tip`, until `end`. An object that is there already has all that it refers to.
pub(super) fn objects(from: &Repository, to: &Repository, tip: Oid, end: Instant) -> Result<(), CopyFailed> {
    let odb = to.odb().map_err(CopyFailed::Target)?;
    let missing = missing(from, to, &odb, tip, end)?;
    if missing.is_empty() {
        return Ok(());
    }
    let mut pack = from.packbuilder().map_err(CopyFailed::Reading)?;
    pack.set_threads(1);
    for id in missing {
        pack.insert_object(id, None).map_err(CopyFailed::Reading)?;
    }
    let mut writer = odb.packwriter().map_err(CopyFailed::Target)?;
    let mut failed = None;
    let copied = pack.foreach(|bytes| {
        failed = writer.write_all(bytes).err();
        failed.is_none() && Instant::now() < end
    });
    match (copied, failed) {
        (_, Some(cause)) => return Err(CopyFailed::Writing(cause.to_string())),
        (Err(_), None) if Instant::now() >= end => return Err(CopyFailed::Late),
        (Err(cause), None) => return Err(CopyFailed::Reading(cause)),
        (Ok(()), None) => {}
    }
    writer.commit().map(drop).map_err(|cause| CopyFailed::Writing(cause.message().to_owned()))
}

/// An object that may be missing.
struct Wanted {
    id: Oid,
    kind: ObjectType,
    /// The tree at its place in a commit that is there: all that it names is there, too.
    before: Option<Oid>,
}

fn missing(from: &Repository, to: &Repository, odb: &Odb<'_>, tip: Oid, end: Instant) -> Result<Vec<Oid>, CopyFailed> {
    let mut missing = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![Wanted { id: tip, kind: ObjectType::Commit, before: None }];
    while let Some(wanted) = open.pop() {
        if !seen.insert(wanted.id) || odb.exists_ext(wanted.id, OdbLookupFlags::NO_REFRESH) {
            continue;
        }
        if Instant::now() > end {
            return Err(CopyFailed::Late);
        }
        missing.push(wanted.id);
        expand(from, to, &wanted, &mut open).map_err(CopyFailed::Reading)?;
    }
    Ok(missing)
}

fn expand(from: &Repository, to: &Repository, wanted: &Wanted, open: &mut Vec<Wanted>) -> Result<(), git2::Error> {
    match wanted.kind {
        ObjectType::Commit => {
            let commit = from.find_commit(wanted.id)?;
            let before = commit.parent_ids().find_map(|parent| Some(to.find_commit(parent).ok()?.tree_id()));
            open.push(Wanted { id: commit.tree_id(), kind: ObjectType::Tree, before });
            open.extend(commit.parent_ids().map(|id| Wanted { id, kind: ObjectType::Commit, before: None }));
        }
        ObjectType::Tree => {
            let before = wanted.before.and_then(|before| to.find_tree(before).ok());
            entries(&from.find_tree(wanted.id)?, before.as_ref(), open);
        }
        _ => {}
    }
    Ok(())
}

/// The entries of a tree that the one before has not: to ask for each of thousands would take longer than all the rest.
fn entries(tree: &Tree<'_>, before: Option<&Tree<'_>>, open: &mut Vec<Wanted>) {
    let mut olds = before.into_iter().flat_map(Tree::iter).peekable();
    for entry in tree {
        // Git keeps entries sorted.
        while olds.next_if(|old| *old < entry).is_some() {}
        let old = olds.next_if(|old| *old == entry);
        if old.as_ref().is_some_and(|old| old.id() == entry.id()) {
            continue;
        }
        if let Some(kind @ (ObjectType::Tree | ObjectType::Blob)) = entry.kind() {
            let before = old.filter(|old| old.kind() == Some(ObjectType::Tree)).map(|old| old.id());
            open.push(Wanted { id: entry.id(), kind, before });
        }
    }
}
