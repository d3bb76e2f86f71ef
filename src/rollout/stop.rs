//! The stop annotation: which one stands, which one was answered, and when it has done its work.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::istio::lens;

use super::{Cause, Journal, Phase, Reason, STOP, World, drift, gates, restore};

/// What is read of an annotation's text: it goes into the journal several times.
const TEXT_CHARS_MAX: usize = 200;

/// A stop that moves nothing any more: traffic went back for it, or it stood before the document came into force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Its text.
    pub text: String,
    /// Whether Git asks for no more than what it led to, so that it is taken off wherever it stands.
    #[serde(default)]
    pub lift: bool,
}

/// The text of an object's stop annotation, in one line.
pub fn on(object: &Value) -> Option<String> {
    let text = lens::annotation(object, STOP)?;
    let text: String = text.chars().take(TEXT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    Some(text.trim().to_owned())
}

/// The text of a stop that stands in any cluster and is not being taken off.
pub(super) fn standing(world: &World, journal: &Journal) -> Option<String> {
    let lifted = |text: &String| journal.stop.as_ref().is_some_and(|stop| stop.lift && stop.text == *text);
    let live = world.clusters.values().filter_map(|view| view.virtual_service.as_deref());
    live.filter_map(on).find(|text| !lifted(text))
}

/// A stop as of the cluster in which it stands, unless it stands in all: there it is to be taken off.
pub(super) fn placed(world: &World, reason: Reason) -> Reason {
    let Reason::Stopped { text } = &reason else { return reason };
    let stands = |view: &super::ClusterView| view.virtual_service.as_deref().and_then(on).as_ref() == Some(text);
    let first = world.clusters.iter().find(|(_, view)| stands(view)).map(|(name, _)| name);
    match first.filter(|_| !world.clusters.values().all(stands)) {
        Some(cluster) => reason.of(cluster),
        None => reason,
    }
}

/// Forgets the answered stop once no cluster has it any more: the same words may be meant anew then.
pub(super) fn forget(world: &World, journal: &mut Journal) {
    let Some(stop) = &journal.stop else { return };
    let gone = |view: &super::ClusterView| {
        view.away_since.is_none()
            && view.virtual_service.as_deref().is_none_or(|live| on(live).as_ref() != Some(&stop.text))
    };
    if world.clusters.values().all(gone) {
        journal.stop = None;
    }
}

/// Whether the plan asks for the very state that a stop would go back to.
fn leads_back(world: &World, journal: &Journal) -> bool {
    gates::refuge(world, journal).is_some_and(|refuge| restore::asks_for(&journal.plan, &refuge.state))
}

/// Why a person wants traffic back: by the annotation, or by lowering what is not proven.
pub(super) fn wanted(world: &World, journal: &Journal, stop: Option<&str>) -> Option<Cause> {
    if journal.is_settled() {
        return None;
    }
    let new = stop.filter(|text| journal.stop.as_ref().is_none_or(|answered| answered.text != *text));
    match new {
        // Nothing was raised: it does not begin, or goes on to where a way back would lead.
        Some(_) if matches!(journal.phase, Phase::Starting) || leads_back(world, journal) => None,
        Some(text) => Some(Cause::Stop(text.to_owned())),
        None => drift::lowered(world, journal).map(Cause::LoweredByHand),
    }
}

/// Notes in a journal that has just taken in another document that the standing stop is not about it, and whether the
/// document asks for no more than what the stop led to.
pub(super) fn outlives(journal: &mut Journal, before: &Journal, stop: Option<&str>) {
    // What is open is still to be taken back.
    let Some(text) = stop.filter(|_| !before.is_raised()) else { return };
    let led_back = matches!(before.phase, Phase::WentBack { cause: Cause::Stop(_) });
    let lift = led_back && journal.plan.traffic == before.state.traffic;
    journal.stop = Some(Answered { text: text.to_owned(), lift });
}
