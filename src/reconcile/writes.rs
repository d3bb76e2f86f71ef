//! The writes that wait until it is their turn in a cluster.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::oneshot;

use crate::{
    cluster,
    istio::{Change, Edit, ObjectKind},
    plan::ObjectKey,
};

/// Records that are under way before nothing new is begun.
const RECORDS_MAX: usize = 1_024;

/// The writes that wait or are under way, in all clusters.
#[derive(Debug, Default)]
pub(super) struct Writes {
    beginnings: usize,
    records: usize,
    /// The records that wait, by worker: they go on as traffic where traffic waits for their answer.
    waiting: HashMap<ObjectKey, Vec<oneshot::Sender<()>>>,
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
    pub(super) fn begin(&mut self, turns: Arc<cluster::Turns>, worker: &ObjectKey, edit: &Edit) -> Queued {
        if edit.moves_traffic() {
            self.beginnings += usize::from(!completes(edit));
            return Queued { turns, kind: edit.kind, urgent: None };
        }
        let (sender, receiver) = oneshot::channel();
        self.records += 1;
        self.waiting.entry(worker.clone()).or_default().push(sender);
        Queued { turns, kind: edit.kind, urgent: Some(receiver) }
    }

    /// Takes in that a worker's edit was answered.
    pub(super) fn ended(&mut self, worker: &ObjectKey, edit: &Edit) {
        if edit.moves_traffic() {
            self.beginnings -= usize::from(!completes(edit));
            return;
        }
        self.records -= 1;
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

    /// Whether so many are under way that nothing more is begun: each holds a whole object.
    pub(super) fn are_many(&self, clusters: usize) -> bool {
        self.beginnings >= 2 * cluster::TRAFFIC_MAX * clusters.max(1) || self.records >= RECORDS_MAX
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
            let mut turn = Box::pin(writes.begin(turns.clone(), &key(), &journal).turn());
            match poll!(&mut turn) {
                Poll::Ready(turn) => taken.push(turn),
                Poll::Pending => break turn,
            }
        };
        writes.hurry(&key());
        assert!(poll!(&mut waiting).is_ready());
        assert_eq!(writes.records, taken.len() + 1);
        for _ in 0..=taken.len() {
            writes.ended(&key(), &journal);
        }
        assert_eq!((writes.records, writes.waiting.len()), (0, 0));
    }

    #[tokio::test]
    async fn only_beginnings_and_a_flood_of_records_hold_back_what_waits() {
        let (mut writes, turns) = (Writes::default(), Arc::new(cluster::Turns::default()));
        let weights = edit("/spec/http/0/route/0/weight");
        let route = Edit { change: Change::Create(json!({})), ..weights.clone() };
        let journal = edit("/metadata/annotations/tidegate.dev~1journal");
        for (edit, most) in [(&weights, 2 * cluster::TRAFFIC_MAX), (&journal, RECORDS_MAX)] {
            for _ in 0..most {
                assert!(!writes.are_many(1));
                drop(writes.begin(turns.clone(), &key(), &route));
                drop(writes.begin(turns.clone(), &key(), edit));
            }
            assert!(writes.are_many(1));
            for _ in 0..most {
                writes.ended(&key(), edit);
                writes.ended(&key(), &route);
            }
        }
        assert!(!writes.are_many(1));
    }
}
