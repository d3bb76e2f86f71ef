//! Keeps what came of commits in Git, as notes on them: `git notes --ref tidegate show COMMIT`.
//!
//! ```text
//!   refs/notes/tidegate ─┬─ 4f/2c8a6b…                          a commit's note: one line of JSON per plan and cluster
//!                        └─ positions/repository/namespace/name/cluster    where a plan stood last, as its journal
//! ```
//!
//! Positions stand beside the notes, one file each: a note of a commit that brings a thousand plans would be megabytes, and
//! all of it would be written again with each step of each plan. git leaves alone what is no note.

use git2::{Oid, Repository, Tree};
use serde_json::{Map, Value};

use super::tries::Tries;
use super::{Order, Publisher, PushError};
use super::{notebook, positions};
use crate::git::transport::Reference;
use crate::git::{GitError, Tip};

/// The reference that holds them, here and there.
const REFERENCE: &str = "refs/notes/tidegate";

/// Where a plan stands in a cluster from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position {
    /// There: a text that is kept as it is.
    At(String),
    /// Nowhere: there is nothing to go on with.
    Over,
}

/// What came of one commit for one plan in one cluster: one line of JSON in the commit's note.
#[derive(Clone, Debug, PartialEq)]
pub struct Note {
    /// The commit that asked, 40 hex digits.
    pub commit: String,
    /// The plan, as the annotation `tidegate.dev/plan` names it: `repository/namespace/name`.
    pub plan: String,
    /// The cluster.
    pub cluster: String,
    /// What came of it; `plan` and `cluster` are added.
    pub said: Map<String, Value>,
    /// Where the plan stands by that; none: where it stood.
    pub position: Option<Position>,
}

/// All notes of a repository, sorted by commit, plan and cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Notes {
    /// What was read.
    pub found: Vec<Note>,
    /// How many commits' notes were too many or too large to read.
    pub left_out: usize,
}

/// Where the mirror has them.
pub(super) fn stand(repository: &Repository) -> Option<Oid> {
    repository.refname_to_id(REFERENCE).ok()
}

impl Publisher {
    /// Everything that the repository's notes say, fetched anew.
    ///
    /// Errs where it cannot be reached, or where the notes' last commit does not count as a tip would not.
    pub fn notes(&mut self) -> Result<Notes, PushError> {
        let notes = self.try_notes();
        self.reach.rest();
        notes
    }

    fn try_notes(&mut self) -> Result<Notes, PushError> {
        let Some(tip) = self.arrive_at_notes()? else { return Ok(Notes::default()) };
        self.accepted(tip)?;
        let repository = self.mirror.repository();
        let tree = repository.find_commit(tip).and_then(|commit| commit.tree()).map_err(GitError::Mirror)?;
        Ok(notebook::all(repository, &tree).map_err(GitError::Mirror)?)
    }

    /// Where each of these plans stood last in its cluster, fetched anew; a text that is too large to be one is empty.
    ///
    /// Errs as [`Publisher::notes`] does.
    pub fn positions(&mut self, of: &[(String, String)]) -> Result<Vec<Option<String>>, PushError> {
        let positions = self.try_positions(of);
        self.reach.rest();
        positions
    }

    fn try_positions(&mut self, of: &[(String, String)]) -> Result<Vec<Option<String>>, PushError> {
        let Some(tip) = self.arrive_at_notes()? else { return Ok(vec![None; of.len()]) };
        self.accepted(tip)?;
        let repository = self.mirror.repository();
        let tree = repository.find_commit(tip).and_then(|commit| commit.tree()).map_err(GitError::Mirror)?;
        let position = |(plan, cluster): &(String, String)| positions::read(repository, &tree, plan, cluster);
        Ok(of.iter().map(position).collect::<Result<_, _>>().map_err(GitError::Mirror)?)
    }

    /// Writes notes and positions in one commit and pushes it, as a commit of the branch is pushed; whether anything was new.
    ///
    /// A note takes the place of what was said about the same commit, plan and cluster; one that would be larger than
    /// 4 MiB is left as it is. Of several positions of one plan the last counts.
    pub fn note(&mut self, notes: &[Note]) -> Result<bool, PushError> {
        let noted = self.try_note(notes);
        self.reach.rest();
        self.tidy();
        noted
    }

    fn try_note(&mut self, notes: &[Note]) -> Result<bool, PushError> {
        if let Some(odd) = notes.iter().find(|note| note.commit.len() != 40 || Oid::from_str(&note.commit).is_err()) {
            return Err(PushError::Commit { cause: format!("`{}` is no commit", odd.commit.escape_debug()) });
        }
        let mut tries = Tries::default();
        loop {
            let arrived = self.arrive_at_notes();
            let tip = tries.arrived(arrived)?;
            if let Some(tip) = tip
                && tries.landed(self.mirror.repository(), tip)?.is_some()
            {
                return Ok(true);
            }
            tries.next(&self.location(), tip)?;
            if let Some(tip) = tip {
                self.accepted(tip)?;
            }
            let Some(commit) = self.make_notes(tip, notes)? else { return Ok(false) };
            let order = Order { reference: REFERENCE.to_owned(), onto: tip, commit };
            let pushed = self.push(&order);
            if tries.pushed(&order, pushed)? {
                // Where that is not noted, the next look fetches it.
                let _ = self.stand_at_notes(commit);
                return Ok(true);
            }
        }
    }

    fn make_notes(&mut self, tip: Option<Oid>, notes: &[Note]) -> Result<Option<Oid>, PushError> {
        let repository = self.mirror.repository();
        let tree = base(repository, tip).map_err(GitError::Mirror)?;
        let written = notebook::written(repository, &tree, notes).map_err(GitError::Mirror)?;
        if written == tree.id() {
            return Ok(None);
        }
        let id = self.maker.commit(repository, tip, written, "Note what came of commits")?;
        match self.judge.refuses(repository, id, None)? {
            Some(refused) => Err(PushError::own(refused)),
            None => Ok(Some(id)),
        }
    }

    fn arrive_at_notes(&mut self) -> Result<Option<Oid>, PushError> {
        let reference = Reference { theirs: REFERENCE.to_owned(), kept: REFERENCE.to_owned() };
        let repository = self.mirror.repository();
        let mut transport = self.reach.at(reference);
        let stands = stand(repository).filter(|id| repository.find_commit(*id).is_ok());
        let tip = match transport.tip(repository, stands)? {
            Tip::At(tip) if stands == Some(tip) => return Ok(stands),
            Tip::At(tip) => transport.fetch(repository, tip)?,
            Tip::Gone { .. } | Tip::Empty => return Ok(None),
        };
        self.stand_at_notes(tip)?;
        Ok(Some(tip))
    }

    fn stand_at_notes(&self, tip: Oid) -> Result<(), GitError> {
        let repository = self.mirror.repository();
        let noted = repository.reference(REFERENCE, tip, true, "fetched");
        let failed = |error: git2::Error| GitError::State {
            dir: repository.path().to_owned(),
            cause: error.message().to_owned(),
        };
        noted.map(drop).map_err(failed)
    }
}

/// The notes as they are at a commit, or none.
fn base(repository: &Repository, tip: Option<Oid>) -> Result<Tree<'_>, git2::Error> {
    match tip {
        Some(tip) => repository.find_commit(tip)?.tree(),
        None => repository.find_tree(repository.treebuilder(None)?.write()?),
    }
}
