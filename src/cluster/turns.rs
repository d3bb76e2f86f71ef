//! Whose turn it is to write: what moves traffic does not wait behind what only tells that it moved.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

use crate::istio::ObjectKind;

/// Writes of routes, and of their rules, that are under way at once in one cluster, where its configuration says no less.
pub const TRAFFIC_MAX: usize = 32;

/// Writes of records that are under way at once in one cluster.
const RECORDS_MAX: usize = 8;

/// The cluster is busy with traffic from so many writes on.
const BUSY: usize = TRAFFIC_MAX / 2;

/// How long one record lets traffic go first, the others behind it: a busy cluster still gets twenty a second.
const COURTESY: Duration = Duration::from_millis(50);

/// The turns of the writes to one cluster, each kind first come, first served. A route is written seconds after its
/// rule, so a first sync ends soonest where rules do not wait behind routes. Records (journals, copies of them, Events)
/// let both go first.
#[derive(Debug)]
pub struct Turns {
    routes: Arc<Semaphore>,
    rules: Arc<Semaphore>,
    records: Arc<Semaphore>,
    courteous: Mutex<()>,
    under_way: watch::Sender<usize>,
}

/// A turn; it ends when dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: Option<OwnedSemaphorePermit>,
    traffic: Option<watch::Sender<usize>>,
}

impl Default for Turns {
    fn default() -> Self {
        Self::of(TRAFFIC_MAX)
    }
}

impl Turns {
    /// The turns of a cluster that takes so many writes of each kind at once.
    pub fn of(writes: usize) -> Self {
        Self {
            routes: Arc::new(Semaphore::new(writes)),
            rules: Arc::new(Semaphore::new(writes)),
            records: Arc::new(Semaphore::new(RECORDS_MAX.min(writes))),
            courteous: Mutex::default(),
            under_way: watch::Sender::new(0),
        }
    }

    /// Waits for a turn to change what traffic does.
    pub async fn traffic(&self, kind: ObjectKind) -> Turn {
        let turns = match kind {
            ObjectKind::VirtualService => &self.routes,
            ObjectKind::DestinationRule => &self.rules,
        };
        let permit = turns.clone().acquire_owned().await.ok();
        self.under_way.send_modify(|count| *count += 1);
        Turn { _permit: permit, traffic: Some(self.under_way.clone()) }
    }

    /// Waits for a turn to record what happened.
    pub async fn record(&self) -> Turn {
        let permit = self.records.clone().acquire_owned().await.ok();
        let courteous = self.courteous.lock().await;
        let mut under_way = self.under_way.subscribe();
        // Out of patience is as good a reason to begin as a calm cluster.
        let _ = timeout(COURTESY, under_way.wait_for(|count| *count < BUSY)).await;
        drop(courteous);
        Turn { _permit: permit, traffic: None }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(under_way) = &self.traffic {
            under_way.send_modify(|count| *count -= 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use futures::{FutureExt as _, poll};

    use super::*;

    fn traffic(turns: &Turns, kind: ObjectKind, count: usize) -> Vec<Turn> {
        (0..count).map(|_| turns.traffic(kind).now_or_never().expect("a turn is free")).collect()
    }

    #[tokio::test]
    async fn records_let_traffic_go_first_but_not_for_ever() {
        let turns = Turns::default();
        let _busy = traffic(&turns, ObjectKind::VirtualService, BUSY);
        let begin = Instant::now();
        drop((turns.record().await, turns.record().await));
        assert!(begin.elapsed() >= 2 * COURTESY);
    }

    #[tokio::test]
    async fn a_cluster_that_takes_few_gets_few() {
        let turns = Turns::of(2);
        let _routes = traffic(&turns, ObjectKind::VirtualService, 2);
        assert!(turns.traffic(ObjectKind::VirtualService).now_or_never().is_none());
        let records: Vec<Turn> = (0..RECORDS_MAX).filter_map(|_| turns.record().now_or_never()).collect();
        assert_eq!(records.len(), 2);
    }

    #[tokio::test]
    async fn records_begin_as_soon_as_the_cluster_is_calm() {
        let turns = Turns::default();
        let mut busy = traffic(&turns, ObjectKind::DestinationRule, BUSY);
        let mut record = Box::pin(turns.record());
        assert!(poll!(&mut record).is_pending());
        busy.pop();
        assert!(poll!(&mut record).is_ready());
        assert!(turns.record().now_or_never().is_some());
    }

    #[tokio::test]
    async fn rules_do_not_wait_behind_routes_nor_either_behind_records() {
        let turns = Turns::default();
        let records: Vec<Turn> = (0..RECORDS_MAX).filter_map(|_| turns.record().now_or_never()).collect();
        assert_eq!(records.len(), RECORDS_MAX);
        assert!(turns.record().now_or_never().is_none(), "the turns of records are taken");
        let _routes = traffic(&turns, ObjectKind::VirtualService, TRAFFIC_MAX);
        assert!(turns.traffic(ObjectKind::VirtualService).now_or_never().is_none(), "those of routes, too");
        let _rules = traffic(&turns, ObjectKind::DestinationRule, TRAFFIC_MAX);
    }
}
