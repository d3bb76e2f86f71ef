//! What the repository's notes say of a plan's position in a cluster: asked only where nothing else is known of it.

use std::sync::Arc;

use jiff::Timestamp;

use crate::plan::Plan;

use super::{Journal, JournalError, Owner, Phase, Reason};

/// What the notes say.
#[derive(Clone, Debug, PartialEq)]
pub enum Noted {
    /// They were not read yet.
    Unknown {
        /// Since when they are asked; none: they will be.
        since: Option<Timestamp>,
        /// Why they cannot be read; none: nothing is known to be wrong.
        why: Option<Arc<str>>,
    },
    /// They have no position, or one that a removed plan has left.
    Nothing,
    /// The last position that passed its gates, or that traffic went back to.
    Position(Arc<Journal>),
    /// What they say cannot be read.
    Unreadable(JournalError),
}

impl Noted {
    /// They were not asked.
    pub const UNASKED: Self = Self::Unknown { since: None, why: None };

    /// What the text of a position says.
    pub fn of(text: &str) -> Self {
        Journal::decode(text).map_or_else(Self::Unreadable, |journal| Self::Position(Arc::new(journal)))
    }

    /// The same, where a position of other objects than this plan's is none: its name may have been another's before.
    pub fn of_plan(self, owner: &Owner, plan: &Plan) -> Self {
        let same = |journal: &Journal| {
            let (there, here) = (&journal.state.routing, &plan.routing);
            let objects = there.namespace == here.namespace && there.virtual_service.name == here.virtual_service.name;
            journal.owner == *owner && objects && there.service == here.service
        };
        match self {
            Self::Position(journal) if !same(&journal) || matches!(journal.phase, Phase::Released { .. }) => {
                Self::Nothing
            }
            own => own,
        }
    }

    /// The position to go on from, where there is one.
    ///
    /// # Errors
    /// Where it is not known whether there is one, or where it cannot be read: it is never guessed over.
    pub(super) fn position(&self) -> Result<Option<Arc<Journal>>, Reason> {
        match self {
            Self::Nothing => Ok(None),
            Self::Position(journal) => Ok(Some(journal.clone())),
            Self::Unknown { since, why } => Err(Reason::NotesUnknown { since: *since, why: why.clone() }),
            Self::Unreadable(JournalError::Newer(version)) => Err(Reason::JournalNewer { version: *version }),
            Self::Unreadable(error) => Err(Reason::NoteUnreadable { detail: error.to_string() }),
        }
    }

    /// The same for a route that is live and whose journal is lost: another document's position would move what nobody
    /// asked to move, so it does not count.
    pub(super) fn position_of(&self, plan: &Plan) -> Result<Option<Arc<Journal>>, Reason> {
        let position = self.position()?;
        Ok(position.filter(|journal| journal.plan.digest == plan.digest))
    }
}
