//! Where each plan stood last in each cluster, as files beside the notes.

use std::collections::BTreeMap;
use std::path::Path;

use git2::build::TreeUpdateBuilder;
use git2::{ErrorCode, FileMode, Oid, Repository, Tree};

use super::{Note, Position};

/// The folder of all of them; git takes no name of this length for a part of a note's.
const FOLDER: &str = "positions";

/// The largest that is read, in bytes.
const BYTES_MAX: usize = 256 << 10;

/// Where the position of a plan in a cluster is kept: every part of the plan's name and the cluster's is a folder.
fn path(plan: &str, cluster: &str) -> String {
    let mut path = FOLDER.to_owned();
    for part in plan.split('/').chain([cluster]) {
        path.push('/');
        if part.is_empty() {
            path.push('%');
        }
        for (at, byte) in part.bytes().enumerate() {
            let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || (byte == b'.' && at > 0);
            if plain {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    path
}

fn stands(tree: &Tree<'_>, path: &str) -> Result<Option<Oid>, git2::Error> {
    match tree.get_path(Path::new(path)) {
        Ok(entry) => Ok(Some(entry.id())),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The position that is kept, if any; empty where it is too large to be one.
pub(super) fn read(
    repository: &Repository,
    tree: &Tree<'_>,
    plan: &str,
    cluster: &str,
) -> Result<Option<String>, git2::Error> {
    let Some(id) = stands(tree, &path(plan, cluster))? else { return Ok(None) };
    let (size, _) = repository.odb()?.read_header(id)?;
    if size > BYTES_MAX {
        return Ok(Some(String::new()));
    }
    Ok(Some(String::from_utf8_lossy(repository.find_blob(id)?.content()).into_owned()))
}

/// Adds the positions that come with notes to an update of the tree; of several of one plan the last counts.
pub(super) fn write(
    repository: &Repository,
    tree: &Tree<'_>,
    notes: &[Note],
    update: &mut TreeUpdateBuilder,
) -> Result<(), git2::Error> {
    let with = notes.iter().filter_map(|note| Some((path(&note.plan, &note.cluster), note.position.as_ref()?)));
    let last: BTreeMap<String, &Position> = with.collect();
    for (path, position) in last {
        match position {
            Position::At(text) => {
                update.upsert(path, repository.blob(text.as_bytes())?, FileMode::Blob);
            }
            Position::Over if stands(tree, &path)?.is_some() => {
                update.remove(path);
            }
            Position::Over => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_a_path_of_its_own() {
        assert_eq!(path("plans/shop/web", "kind-east"), "positions/plans/shop/web/kind-east");
        assert_eq!(path("..//.git", "arn:aws/1%2F"), "positions/%2E./%/%2Egit/arn%3Aaws%2F1%252F");
        assert_ne!(path("a/b", "c/d"), path("a/b", "c%2Fd"));
    }
}
