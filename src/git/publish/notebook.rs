//! Reads and changes a tree of Git notes, in whatever folders git or tidegate has laid it out.
//!
//! A note belongs to a commit by its path, the commit's 40 digits, cut into folders of two digits where there are many.
//! New notes go into folders at once, so that each costs a small tree; git reads any mixture.

use std::collections::BTreeMap;

use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Repository, Tree};
use serde_json::Value;

use super::{Note, Notes, positions};

/// The largest note that is read or written, in bytes.
const NOTE_BYTES_MAX: usize = 4 << 20;

/// How much of all notes is read at once; what is beyond is left out.
const NOTES_MAX: usize = 200_000;
const BYTES_MAX: usize = 64 << 20;

/// Every line of every note that is tidegate's.
pub(super) fn all(repository: &Repository, tree: &Tree<'_>) -> Result<Notes, git2::Error> {
    let (mut notes, mut bytes) = (Notes::default(), 0);
    let mut open = vec![(String::new(), tree.id())];
    while let Some((digits, id)) = open.pop() {
        for entry in &repository.find_tree(id)? {
            let Ok(name) = entry.name() else { continue };
            let digits = format!("{digits}{name}");
            match entry.kind() {
                Some(ObjectType::Tree) if name.len() == 2 && digits.len() < 40 => open.push((digits, entry.id())),
                Some(ObjectType::Blob) if digits.len() == 40 && Oid::from_str(&digits).is_ok() => {
                    let (size, _) = repository.odb()?.read_header(entry.id())?;
                    bytes += size;
                    if size > NOTE_BYTES_MAX || bytes > BYTES_MAX || notes.found.len() >= NOTES_MAX {
                        notes.left_out += 1;
                        continue;
                    }
                    let text = repository.find_blob(entry.id())?;
                    let text = String::from_utf8_lossy(text.content()).into_owned();
                    notes.found.extend(text.lines().filter_map(|line| read(&digits, line)));
                }
                _ => {}
            }
        }
    }
    notes.found.sort_by(|a, b| key(a).cmp(&key(b)));
    Ok(notes)
}

fn key(note: &Note) -> (&str, &str, &str) {
    (&note.commit, &note.plan, &note.cluster)
}

/// The tree with these notes and positions written, each in the place of what it said about the same plan and cluster;
/// other lines stay. What would grow too large stays as it is.
pub(super) fn written(repository: &Repository, tree: &Tree<'_>, notes: &[Note]) -> Result<Oid, git2::Error> {
    let mut by_commit: BTreeMap<&str, Vec<&Note>> = BTreeMap::new();
    for note in notes {
        by_commit.entry(&note.commit).or_default().push(note);
    }
    let mut update = TreeUpdateBuilder::new();
    for (commit, notes) in by_commit {
        let (path, blob) = place(repository, tree, commit)?;
        let before = blob.map(|blob| repository.find_blob(blob)).transpose()?;
        let before = before.map(|blob| String::from_utf8_lossy(blob.content()).into_owned()).unwrap_or_default();
        let mut lines: Vec<String> = before.lines().map(str::to_owned).collect();
        for note in notes {
            let same = |line: &&mut String| read(commit, line).is_some_and(|old| key(&old) == key(note));
            match lines.iter_mut().find(same) {
                Some(old) => *old = line(note),
                None => lines.push(line(note)),
            }
        }
        let text = lines.join("\n") + "\n";
        if text.len() > NOTE_BYTES_MAX {
            tracing::warn!(commit, "its note would be larger than 4 MiB and stays as it is");
            continue;
        }
        update.upsert(path, repository.blob(text.as_bytes())?, FileMode::Blob);
    }
    positions::write(repository, tree, notes, &mut update)?;
    update.create_updated(repository, tree)
}

/// Where the note of a commit is or shall be, and what it holds.
fn place(repository: &Repository, tree: &Tree<'_>, commit: &str) -> Result<(String, Option<Oid>), git2::Error> {
    let (mut path, mut rest, mut id) = (String::new(), commit, tree.id());
    loop {
        let folder = repository.find_tree(id)?;
        if let Some(entry) = folder.get_name(rest) {
            return Ok((path + rest, Some(entry.id())));
        }
        let Some((digits, below)) = rest.split_at_checked(2).filter(|(_, below)| !below.is_empty()) else {
            return Ok((path + rest, None));
        };
        match folder.get_name(digits).filter(|entry| entry.kind() == Some(ObjectType::Tree)) {
            Some(entry) => (path, rest, id) = (format!("{path}{digits}/"), below, entry.id()),
            None if path.is_empty() => return Ok((format!("{digits}/{below}"), None)),
            None => return Ok((path + rest, None)),
        }
    }
}

fn read(commit: &str, line: &str) -> Option<Note> {
    let Value::Object(mut said) = serde_json::from_str(line).ok()? else { return None };
    let mut text = |name| match said.remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    };
    let (plan, cluster) = (text("plan")?, text("cluster")?);
    Some(Note { commit: commit.to_owned(), plan, cluster, said, position: None })
}

fn line(note: &Note) -> String {
    let mut said = note.said.clone();
    said.insert("plan".to_owned(), note.plan.clone().into());
    said.insert("cluster".to_owned(), note.cluster.clone().into());
    // One line: JSON has no line break outside of its texts, and none in them.
    Value::Object(said).to_string()
}
