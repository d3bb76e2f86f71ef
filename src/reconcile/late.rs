//! Writes that may still be done though nobody waits for them any more: those whose answer was lost, and those of the
//! process before.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    istio::{self, Edit, ObjectKind, lens},
    plan::VersionName,
    rollout::{Journal, is_ours},
};

use super::worker::Live;

/// What may still be done to the two objects as they were last seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Late {
    /// Whether the VirtualService may still be written.
    pub(super) route: bool,
    /// The subsets that may still be taken away or defined otherwise.
    pub(super) leaving: BTreeSet<VersionName>,
    /// Whether the DestinationRule may still be written by this process.
    pub(super) rule: bool,
    met: bool,
}

impl Late {
    /// An object was seen after it had been seen as `before`: another resourceVersion ends what was sent for the former.
    pub(super) fn saw(&mut self, kind: ObjectKind, before: Option<&Value>, live: &Live) {
        if before.and_then(lens::resource_version) != live.as_deref().and_then(lens::resource_version) {
            match kind {
                ObjectKind::VirtualService => self.route = false,
                ObjectKind::DestinationRule => {
                    self.leaving.clear();
                    self.rule = false;
                }
            }
        }
    }

    /// Both objects are seen for the first time: a process before may have sent anything that their journal leads to.
    pub(super) fn meet(&mut self, route: Option<&Value>, rule: Option<&Value>, journal: Option<&Journal>) {
        if std::mem::replace(&mut self.met, true) {
            return;
        }
        self.route = route.is_some();
        let Some(rule) = rule.filter(|rule| is_ours(rule)) else { return };
        self.leaving = match journal {
            Some(journal) => istio::left_out(rule, &journal.kept_subsets(), &journal.subsets),
            None => istio::left_out(rule, &[], &istio::lens::subsets(rule).map(VersionName::new).collect()),
        };
    }

    /// The answer to a write was lost, and its object was last seen as `live`.
    pub(super) fn lost(&mut self, edit: &Edit, live: Option<&Value>) {
        if !istio::can_land(edit, live) {
            return;
        }
        match (edit.kind, live) {
            (ObjectKind::VirtualService, _) => self.route = true,
            (ObjectKind::DestinationRule, live) => {
                self.rule = true;
                self.leaving.extend(live.map(|live| istio::broken_by(edit, live)).unwrap_or_default());
            }
        }
    }
}
