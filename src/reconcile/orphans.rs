//! Objects of this repository that no plan asks for any more: plans that were removed while nobody looked.

use crate::{
    git,
    plan::{ObjectKey, Severity},
    rollout::{Journal, Wanted},
};

use super::{Event, engine::Engine};

impl Engine {
    /// Takes up the routes of this repository before Git was read: stop, drift and lost endpoints wait for no Git host
    /// (law 3). Nothing rises until it is.
    pub(super) fn take_up(&mut self) {
        if self.tip.is_some() {
            return;
        }
        let prefix = self.owners();
        let keys: Vec<ObjectKey> = self.objects.owned_by(&prefix).map(|(key, _)| key.clone()).collect();
        for key in keys.into_iter().filter(|key| !self.workers.contains_key(key)).collect::<Vec<_>>() {
            self.hand(&key, Event::Wanted(Wanted::Unknown));
        }
    }

    /// Finds them, once both Git and the clusters were read. Where a finding stands in the way, what is live keeps its
    /// worker, which knows no wish of Git: it goes back and puts drift back, and raises nothing.
    pub(super) fn find_orphans(&mut self) {
        let Some(tip) = self.tip.clone().filter(|_| self.all_synced()) else { return };
        let prefix = format!("{}/", self.repository);
        let ours = self.objects.owned_by(&prefix);
        let unasked = ours.filter(|(key, _)| self.catalog.entry(key).is_none());
        let (orphans, strangers): (Vec<_>, Vec<_>) = unasked
            .map(|(key, packed)| (key.clone(), packed.unpacked().as_deref().and_then(Journal::on).and_then(Result::ok)))
            .partition(|(_, journal)| journal.as_ref().is_none_or(|journal| self.followed(&journal.revision.commit)));
        for (key, _) in strangers {
            // Another repository of the same name, perhaps: its plans are not removed plans of this one.
            self.dismiss(&key);
            tracing::warn!(route = %key, "its plan comes from a commit that this repository does not have; it is left alone");
        }
        let orphans: Vec<ObjectKey> = orphans.into_iter().map(|(key, _)| key).collect();
        let living = self.catalog.entries().count();
        let many = orphans.len() > 10 || (orphans.len() + living >= 4 && orphans.len() > living);
        let allowed = !many || self.allow_removal.is_some_and(|allowed| allowed >= orphans.len());
        if !allowed {
            let count = orphans.len();
            tracing::warn!(
                count,
                "more plans are gone than a commit may remove; they stay until a commit says `Tidegate-Allow-Removal: {count}`"
            );
        }
        // A plan that a finding keeps out of force is not a plan that is gone.
        let sound = self.catalog.findings().all(|finding| finding.severity != Severity::Error);
        let removed = allowed && sound;
        for key in orphans {
            let wanted =
                if removed { Wanted::Removed { revision: tip.clone(), elsewhere: false } } else { Wanted::Unknown };
            self.hand(&key, Event::Wanted(wanted));
        }
    }

    fn followed(&self, commit: &str) -> bool {
        git::holds_commit(&self.mirror, commit)
    }
}
