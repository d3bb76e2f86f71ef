//! The end of a run: when one round is over, and what it left.

use crate::rollout::Reason;

use super::{
    Effect, Ending, Event, Worker,
    engine::{Engine, Incoming},
    namespaces::Namespace,
};

impl Engine {
    /// Whether Git, where there is one, and every cluster have been read.
    pub(super) fn is_informed(&self) -> bool {
        (self.is_guard() || self.tip.is_some() || self.view.git.refused.is_some())
            && self.fleet.awaited().all(|name| self.synced.contains(name))
    }

    /// Whether everything that is due now has been done: no answer is awaited, and nothing waits for the proxies to
    /// know a subset, and no commit is to be made now.
    pub(super) fn is_idle(&self) -> bool {
        self.is_informed()
            && self.in_flight == 0
            && self.backlog.is_empty()
            && !self.workers.values().any(Worker::is_busy)
            && self.restores_wake().is_none_or(|at| at > self.clock.now())
            && self.notes_rest()
    }

    /// Takes in the answer to a write that was under way when the end came; nothing new is begun.
    pub(super) fn last(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Written { worker, server, edit, outcome, .. } => {
                self.in_flight -= 1;
                let Some(cluster) = self.view.present(server) else { return };
                super::announce::log_outcome(&cluster, &edit, &outcome);
                let now = self.clock.now();
                let Some(worker) = self.workers.get_mut(&worker) else { return };
                // What the answer leads to is the next process's to do.
                let effects = worker.handle(Event::Written { cluster, kind: edit.kind, outcome }, now, &self.view);
                let journal = worker.journal().cloned();
                for effect in effects {
                    match effect {
                        Effect::Announce { cluster, news } => {
                            super::announce::log(&cluster, &edit.key, journal.as_deref(), &news);
                        }
                        Effect::Note(note) => self.note(*note),
                        _ => {}
                    }
                }
            }
            Incoming::Looked { .. } | Incoming::Writer { .. } | Incoming::Plain { .. } => self.in_flight -= 1,
            Incoming::Published { .. } | Incoming::Found { .. } => self.in_flight -= 1,
            Incoming::Noted { notes, ended } => self.noted(notes, ended),
            Incoming::Mirrored(server, mirrored) => {
                if let Some(cluster) = self.view.present(server) {
                    self.mirrored(&cluster, mirrored);
                }
            }
            Incoming::Namespace { server, namespace, .. } => {
                let asked = self.view.present(server).map(|cluster| (cluster, namespace));
                if asked.and_then(|place| self.view.namespaces.remove(&place)) == Some(Namespace::Asked) {
                    self.in_flight -= 1;
                }
            }
            Incoming::RetryPlain | Incoming::Restored { .. } | Incoming::Recalled { .. } => {}
            Incoming::Linked { .. } | Incoming::Unlinked { .. } => {}
        }
    }

    /// What the run leaves.
    pub(super) fn ending(&self) -> Ending {
        let mut waiting: Vec<(String, Reason)> = self
            .workers
            .iter()
            .filter_map(|(key, worker)| {
                let reason = worker.reason().filter(|reason| !matches!(reason, Reason::Settled | Reason::Released))?;
                let plan = self.catalog.entry(key).map_or_else(|| key.to_string(), |entry| entry.plan.key.to_string());
                Some((plan, reason.clone()))
            })
            .collect();
        waiting.sort_by(|one, two| one.0.cmp(&two.0));
        let mut unreached: Vec<String> = self.view.away.values().map(|away| away.why.clone()).collect();
        unreached.extend(self.git_error.iter().map(|error| format!("plan repository: {error}")));
        for name in self.fleet.names().filter(|name| !self.synced.contains(*name)) {
            if !self.view.away.contains_key(name) {
                unreached.push(format!("cluster {name}: its objects were not read in time"));
            }
        }
        unreached.sort();
        let files = self.files.clone().unwrap_or_default();
        let refused = self.view.git.refused.as_deref().map(str::to_owned);
        let (repository, findings) = (self.repository.clone(), self.catalog.findings().cloned().collect());
        Ending { repository, files, waiting, findings, refused, unreached }
    }
}
