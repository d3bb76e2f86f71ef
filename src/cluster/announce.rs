//! Publishes Kubernetes Events about VirtualServices, without ever holding anybody up.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::Cluster;
use super::write::words;
use crate::istio::ObjectKind;
use crate::plan::ObjectKey;

/// As many as the first sync of a thousand plans leads to; half a kilobyte each.
const QUEUE_MAX: usize = 4_096;
const NOTE_BYTES_MAX: usize = 1_024;
const DEADLINE: Duration = Duration::from_secs(10);

/// One thing to tell whoever describes the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The object's kind.
    pub kind: ObjectKind,
    /// The object.
    pub key: ObjectKey,
    /// The object's uid; `kubectl describe` finds the event by it.
    pub uid: String,
    /// Whether somebody should look.
    pub warning: bool,
    /// A stable word in CamelCase, at most 128 characters.
    pub reason: &'static str,
    /// What tidegate did or tried, a word in CamelCase.
    pub action: &'static str,
    /// One sentence; cut at 1 kB.
    pub note: String,
    /// Whether repeats within minutes are one event with a count. It keeps the first one's note.
    pub folds: bool,
}

/// The queue of one cluster's events. The oldest are dropped when the API server does not keep up.
#[derive(Debug)]
pub struct Announcer {
    queue: Arc<Queue>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<VecDeque<Announcement>>,
    arrived: Notify,
    dropped: AtomicU64,
}

impl Announcer {
    /// Starts publishing for a cluster; `instance` tells several tidegates apart. Ends when dropped.
    pub fn start(cluster: &Cluster, instance: Option<String>) -> Self {
        let queue = Arc::new(Queue::default());
        let task = tokio::spawn(publish(cluster.clone(), instance, Arc::clone(&queue)));
        Self { queue, task }
    }

    /// Queues an event and returns at once.
    pub fn announce(&self, announcement: Announcement) {
        self.queue.push(announcement);
    }

    /// How many events were never published: dropped from a full queue, or refused by the server.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Ordering::Relaxed)
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Queue {
    fn push(&self, announcement: Announcement) {
        let mut waiting = self.waiting();
        if waiting.len() >= QUEUE_MAX && waiting.pop_front().is_some() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(announcement);
        self.arrived.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Announcement>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pop(&self) -> Option<Announcement> {
        let mut waiting = self.waiting();
        let next = waiting.pop_front();
        if waiting.is_empty() {
            // What a first sync needed is not kept.
            waiting.shrink_to(0);
        }
        next
    }

    async fn next(&self) -> Announcement {
        loop {
            match self.pop() {
                Some(announcement) => return announcement,
                None => self.arrived.notified().await,
            }
        }
    }
}

async fn publish(cluster: Cluster, instance: Option<String>, queue: Arc<Queue>) {
    let recorder = || {
        let reporter = Reporter { controller: "tidegate".into(), instance: instance.clone() };
        Recorder::new(cluster.client().clone(), reporter)
    };
    let turns = cluster.turns();
    // A recorder folds what differs in its note alone into a series: two steps of one walk would be one event.
    let folding = recorder();
    loop {
        let said = queue.next().await;
        let recorder = if said.folds { folding.clone() } else { recorder() };
        let about = ObjectReference {
            api_version: Some(cluster.istio_version().api_version().into()),
            kind: Some(said.kind.kind().into()),
            namespace: Some(said.key.namespace.clone()),
            name: Some(said.key.name.clone()),
            uid: Some(said.uid),
            ..ObjectReference::default()
        };
        let event = Event {
            type_: if said.warning { EventType::Warning } else { EventType::Normal },
            reason: said.reason.into(),
            note: Some(cut(said.note)),
            action: said.action.into(),
            secondary: None,
        };
        let _turn = turns.record().await;
        let failure = match tokio::time::timeout(DEADLINE, recorder.publish(&event, &about)).await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => words(&error),
            Err(_) => format!("no answer in {DEADLINE:?}"),
        };
        queue.dropped.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(cluster = cluster.name(), object = %said.key, reason = said.reason, failure, "event not published");
    }
}

/// Cuts a note to what the server takes, between characters.
fn cut(mut note: String) -> String {
    if note.len() > NOTE_BYTES_MAX {
        let end = (0..=NOTE_BYTES_MAX - '…'.len_utf8()).rev().find(|end| note.is_char_boundary(*end));
        note.truncate(end.unwrap_or_default());
        note.push('…');
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(note: &str) -> Announcement {
        let key = ObjectKey { namespace: "shop".into(), name: "web".into() };
        let (kind, uid) = (ObjectKind::VirtualService, String::new());
        Announcement {
            kind,
            key,
            uid,
            warning: false,
            reason: "Entered",
            action: "Raise",
            note: note.into(),
            folds: false,
        }
    }

    #[test]
    fn a_long_note_is_cut_between_characters() {
        let cut_note = cut("ü".repeat(2_000));
        assert!(cut_note.len() <= NOTE_BYTES_MAX && cut_note.len() > NOTE_BYTES_MAX - 4);
        assert!(cut_note.ends_with("ü…"));
        assert_eq!(cut("short".into()), "short");
    }

    #[tokio::test]
    async fn a_full_queue_drops_the_oldest_and_counts_it() {
        let queue = Queue::default();
        (0..QUEUE_MAX + 3).for_each(|index| queue.push(said(&index.to_string())));
        assert_eq!(queue.dropped.load(Ordering::Relaxed), 3);
        assert_eq!(queue.next().await.note, "3");
    }
}
