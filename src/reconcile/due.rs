//! The next write that leads a cluster to its goal, and whether it may be sent now.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use crate::{
    istio::{self, Change, Edit, Marks, Next, ObjectKind, OrderView, Owned},
    rollout::{Apply, Goal, JOURNAL, Journal, JournalError, Proxies, Settings, Taken, exposes, is_ours},
};

use super::{held::Held, marks};

/// How long until it is looked again by itself whether the proxies have come along: they are watched, too.
const LOOK_AGAIN_MS: i64 = 5_000;

/// Whether an edit for which nothing was decided only puts back what somebody changed: this cluster had it before, and
/// no subset has become surplus.
pub(super) fn corrects(held: &Held, edit: &Edit, apply: &Apply) -> bool {
    match edit.kind {
        ObjectKind::VirtualService => !apply.journal_changed || held.lost(&apply.journal),
        ObjectKind::DestinationRule => held.stood(&apply.journal, apply.copy) && apply.remove_at.is_none(),
    }
}

/// Whether a write may be sent now, else when: what puts back drift from this journal may have to wait in a fight.
pub(super) fn may_write(
    held: &mut Held,
    edit: &Edit,
    corrected: Option<&Arc<Journal>>,
    now: Timestamp,
) -> Result<(), Timestamp> {
    held.may_write(edit, now)?;
    let Some(journal) = corrected else { return Ok(()) };
    let exposes = || exposes(journal, held.virtual_service(), held.destination_rule());
    match held.fights.due(edit.kind, exposes, now).filter(|due| *due > now) {
        Some(due) => {
            held.fights.wait(edit.kind);
            Err(due)
        }
        None => Ok(()),
    }
}

/// Whether it is to be asked first who made the change that the edit puts back.
pub(super) fn asks_writer(held: &Held, edit: &Edit, now: Timestamp) -> bool {
    matches!(edit.change, Change::Patch { .. }) && held.fights.wants_writer(edit.kind, now)
}

/// Whether the next write that leads to the goal moves traffic.
pub(super) fn moves_traffic(
    held: &mut Held,
    goal: &Goal,
    settings: &Settings,
    proxies: Option<&Proxies>,
    now: Timestamp,
) -> bool {
    matches!(next_edit(held, goal, settings, proxies, now), Ok(Next::Write(edit)) if edit.moves_traffic())
}

/// The next write that leads to the goal, if any.
pub(super) fn next_edit(
    held: &mut Held,
    goal: &Goal,
    settings: &Settings,
    proxies: Option<&Proxies>,
    now: Timestamp,
) -> Result<Next, JournalError> {
    Ok(match goal {
        Goal::Keep => Next::Nothing,
        Goal::Apply(apply) => {
            let marks = marks::of(apply, held)?;
            let Apply { journal, subsets, remove_at, .. } = apply;
            if apply.leave {
                return Ok(marks_alone(held, &marks));
            }
            let owned = Owned { subsets: journal.subsets.clone(), traffic_policy: journal.owns_traffic_policy };
            let next = istio::next(&OrderView {
                virtual_service: held.virtual_service(),
                destination_rule: held.destination_rule(),
                routing: &journal.state.routing,
                traffic: &journal.state.traffic,
                subsets,
                owned: &owned,
                route_marks: &marks.virtual_service,
                destination_marks: &marks.destination_rule,
                rule_taken_ms: rule_taken(held, journal, settings, proxies, now).as_millisecond(),
                now_ms: now.as_millisecond(),
                convergence_wait_ms: settings.convergence_wait_ms,
                may_remove: remove_at.is_some_and(|at| at <= now),
                route_late: held.late.route,
                leaving: &held.late.leaving,
            });
            match &next {
                Next::Write(edit) if edit.kind == ObjectKind::DestinationRule => {
                    record(held, apply)?.map_or(next, Next::Write)
                }
                _ => next,
            }
        }
        Goal::Prune => prune(held, settings, proxies, now),
    })
}

/// When the proxies have the DestinationRule, or when to look again whether they have. A way back does not wait for them
/// longer than where nobody can be asked (law 3).
fn rule_taken(
    held: &Held,
    journal: &Journal,
    settings: &Settings,
    proxies: Option<&Proxies>,
    now: Timestamp,
) -> Timestamp {
    let stated = later(held.subsets_seen().unwrap_or(now), settings.convergence_wait_ms);
    match proxies.map(|proxies| &proxies.rule) {
        None => stated,
        Some(Taken::Since(at)) => *at,
        Some(_) if journal.rising.is_empty() => stated,
        Some(_) => later(now, LOOK_AGAIN_MS),
    }
}

/// What of the DestinationRule is to be tidegate's is on record before it is there: where a crash or another commit comes
/// between, it would else be nobody's, and stay.
fn record(held: &mut Held, apply: &Apply) -> Result<Option<Edit>, JournalError> {
    let (Some(Ok(standing)), Some(_)) = (&held.journal, held.virtual_service()) else { return Ok(None) };
    let defined: BTreeSet<&str> =
        held.destination_rule().map(|rule| istio::lens::subsets(rule).collect()).unwrap_or_default();
    let names = apply.subsets.iter().map(|version| &version.name);
    let fresh = names.filter(|name| !standing.subsets.contains(*name) && !defined.contains(name.as_str()));
    let mut journal = Journal::clone(standing);
    journal.subsets.extend(fresh.cloned());
    journal.owns_traffic_policy |= apply.journal.owns_traffic_policy;
    if journal == **standing {
        return Ok(None);
    }
    let text = held.write_down(&Arc::new(journal))?;
    let annotations = BTreeMap::from([(JOURNAL.to_owned(), Some(text.as_ref().to_owned()))]);
    let marks = Marks { labels: BTreeMap::new(), annotations };
    Ok(held.virtual_service().and_then(|live| istio::marks_edit(ObjectKind::VirtualService, live, &marks)))
}

/// The next write of marks that are missing, where the spec is left as it stands.
fn marks_alone(held: &Held, marks: &marks::Both) -> Next {
    let edit = |kind, live: Option<&serde_json::Value>, marks| istio::marks_edit(kind, live?, marks);
    edit(ObjectKind::VirtualService, held.virtual_service(), &marks.virtual_service)
        .or_else(|| edit(ObjectKind::DestinationRule, held.destination_rule(), &marks.destination_rule))
        .map_or(Next::Nothing, Next::Write)
}

fn prune(held: &Held, settings: &Settings, proxies: Option<&Proxies>, now: Timestamp) -> Next {
    if let Some(live) = held.virtual_service() {
        return istio::delete_edit(ObjectKind::VirtualService, live).map_or(Next::Nothing, Next::Write);
    }
    let Some(live) = held.destination_rule().filter(|live| is_ours(live)) else { return Next::Nothing };
    let left = match proxies.map(|proxies| &proxies.route) {
        None => held.gone_at(),
        Some(Taken::Since(at)) => held.gone_at().map(|gone| gone.max(*at)),
        Some(_) => held.gone_at().map(|_| later(now, LOOK_AGAIN_MS)),
    };
    match left.map(|at| later(at, settings.convergence_wait_ms)) {
        Some(until) if until > now => {
            Next::Wait { until_ms: until.as_millisecond(), what: "the proxies to leave the subsets" }
        }
        _ => istio::delete_edit(ObjectKind::DestinationRule, live).map_or(Next::Nothing, Next::Write),
    }
}

fn later(at: Timestamp, ms: i64) -> Timestamp {
    at.checked_add(SignedDuration::from_millis(ms)).unwrap_or(Timestamp::MAX)
}
