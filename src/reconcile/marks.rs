//! The label and annotations that tidegate puts on its objects.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    istio::Marks,
    rollout::{Apply, JOURNAL, Journal, JournalError, MANAGED_BY, OWNER},
};

use super::held::Held;

pub(super) struct Both {
    pub(super) virtual_service: Marks,
    pub(super) destination_rule: Marks,
}

/// The marks of both objects.
///
/// # Errors
/// [`JournalError::TooLarge`] where the journal cannot be written down: then nothing may move.
pub(super) fn of(apply: &Apply, held: &Held) -> Result<Both, JournalError> {
    let journal = &apply.journal;
    let text = if apply.journal_changed || held.virtual_service().is_none() || apply.copy {
        Some(journal.encode()?)
    } else {
        None
    };
    let changed = apply.journal_changed || held.virtual_service().is_none();
    Ok(Both {
        virtual_service: marks(journal, text.clone().filter(|_| changed)),
        destination_rule: marks(journal, text.filter(|_| apply.copy)),
    })
}

fn marks(journal: &Journal, text: Option<String>) -> Marks {
    let mut annotations = BTreeMap::from([(OWNER.to_owned(), Some(journal.owner.to_string()))]);
    if let Some(text) = text {
        annotations.insert(JOURNAL.to_owned(), Some(text));
    }
    Marks { labels: BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())]), annotations }
}

/// Whether an object carries tidegate's label or names an owner.
pub(super) fn is_marked(object: &Value) -> bool {
    crate::rollout::is_marked(object)
}
