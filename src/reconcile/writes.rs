//! The writes that wait until it is their turn in a cluster.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    cluster,
    istio::{Change, Edit, ObjectKind},
    plan::ObjectKey,
    rollout::ClusterName,
};

/// Records that are under way, in all clusters, before nothing new is begun.
const RECORDS_MAX: usize = 1_024;
/// Beginnings of a cluster that are under way before nothing new is begun.
const BEGINNINGS_MAX: usize = 2 * cluster::TRAFFIC_MAX;
/// How many shares of writes are held in all, however they are spread over the clusters.
const CROWD: usize = 4;

/// The writes that wait or are under way, by cluster: one that does not get on with its own holds back no other's.
#[derive(Debug, Default)]
pub(super) struct Writes {
    lines: HashMap<ClusterName, Line>,
    /// The records that wait, by worker: they go on as traffic where traffic waits for their answer.
    waiting: HashMap<ObjectKey, Vec<oneshot::Sender<()>>>,
}

/// What waits or is under way in one cluster.
#[derive(Debug, Default)]
struct Line {
    beginnings: usize,
    records: usize,
}

/// A write in the line of a cluster.
#[derive(Debug)]
pub(super) struct Queued {
    turns: Arc<cluster::Turns>,
    kind: ObjectKind,
    /// Tells a record that it is urgent; none for traffic.
    urgent: Option<oneshot::Receiver<()>>,
}

/// Whether an edit creates a route: it comes seconds after its rule, which was a beginning.
fn completes(edit: &Edit) -> bool {
    edit.kind == ObjectKind::VirtualService && matches!(edit.change, Change::Create(_))
}

impl Writes {
    /// Where a worker's edit waits for its turn; it is under way until [`Writes::ended`].
    pub(super) fn begin(
        &mut self,
        turns: Arc<cluster::Turns>,
        cluster: &str,
        worker: &ObjectKey,
        edit: &Edit,
    ) -> Queued {
        let line = self.lines.entry(cluster.to_owned()).or_default();
        if edit.moves_traffic() {
            line.beginnings += usize::from(!completes(edit));
            return Queued { turns, kind: edit.kind, urgent: None };
        }
        let (sender, receiver) = oneshot::channel();
        line.records += 1;
        self.waiting.entry(worker.clone()).or_default().push(sender);
        Queued { turns, kind: edit.kind, urgent: Some(receiver) }
    }

    /// Takes in that a worker's edit was answered.
    pub(super) fn ended(&mut self, cluster: &str, worker: &ObjectKey, edit: &Edit) {
        let Some(line) = self.lines.get_mut(cluster) else { return };
        if edit.moves_traffic() {
            line.beginnings -= usize::from(!completes(edit));
            return;
        }
        line.records -= 1;
        if let Some(waiting) = self.waiting.get_mut(worker) {
            waiting.retain(|sender| !sender.is_closed());
            if waiting.is_empty() {
                self.waiting.remove(worker);
            }
        }
    }

    /// Lets what waits for this worker go on as traffic does.
    pub(super) fn hurry(&mut self, worker: &ObjectKey) {
        for sender in self.waiting.remove(worker).unwrap_or_default() {
            // It is being written already.
            let _ = sender.send(());
        }
    }

    /// Whether so many are under way that nothing more is begun, as each holds a whole object: every cluster that answers
    /// has its share, or a few have those of all.
    pub(super) fn are_many<'a, I: Iterator<Item = &'a ClusterName>>(&self, clusters: impl Fn() -> I) -> bool {
        let answering = clusters().count();
        let count = answering.max(1);
        let records_max = RECORDS_MAX.div_ceil(count);
        let has_share = |line: &Line| line.beginnings >= BEGINNINGS_MAX || line.records >= records_max;
        let all = |of: fn(&Line) -> usize| self.lines.values().map(of).sum::<usize>();
        // Where none answers nothing is written, and what waits is only told.
        (answering > 0 && clusters().all(|name| self.lines.get(name).is_some_and(has_share)))
            || all(|line| line.beginnings) >= CROWD * count * BEGINNINGS_MAX
            || all(|line| line.records) >= CROWD * RECORDS_MAX
    }
}

impl Queued {
    /// Waits until it is this write's turn.
    pub(super) async fn turn(self) -> cluster::Turn {
        let Some(urgent) = self.urgent else { return self.turns.traffic(self.kind).await };
        tokio::select! {
            turn = self.turns.record() => turn,
            Ok(()) = urgent => self.turns.traffic(self.kind).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use futures::poll;
    use serde_json::json;

    use super::*;

    const EAST: &str = "east";

    fn key() -> ObjectKey {
        ObjectKey { namespace: "shop".into(), name: "checkout".into() }
    }

    fn edit(path: &str) -> Edit {
        let patch = json!([{"op": "test", "path": "/spec", "value": {}}, {"op": "add", "path": path, "value": "x"}]);
        Edit {
            kind: ObjectKind::VirtualService,
            key: key(),
            change: Change::Patch { patch: serde_json::from_value(patch).unwrap(), meant: json!({}) },
        }
    }

    #[tokio::test]
    async fn records_that_traffic_waits_for_are_urgent() {
        let (mut writes, turns) = (Writes::default(), Arc::new(cluster::Turns::default()));
        let journal = edit("/metadata/annotations/tidegate.dev~1journal");
        let mut taken = Vec::new();
        let mut waiting = loop {
            let mut turn = Box::pin(writes.begin(turns.clone(), EAST, &key(), &journal).turn());
            match poll!(&mut turn) {
                Poll::Ready(turn) => taken.push(turn),
                Poll::Pending => break turn,
            }
        };
        writes.hurry(&key());
        assert!(poll!(&mut waiting).is_ready());
        assert_eq!(writes.lines[EAST].records, taken.len() + 1);
        for _ in 0..=taken.len() {
            writes.ended(EAST, &key(), &journal);
        }
        assert_eq!((writes.lines[EAST].records, writes.waiting.len()), (0, 0));
    }

    #[tokio::test]
    async fn only_beginnings_and_a_flood_of_records_hold_back_what_waits() {
        let (mut writes, turns) = (Writes::default(), Arc::new(cluster::Turns::default()));
        let weights = edit("/spec/http/0/route/0/weight");
        let route = Edit { change: Change::Create(json!({})), ..weights.clone() };
        let journal = edit("/metadata/annotations/tidegate.dev~1journal");
        let here = [EAST.to_owned()];
        for (edit, most) in [(&weights, BEGINNINGS_MAX), (&journal, RECORDS_MAX)] {
            for _ in 0..most {
                assert!(!writes.are_many(|| here.iter()));
                drop(writes.begin(turns.clone(), EAST, &key(), &route));
                drop(writes.begin(turns.clone(), EAST, &key(), edit));
            }
            assert!(writes.are_many(|| here.iter()));
            for _ in 0..most {
                writes.ended(EAST, &key(), edit);
                writes.ended(EAST, &key(), &route);
            }
        }
        assert!(!writes.are_many(|| here.iter()));
    }

    #[test]
    fn a_cluster_that_does_not_get_on_holds_back_no_other_until_it_has_the_room_of_all() {
        let (mut writes, turns) = (Writes::default(), Arc::new(cluster::Turns::default()));
        let weights = edit("/spec/http/0/route/0/weight");
        let both = [EAST.to_owned(), "west".to_owned()];
        for _ in 0..2 * CROWD * BEGINNINGS_MAX - 1 {
            drop(writes.begin(turns.clone(), EAST, &key(), &weights));
        }
        assert!(!writes.are_many(|| both.iter()));
        drop(writes.begin(turns.clone(), EAST, &key(), &weights));
        assert!(writes.are_many(|| both.iter()), "memory has an end");
        for _ in 0..(2 * CROWD - 1) * BEGINNINGS_MAX {
            writes.ended(EAST, &key(), &weights);
        }
        assert!(!writes.are_many(|| both.iter()));
        for _ in 0..BEGINNINGS_MAX {
            drop(writes.begin(turns.clone(), "west", &key(), &weights));
        }
        assert!(writes.are_many(|| both.iter()), "each has its share");
    }
}
