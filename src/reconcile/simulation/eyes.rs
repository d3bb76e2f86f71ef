//! What the worker may ask beside its events, and what it could know at each instant.

use std::{collections::BTreeMap, sync::Arc};

use tidegate::{
    plan::{ObjectKey, Routing},
    reconcile::Sight,
    rollout::{self, GitSight, Images},
};

use super::{
    git::Git,
    lease::Lease,
    place::Place,
    running::{VERSIONS, images},
    world::{Process, World, wall},
    wrote::Knowledge,
};

/// How old the last look at Git may be, and how far clocks may be off.
const GIT_AGE_S: u64 = 300;
const SKEW_MS_MAX: i64 = 5_000;

/// What the worker may ask beside its events.
pub(super) struct Eyes<'a> {
    places: &'a [Place],
    git: GitSight,
    lives: bool,
    lease: Lease,
    skew_ms: i64,
}

impl Sight for Eyes<'_> {
    fn ready(&self, cluster: &str, _: &str, _: &str, labels: &BTreeMap<String, String>) -> Option<u32> {
        let version = VERSIONS.iter().position(|name| labels.get("version").is_some_and(|v| v == name))?;
        self.places.iter().find(|place| place.name == cluster)?.ready[version]
    }

    fn images(&self, cluster: &str, _: &str, _: &str, labels: &BTreeMap<String, String>) -> Option<Images> {
        let version = VERSIONS.iter().position(|name| labels.get("version").is_some_and(|v| v == name))?;
        let place = self.places.iter().find(|place| place.name == cluster)?;
        images(VERSIONS[version], place.run(version)?)
    }

    fn claims(&self, _: &str, _: &ObjectKey, _: &Routing) -> Vec<ObjectKey> {
        Vec::new()
    }

    fn clock_offset_ms(&self, _: &str) -> Option<i64> {
        Some(self.skew_ms)
    }

    fn dependency(&self, _: &str, _: &Routing) -> Option<String> {
        None
    }

    fn git(&self) -> GitSight {
        self.git.clone()
    }

    fn lease(&self) -> rollout::Lease {
        self.lease.seen(self.skew_ms)
    }

    fn lives(&self, _: &str) -> bool {
        self.lives
    }
}

impl World {
    pub(super) fn eyes<'a>(places: &'a [Place], git: &Git, lease: Lease, process: &Process) -> Eyes<'a> {
        let last_look = process.git_ms.map(|at_ms| wall(at_ms, process.skew_ms));
        let refused = (!git.accepted).then(|| Arc::from("the tip does not count"));
        let sight = GitSight { last_look, max_age_s: GIT_AGE_S, refused };
        Eyes { places, git: sight, lives: git.tip().is_some(), lease, skew_ms: process.skew_ms }
    }

    /// How many clusters answer, as far as that was noticed; none: all.
    fn answering(&self) -> Option<usize> {
        let answering = self.places.iter().filter(|place| !place.known_away).count();
        Some(answering).filter(|answering| *answering < self.places.len())
    }

    pub(super) fn knowledge(&self, process: &Process) -> Knowledge {
        let age_ms = process.git_ms.map(|at_ms| self.now_ms - at_ms);
        let lacks = |version: usize| {
            let answering = self.places.iter().filter(|place| !place.known_away);
            answering.map(|place| place.ready[version]).any(|ready| ready.is_none_or(|count| count == 0))
        };
        Knowledge {
            at_ms: self.now_ms,
            blind: age_ms.is_none_or(|age_ms| age_ms > GIT_AGE_S as i64 * 1_000),
            refused: !self.git.accepted,
            skewed: process.skew_ms.abs() > SKEW_MS_MAX,
            answering: self.answering(),
            unready: [lacks(0), lacks(1), lacks(2)],
            leaseless: self.lease.is_missing(),
            images: [0, 1, 2].map(|version| self.places[0].run(version)),
        }
    }
}
