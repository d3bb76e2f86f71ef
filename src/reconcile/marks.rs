//! The label and annotations that tidegate puts on its objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    istio::{self, Marks},
    rollout::{Apply, JOURNAL, Journal, JournalError, MANAGED_BY, OWNER, STOP, SUBSETS, WAY_BACK, stop_on},
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
    let mut rule = marks(journal, text.as_deref().filter(|_| apply.copy));
    early_subsets(&mut rule, apply, held);
    Ok(Both { virtual_service: route, destination_rule: rule })
}

/// The subsets that a DestinationRule gets before there is a VirtualService whose journal can name them as tidegate's
/// own: where a crash comes between, they would else be nobody's, and stay. The copy of the journal names them, too.
fn early_subsets(marks: &mut Marks, apply: &Apply, held: &Held) {
    if held.virtual_service().is_some() {
        if apply.copy {
            marks.annotations.insert(SUBSETS.to_owned(), None);
        }
        return;
    }
    let rule = held.destination_rule();
    let defined: BTreeSet<&str> = rule.map(|rule| istio::lens::subsets(rule).collect()).unwrap_or_default();
    let named = rule.and_then(|rule| istio::lens::annotation(rule, SUBSETS)).unwrap_or_default();
    let named = named.split(',').filter(|name| !name.is_empty());
    let added = apply.subsets.iter().map(|version| version.name.as_str()).filter(|name| !defined.contains(name));
    let names: Vec<&str> = named.chain(added).collect::<BTreeSet<_>>().into_iter().collect();
    if !names.is_empty() {
        marks.annotations.insert(SUBSETS.to_owned(), Some(names.join(",")));
    }
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
