//! What an onlooker knows of the images behind the labels: what is raised by a walk runs what was raised before, and where
//! another image comes, it falls first.

use std::collections::BTreeMap;

use tidegate::{
    plan::{Traffic, VersionName},
    rollout::{Image, Images, Journal, What},
};

use super::wrote::{Knowledge, Verdict};

/// The versions of all stories.
pub(super) const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];

/// Images of a version's pods, as a set of two bits: while it is rolled out there are both.
pub(super) fn images(version: &str, set: u8) -> Option<Images> {
    let tags = [1_u8, 2].into_iter().filter(|bit| set & bit != 0);
    Images::of(tags.filter_map(|tag| Image::of([(format!("{version}:{tag}").as_str(), None)])))
}

/// What one cluster's versions ran.
#[derive(Default)]
pub(super) struct Running {
    /// All that a version ran while the open walk raised it, as far as the process could know.
    raised: BTreeMap<VersionName, u8>,
    /// Weights that were written, with their instants.
    written: Vec<(i64, Traffic)>,
}

impl Running {
    /// Whether a version has had no more than this at any instant since then.
    pub(super) fn has_fallen(&self, version: &VersionName, most: u8, since_ms: i64) -> bool {
        self.written.iter().any(|(at_ms, traffic)| *at_ms >= since_ms && traffic.weight(version) <= most)
    }

    /// Law 2 for what runs: a step is passed by the images that enter the next one.
    pub(super) fn wrote(
        &mut self,
        before: Option<&Journal>,
        journal: &Journal,
        known: Option<&Knowledge>,
        now_ms: i64,
    ) -> Verdict {
        self.written.push((now_ms, journal.state.traffic.clone()));
        if before.is_none_or(|before| !before.is_raised()) {
            self.raised.clear();
        }
        let Some((known, before)) = known.zip(before) else { return Ok(()) };
        let entered = journal.transitions.last().is_some_and(|last| {
            matches!(last.what, What::StepEntered | What::TargetEntered) && before.transitions.last() != Some(last)
        });
        for (name, set) in VERSIONS.iter().zip(known.images).filter(|_| entered) {
            let name = VersionName::new(*name);
            let (had, has) = (before.state.traffic.weight(&name), journal.state.traffic.weight(&name));
            // What gains beside it has proven as much before, and whatever runs there now takes over from that.
            let Some(set) = set.filter(|_| has > had && journal.rising.contains(&name)) else { continue };
            let passed = self.raised.get(&name).copied().filter(|_| had > 0);
            if let Some(passed) = passed.filter(|passed| set & !passed != 0) {
                return Err((
                    "law 2",
                    format!("{name} rises from {had} to {has} by images {set}, which {passed} passed"),
                ));
            }
            *self.raised.entry(name).or_default() |= set;
        }
        Ok(())
    }
}
