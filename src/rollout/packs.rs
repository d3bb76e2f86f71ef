//! The compressed part of the journals that were read or written last: through a whole walk it stays what it is, and
//! packing it costs more than all the rest of a journal.

use std::{cell::RefCell, collections::VecDeque, sync::Arc};

use crate::plan::{Plan, Routing};

/// A few, for the plans that walk just now; none is kept for what stands.
const KEPT: usize = 4;

thread_local!(static LAST: RefCell<VecDeque<Pack>> = const { RefCell::new(VecDeque::new()) });

/// A plan with the routings of its journal, and the text that they are packed to.
#[derive(Clone)]
pub(super) struct Pack {
    pub(super) plan: Arc<Plan>,
    pub(super) routings: Vec<Arc<Routing>>,
    pub(super) text: Arc<str>,
}

/// The text of these, from `pack` where it is not one of the last.
pub(super) fn text<E>(
    plan: &Arc<Plan>,
    routings: &[&Arc<Routing>],
    pack: impl FnOnce() -> Result<String, E>,
) -> Result<Arc<str>, E> {
    let same = |one: &Arc<Routing>, other: &Arc<Routing>| Arc::ptr_eq(one, other) || one == other;
    let is_it = |last: &Pack| {
        (Arc::ptr_eq(&last.plan, plan) || last.plan == *plan)
            && last.routings.len() == routings.len()
            && last.routings.iter().zip(routings).all(|(one, other)| same(one, other))
    };
    if let Some(last) = find(is_it) {
        return Ok(last.text);
    }
    let text: Arc<str> = pack()?.into();
    let routings = routings.iter().map(|routing| Arc::clone(routing)).collect();
    keep(Pack { plan: plan.clone(), routings, text: text.clone() });
    Ok(text)
}

/// What the text is of, from `unpack` where it is not one of the last.
pub(super) fn of<E>(text: &str, unpack: impl FnOnce() -> Result<(Plan, Vec<Routing>), E>) -> Result<Pack, E> {
    if let Some(last) = find(|last| *last.text == *text) {
        return Ok(last);
    }
    let (plan, routings) = unpack()?;
    let routings = routings.into_iter().map(Arc::new).collect();
    let pack = Pack { plan: Arc::new(plan), routings, text: text.into() };
    keep(pack.clone());
    Ok(pack)
}

fn find(is_it: impl Fn(&Pack) -> bool) -> Option<Pack> {
    LAST.with_borrow(|last| last.iter().find(|last| is_it(last)).cloned())
}

fn keep(pack: Pack) {
    LAST.with_borrow_mut(|last| {
        last.truncate(KEPT - 1);
        last.push_front(pack);
    });
}
