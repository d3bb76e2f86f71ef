//! The label and annotations that tidegate puts on its objects.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    istio::{self, Marks},
    rollout::{Apply, JOURNAL, Journal, JournalError, MANAGED_BY, OWNER, STOP, WAY_BACK, stop_on},
};

use super::{held::Held, written::LedBack};

/// All annotations of an object may have 256 KiB, of which the journal may take 96.
const WAY_BACK_MAX_BYTES: usize = 64 * 1024;

pub(super) struct Both {
    pub(super) virtual_service: Marks,
    pub(super) destination_rule: Marks,
}

/// The marks of both objects.
///
/// # Errors
/// [`JournalError::TooLarge`] where the journal cannot be written down: then nothing may move.
pub(super) fn of(apply: &Apply, held: &mut Held) -> Result<Both, JournalError> {
    let journal = &apply.journal;
    let changed = apply.journal_changed || held.virtual_service().is_none();
    let text = if changed || apply.copy { Some(held.write_down(journal)?) } else { None };
    let mut route = marks(journal, text.as_deref().filter(|_| changed));
    route.annotations.insert(WAY_BACK.to_owned(), way_back(apply, held));
    let lifted = journal.stop.as_ref().filter(|stop| stop.lift).map(|stop| &stop.text);
    if lifted.is_some() && held.virtual_service().and_then(stop_on).as_ref() == lifted {
        route.annotations.insert(STOP.to_owned(), None);
    }
    Ok(Both { virtual_service: route, destination_rule: marks(journal, text.as_deref().filter(|_| apply.copy)) })
}

/// The patch with which a person goes back without tidegate, while a walk is open; none where it would be too large.
fn way_back(apply: &Apply, held: &mut Held) -> Option<String> {
    let journal = &apply.journal;
    let back = &journal.way_back.as_ref().filter(|_| journal.is_raised())?.state;
    let state = &journal.state;
    let written = istio::route_meant(held.virtual_service(), &state.routing, &state.traffic);
    let spec = written.get("spec").unwrap_or(&Value::Null);
    if let Some(last) = held.led_back.as_deref().filter(|last| last.to == *back && last.spec == *spec) {
        return last.patch.clone();
    }
    let patch = istio::way_back(&written, &back.routing, &back.traffic).map(|patch| patch.to_string());
    let patch = patch.filter(|text| text.len() <= WAY_BACK_MAX_BYTES);
    let spec = spec.clone();
    held.led_back = Some(Box::new(LedBack { spec, to: back.clone(), patch: patch.clone() }));
    patch
}

fn marks(journal: &Journal, text: Option<&str>) -> Marks {
    let mut annotations = BTreeMap::from([(OWNER.to_owned(), Some(journal.owner.to_string()))]);
    if let Some(text) = text {
        annotations.insert(JOURNAL.to_owned(), Some(text.to_owned()));
    }
    Marks { labels: BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())]), annotations }
}

/// Whether an object carries tidegate's label or names an owner.
pub(super) fn is_marked(object: &Value) -> bool {
    crate::rollout::is_marked(object)
}
