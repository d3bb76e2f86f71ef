//! How large a journal may become, told without writing it down.

use std::collections::BTreeSet;

use crate::plan::{Revision, Traffic, VersionName};

use super::{
    Apart, ClusterName, FailedKey, Images, JOURNAL_MAX_BYTES, Journal, JournalError, Owner, Settled, State, Transition,
};

/// What one entry takes beside its texts at most, in bytes: field names, digests and instants.
const ENTRY_BYTES: usize = 320;
impl Journal {
    /// Whether it can be written down. Most times that is told without writing it.
    ///
    /// # Errors
    /// As [`Journal::encode`].
    pub(super) fn fits(&self) -> Result<(), JournalError> {
        if self.bytes_at_most()? <= JOURNAL_MAX_BYTES { Ok(()) } else { self.encode().map(drop) }
    }

    /// No fewer bytes than the text has: each letter may be escaped, and each entry has its marks and instants.
    fn bytes_at_most(&self) -> Result<usize, JournalError> {
        let name = |name: &VersionName| ENTRY_BYTES + 6 * name.as_str().len();
        let weights = |traffic: &Traffic| traffic.iter().map(|(version, _)| name(version)).sum::<usize>();
        let revision = |revision: &Revision| ENTRY_BYTES + 6 * (revision.branch.len() + revision.commit.len());
        let settled = |settled: &Settled| {
            ENTRY_BYTES + weights(&settled.state.traffic) + settled.revision.as_ref().map_or(0, revision)
        };
        let running = |(version, images): (&VersionName, &Images)| name(version) + images.bytes_at_most();
        let failed = |key: &FailedKey| {
            let versions = key.versions.keys().map(name).sum::<usize>();
            ENTRY_BYTES + weights(&key.target) + versions + key.images.iter().map(running).sum::<usize>()
        };
        let proven = self.proof.values().flat_map(|proof| [&proof.images, &proof.seen]).flatten();
        let tested = self.tested.values().flat_map(|test| [Some(&test.images), test.was.as_ref()]).flatten();
        let transition =
            |there: &Transition| ENTRY_BYTES + 6 * (there.commit.len() + there.traffic.len() + there.note.len());
        let standing = |apart: &Apart| {
            let there = |(name, state): (&String, &State)| ENTRY_BYTES + 6 * name.len() + weights(&state.traffic);
            let front = apart.front.iter().map(|state| ENTRY_BYTES + weights(&state.traffic)).sum::<usize>();
            let front = front + apart.fallen.iter().map(|name| ENTRY_BYTES + 6 * name.len()).sum::<usize>();
            ENTRY_BYTES + front + apart.clusters.iter().map(there).sum::<usize>()
        };
        let elsewhere = |(version, clusters): (&VersionName, &BTreeSet<ClusterName>)| {
            name(version) + clusters.iter().map(|cluster| ENTRY_BYTES + 6 * cluster.len()).sum::<usize>()
        };
        let Owner { repository, plan } = &self.owner;
        let names = self.proof.keys().chain(&self.rising).chain(&self.subsets).chain(self.way_back_ready.keys());
        let names = names.chain(self.tested.keys());
        let causes = [self.failure.as_ref(), self.phase.cause()].into_iter().flatten();
        let restore = self.restore.iter().map(|restore| {
            let to = restore.to.as_ref().map_or(0, revision);
            to + revision(&restore.undoes) + weights(&restore.traffic) + 6 * restore.reason.len()
        });
        let parts = [
            8 * ENTRY_BYTES + 6 * (repository.len() + plan.namespace.len() + plan.name.len()),
            self.packed()?.len() + revision(&self.revision),
            [&self.plan.traffic, &self.state.traffic, &self.origin].map(weights).iter().sum(),
            names.map(name).sum(),
            proven.chain(tested).map(Images::bytes_at_most).sum(),
            self.settled.iter().chain(&self.way_back).map(settled).sum(),
            self.apart.iter().map(|apart| standing(apart)).sum(),
            self.elsewhere.iter().map(elsewhere).sum(),
            self.failed.iter().map(failed).sum(),
            self.transitions.iter().map(transition).sum(),
            causes.map(|cause| 6 * cause.to_string().len()).sum(),
            self.stop.iter().map(|stop| 6 * stop.text.len()).sum(),
            restore.sum(),
        ];
        Ok(parts.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use super::{
        super::{Answered, Cause, Image, Phase, Proof, Restore, State, Transition, UnderTest},
        *,
    };

    #[test]
    fn no_text_is_longer_than_it_is_thought_to_be_at_most() {
        let corpus = [
            include_str!("../../tests/fuzz/corpus/journal/settled.json"),
            include_str!("../../tests/fuzz/corpus/journal/lowered.json"),
        ];
        for text in corpus {
            let mut journal = Journal::decode(text.trim()).unwrap();
            let holds = |journal: &Journal| journal.encode_whole().unwrap().len() <= journal.bytes_at_most().unwrap();
            assert!(holds(&journal));
            let escaped = "\u{1}".repeat(300);
            let last = journal.transitions.last().cloned().unwrap();
            let noted = Transition { note: escaped.clone(), traffic: escaped.clone(), ..last };
            journal.transitions = Arc::new(vec![noted; 20]);
            let settled = journal.settled.last().cloned().unwrap();
            journal.way_back = Some(settled.clone());
            journal.settled = Arc::new(vec![settled; 10]);
            let names: BTreeSet<VersionName> = (0..100).map(|n| VersionName::new(format!("{escaped}{n}"))).collect();
            let digest = journal.plan.digest.clone();
            let versions: BTreeMap<_, _> = names.iter().map(|name| (name.clone(), digest.clone())).collect();
            let target = journal.plan.traffic.clone();
            let pod = |n: u8| Image::of([(format!("{}{n}", "\"".repeat(250)).as_str(), None)]);
            let images = Images::of((0..4).filter_map(pod));
            let running = |name: &VersionName| Some((name.clone(), images.clone()?));
            let ran = names.iter().filter_map(running).collect();
            let key = FailedKey { target, versions, attempt: 1, routing: Some(digest.clone()), images: ran };
            journal.failed = vec![key; 10];
            let proof = |name: &VersionName| {
                let proof = Proof { images: images.clone(), seen: images.clone(), ..Proof::new(100, digest.clone()) };
                (name.clone(), proof)
            };
            journal.proof = names.iter().map(proof).collect();
            let test = |(name, images): (VersionName, Images)| (name, UnderTest { was: Some(images.clone()), images });
            journal.tested = names.iter().filter_map(running).map(test).collect();
            journal.way_back_ready = names.iter().map(|name| (name.clone(), u32::MAX)).collect();
            let clusters: Vec<ClusterName> = (0..100).map(|n| format!("{escaped}{n}")).collect();
            let everywhere: BTreeSet<ClusterName> = clusters.iter().cloned().collect();
            journal.elsewhere = names.iter().take(10).map(|name| (name.clone(), everywhere.clone())).collect();
            (journal.rising, journal.subsets) = (names.clone(), names);
            // Each of its own weights, so that no two share an entry.
            let there = |(n, name): (usize, &ClusterName)| {
                let weights = [(VersionName::new(format!("{escaped}{n}")), 100)];
                (name.clone(), State { traffic: Traffic::new(weights).unwrap(), ..journal.state.clone() })
            };
            let apart = Apart {
                reached: 1,
                fallen: clusters.iter().cloned().collect(),
                clusters: Arc::new(clusters.iter().enumerate().map(there).collect()),
                front: Some(journal.state.clone()),
            };
            journal.apart = Some(Box::new(apart));
            journal.owner.repository = escaped.clone();
            journal.stop = Some(Answered { text: escaped.clone(), lift: true });
            journal.failure = Some(Cause::Rejected(escaped.clone()));
            journal.phase = Phase::WentBack { cause: Cause::LoweredByHand(escaped.clone()) };
            journal.restore = Some(Restore {
                failed: digest,
                undoes: journal.revision.clone(),
                to: Some(journal.revision.clone()),
                traffic: journal.plan.traffic.clone(),
                reason: escaped,
                at: journal.entered,
            });
            assert!(holds(&journal));
            let written = Journal::decode(&journal.encode_whole().unwrap()).unwrap();
            assert_eq!((written.apart, written.elsewhere), (journal.apart, journal.elsewhere));
        }
    }
}
