//! Copies what one repository on this machine has and another lacks, as one pack, all or nothing.

use std::collections::HashSet;
use std::io::Write;
use std::time::Instant;

use git2::{ObjectType, Odb, OdbLookupFlags, Oid, Repository};

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
    let missing = missing(from, &odb, tip, end)?;
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

fn missing(from: &Repository, to: &Odb<'_>, tip: Oid, end: Instant) -> Result<Vec<Oid>, CopyFailed> {
    let mut missing = Vec::new();
    let mut seen = HashSet::new();
    let mut open = vec![(tip, ObjectType::Commit)];
    while let Some((id, kind)) = open.pop() {
        if !seen.insert(id) || to.exists_ext(id, OdbLookupFlags::NO_REFRESH) {
            continue;
        }
        if Instant::now() > end {
            return Err(CopyFailed::Late);
        }
        missing.push(id);
        expand(from, id, kind, &mut open).map_err(CopyFailed::Reading)?;
    }
    Ok(missing)
}

fn expand(from: &Repository, id: Oid, kind: ObjectType, open: &mut Vec<(Oid, ObjectType)>) -> Result<(), git2::Error> {
    match kind {
        ObjectType::Commit => {
            let commit = from.find_commit(id)?;
            open.push((commit.tree_id(), ObjectType::Tree));
            open.extend(commit.parent_ids().map(|parent| (parent, ObjectType::Commit)));
        }
        ObjectType::Tree => {
            let tree = from.find_tree(id)?;
            let kept = tree.iter().filter_map(|entry| match entry.kind() {
                Some(kind @ (ObjectType::Tree | ObjectType::Blob)) => Some((entry.id(), kind)),
                _ => None,
            });
            open.extend(kept);
        }
        _ => {}
    }
    Ok(())
}
