//! What a worker has rendered last, so that it is neither rendered nor read a second time: the journal's text, and the
//! way back.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    istio::lens,
    rollout::{JOURNAL, Journal, JournalError, State},
};

use super::held::Held;

/// The patch that leads a spec to a state; none where it would be too large.
#[derive(Clone)]
pub(super) struct LedBack {
    pub(super) spec: Value,
    pub(super) to: State,
    pub(super) patch: Option<String>,
}

impl Held {
    /// The journal's text, as its annotation has it.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`] where it cannot be written down.
    pub(super) fn write_down(&mut self, journal: &Arc<Journal>) -> Result<Arc<str>, JournalError> {
        if let Some((_, text)) = self.written_down.as_deref().filter(|(written, _)| written == journal) {
            return Ok(text.clone());
        }
        let Some(text) = journal.encode_in_full()? else { return journal.encode().map(Arc::from) };
        let text: Arc<str> = text.into();
        self.written_down = Some(Box::new((journal.clone(), text.clone())));
        Ok(text)
    }
}

/// The journal of an object that was held as `before`, with the journal `known`: most changes leave it as it was, or make
/// it the one that was written down.
pub(super) fn read(
    known: Option<&Arc<Journal>>,
    written_down: Option<&(Arc<Journal>, Arc<str>)>,
    before: Option<&Value>,
    live: &Value,
) -> Option<Result<Arc<Journal>, JournalError>> {
    let text = lens::annotation(live, JOURNAL)?;
    let before = before.and_then(|before| lens::annotation(before, JOURNAL));
    let known = known.filter(|_| before == Some(text));
    let known = known.or(written_down.filter(|(_, written)| **written == *text).map(|(journal, _)| journal));
    Some(known.map_or_else(|| Journal::decode(text).map(Arc::new), |known| Ok(known.clone())))
}
