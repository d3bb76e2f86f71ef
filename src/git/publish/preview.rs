//! Shows what would be published, and pushes nothing.

use git2::{DiffFormat, Oid, Repository};

use super::{Draft, Files, Made, PublishError, Publisher};
use crate::git::GitError;

/// The largest difference that is shown, in bytes.
const DIFF_BYTES_MAX: usize = 8 << 20;

/// What would be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preview {
    /// Nothing.
    Nothing {
        /// Why, as a sentence.
        why: String,
    },
    /// A commit.
    Commit {
        /// What it would be built upon, 40 hex digits.
        onto: String,
        /// Its message.
        message: String,
        /// What it would change, as `git diff` prints it.
        diff: String,
        /// Why it would go to a branch of its own, if so.
        conflict: Option<String>,
    },
}

impl Publisher {
    /// Makes the commit that `draft` asks for, and keeps it here.
    ///
    /// Errs as [`publish`](Self::publish) does before it pushes.
    pub fn preview<E>(
        &mut self,
        draft: &mut dyn FnMut(&Files<'_>) -> Result<Draft, E>,
    ) -> Result<Preview, PublishError<E>> {
        let arrived = self.arrive();
        self.reach.rest();
        let tip = arrived?;
        self.accepted(tip)?;
        let draft = draft(&Files::new(self.mirror.repository(), tip, &self.mirror.source().path));
        let (commit, conflict) = match self.make(tip, draft.map_err(PublishError::Draft)?)? {
            Made::Nothing(why) => return Ok(Preview::Nothing { why }),
            Made::Commit(commit) => (commit, None),
            Made::Aside { commit, why, .. } => (commit, Some(why)),
        };
        let (message, diff) =
            shown(self.mirror.repository(), tip, commit).map_err(|cause| PublishError::Push(cause.into()))?;
        Ok(Preview::Commit { onto: tip.to_string(), message, diff, conflict })
    }
}

/// A commit's message, and how it differs from the one before.
fn shown(repository: &Repository, before: Oid, commit: Oid) -> Result<(String, String), GitError> {
    let commit = repository.find_commit(commit)?;
    let old = repository.find_commit(before)?.tree()?;
    let diff = repository.diff_tree_to_tree(Some(&old), Some(&commit.tree()?), None)?;
    let mut bytes = Vec::new();
    diff.print(DiffFormat::Patch, |_, _, line| {
        if matches!(line.origin(), '+' | '-' | ' ') {
            bytes.extend(u8::try_from(line.origin()));
        }
        bytes.extend_from_slice(line.content());
        bytes.len() < DIFF_BYTES_MAX
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((text(commit.message_raw_bytes()), text(&bytes)))
}
