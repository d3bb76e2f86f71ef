//! The position of a walk, as it is kept on the VirtualService: what was reached, what was proven, and the way back.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::plan::{Digest, Plan, PlanKey, Revision, Routing, Span, Traffic, Version, VersionName};

use super::{Answered, Apart, Elsewhere, FailedKey, ImageChange, Images, Restore, Transition, runs, walk};

/// Settled states kept for ways back.
pub const SETTLED_MAX: usize = 10;
/// Transitions kept for people.
pub const TRANSITIONS_MAX: usize = 20;

/// Which plan of which repository owns an object, written `repository/namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// The repository's name in tidegate's configuration.
    pub repository: String,
    /// The plan.
    pub plan: PlanKey,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.repository, self.plan)
    }
}

/// Everything that is rendered: routing with weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Percent per version.
    pub traffic: Traffic,
    /// The rest.
    pub routing: Arc<Routing>,
}

impl State {
    /// The versions that requests can reach: by weight or by pin.
    pub fn reached(&self) -> BTreeSet<&VersionName> {
        let pinned = self.routing.pins.iter().map(|pin| &pin.to);
        self.traffic.iter().map(|(version, _)| version).chain(pinned).collect()
    }

    /// Those of them that its routing defines, in its order.
    pub(crate) fn reached_versions(&self) -> impl Iterator<Item = &Version> {
        let pinned = |name: &VersionName| self.routing.pins.iter().any(|pin| pin.to == *name);
        self.routing
            .versions
            .iter()
            .filter(move |version| self.traffic.weight(&version.name) > 0 || pinned(&version.name))
    }

    /// The same state on objects that stood as `before`: a visibility that was declared there, and is not here, is taken
    /// away. One that nobody declared is not tidegate's.
    pub(super) fn following(mut self, before: &Self) -> Self {
        let parts = |routing: &Routing| {
            [routing.virtual_service.export_to.is_some(), routing.destination_rule.export_to.is_some()]
        };
        if parts(&before.routing) != parts(&self.routing) {
            let routing = Arc::make_mut(&mut self.routing);
            let pairs = [
                (&before.routing.virtual_service, &mut routing.virtual_service),
                (&before.routing.destination_rule, &mut routing.destination_rule),
            ];
            for (was, is) in pairs {
                is.export_to = is.export_to.take().or(was.export_to.as_ref().map(|_| Vec::new()));
            }
        }
        self
    }

    /// Whether what callers see differs from `other` in weights alone.
    pub fn differs_in_weights_alone(&self, other: &Self) -> bool {
        let (one, two) = (&self.routing, &other.routing);
        let same_version = |version: &Version| two.version(&version.name).is_none_or(|there| there == version);
        one.routes == two.routes
            && one.pins == two.pins
            && one.port == two.port
            && one.service == two.service
            && one.traffic_policy == two.traffic_policy
            && one.virtual_service == two.virtual_service
            && one.destination_rule == two.destination_rule
            && one.versions.iter().all(same_version)
    }
}

/// A state that has passed its gates, with the commit that asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// What was settled.
    pub state: State,
    /// The commit that asked for it; none where it was found live.
    pub revision: Option<Revision>,
    /// When.
    pub at: Timestamp,
}

/// The weight that a version has proven, and what it was when it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Percent.
    pub weight: u8,
    /// [`Version::digest`] of what was proven: another digest is another, unproven version.
    pub digest: Digest,
    /// What its pods ran when it did; none: that was not known, and the first that is seen counts as that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Images>,
    /// What they run now, where that is something else: then nothing is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Images>,
}

impl Proof {
    /// A weight that was proven by what runs there now, whatever that is.
    pub(super) const fn new(weight: u8, digest: Digest) -> Self {
        Self { weight, digest, images: None, seen: None }
    }

    /// Whether what its pods run now is to be noted of it.
    pub(super) fn heeds(&self, seen: &Images) -> bool {
        let as_before = |images: &Images| images.cover(seen) && images.refined(seen).is_none();
        self.weight > 0 && (self.seen.is_some() || !self.images.as_ref().is_some_and(as_before))
    }

    /// What its pods ran and run, where that is something else.
    pub(super) fn change(&self) -> Option<ImageChange> {
        Some(self.images.as_ref()?.change(self.seen.as_ref()?))
    }
}

/// What the pods of a version run that a walk is raising.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderTest {
    /// The images: with others the test begins anew.
    pub images: Images,
    /// What ran before, where it was begun anew for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Images>,
}

/// Where the walk stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Phase {
    /// The plan in force wants a version to rise; no step has been entered yet.
    Starting,
    /// At an intermediate weight.
    Walking {
        /// Percent that the rising versions get together.
        weight: u8,
    },
    /// The target is applied and has not passed its gates.
    Target,
    /// The target has passed its gates.
    Settled,
    /// The way-back state is applied; the plan in force is not.
    WentBack {
        /// Why.
        cause: Cause,
    },
    /// The plan was removed; nothing is corrected any more.
    Released {
        /// Whether the objects are to be deleted.
        prune: bool,
        /// Whether the plan goes on in other clusters, and was taken out of this one alone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        elsewhere: bool,
    },
}

impl Phase {
    /// Why traffic went back, where it did.
    pub(super) const fn cause(&self) -> Option<&Cause> {
        match self {
            Self::WentBack { cause } => Some(cause),
            _ => None,
        }
    }

    /// One word for people and machines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Starting => "Starting",
            Self::Walking { .. } => "Walking",
            Self::Target => "Target",
            Self::Settled => "Settled",
            Self::WentBack { .. } => "WentBack",
            Self::Released { .. } => "Released",
        }
    }
}

/// Why traffic went back without a commit that asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "why", content = "what")]
pub enum Cause {
    /// The stop annotation, with its text.
    Stop(String),
    /// Weights were lowered by hand below what the walk gives an unproven version.
    LoweredByHand(String),
    /// The API server refused a write.
    Rejected(String),
    /// A version that carries traffic had no ready endpoint.
    EndpointsGone(String),
    /// The same content has failed before.
    FailedBefore,
    /// A proxy refused the routes.
    ProxyRefused(String),
    /// The progress deadline passed while a version had no ready endpoint.
    Deadline(String),
}

/// The journal: the one place where the position of a walk is kept. Each decision begins with a copy of it, so what is
/// long and seldom changes is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The plan that owns the object.
    pub owner: Owner,
    /// The plan in force.
    pub plan: Arc<Plan>,
    /// The commit that introduced it.
    pub revision: Revision,
    /// L: what was last applied.
    pub state: State,
    /// The clusters that stand elsewhere; none: all stand alike.
    pub apart: Option<Box<Apart>>,
    /// Where the walk stands.
    pub phase: Phase,
    /// O: L at the start of the walk.
    pub origin: Traffic,
    /// The versions that this walk raises.
    pub rising: BTreeSet<VersionName>,
    /// When the present position was entered.
    pub entered: Timestamp,
    /// Hold time of the present position.
    pub hold: Span,
    /// When the proxies had the present weights.
    pub converged: Option<Timestamp>,
    /// Converged time carried over from before `converged`, in milliseconds.
    pub elapsed_ms: u64,
    /// What each version has proven.
    pub proof: BTreeMap<VersionName, Proof>,
    /// What the pods of the rising versions run, where that is known.
    pub tested: BTreeMap<VersionName, UnderTest>,
    /// The last settled states, oldest first.
    pub settled: Arc<Vec<Settled>>,
    /// Where a failure of this walk, or of a target not settled yet, goes.
    pub way_back: Option<Settled>,
    /// Ready endpoints of its versions when this walk first raised anything, the least of all clusters.
    pub way_back_ready: BTreeMap<VersionName, u32>,
    /// Where the pods of a version were all in other clusters of the mesh when this was written.
    pub elsewhere: Elsewhere,
    /// Content that failed, oldest first.
    pub failed: Vec<FailedKey>,
    /// The stop that moves nothing any more, while it stands.
    pub stop: Option<Answered>,
    /// The failure at which the plan wants everything to stay as it is.
    pub failure: Option<Cause>,
    /// What Git should say again; none where it says so, or where a person has said something else.
    pub restore: Option<Restore>,
    /// What happened, oldest first.
    pub transitions: Arc<Vec<Transition>>,
    /// The subsets of the DestinationRule that are tidegate's own.
    pub subsets: BTreeSet<VersionName>,
    /// Whether the traffic policy of the DestinationRule is tidegate's own.
    pub owns_traffic_policy: bool,
    /// The convergence wait of whoever wrote it last, in milliseconds: `status` has no other way to know it.
    pub convergence_wait_ms: Option<i64>,
    /// Whether that process asked istiod about the proxies, likewise.
    pub asks_proxies: bool,
    /// The latest term of the lease in which it was written; 0: in none.
    pub term: u64,
}

impl Journal {
    /// Whether nothing of the walk is open: what is applied has passed its gates or is a way back.
    pub fn is_settled(&self) -> bool {
        matches!(self.phase, Phase::Settled | Phase::WentBack { .. } | Phase::Released { .. })
    }

    /// Whether the plan was taken out of the cluster that this was read in, and goes on in others.
    pub fn is_let_go(&self) -> bool {
        matches!(self.phase, Phase::Released { elsewhere: true, .. })
    }

    /// Whether a walk is open and has been entered, or a target has not passed its gates.
    pub fn is_raised(&self) -> bool {
        matches!(self.phase, Phase::Walking { .. } | Phase::Target)
    }

    /// Whether `other` goes on from here: all that happened here happened there, and more. It asks no clock.
    pub fn is_older_than(&self, other: &Self) -> bool {
        let (here, there) = (&self.transitions, &other.transitions);
        let forgot = there.len() >= TRANSITIONS_MAX;
        let continues = |end: usize| {
            let length = here.len().min(end);
            (length == here.len() || forgot) && here.iter().rev().zip(there.iter().take(end).rev()).all(|(a, b)| a == b)
        };
        !here.is_empty() && (1..there.len()).any(continues)
    }

    /// Whether what runs is still to be proven, though all is settled.
    pub fn is_doubted(&self) -> bool {
        matches!(self.phase, Phase::Settled) && runs::doubted(self).next().is_some()
    }

    /// Whether its plan was let go.
    pub(super) fn is_released(&self) -> bool {
        matches!(self.phase, Phase::Released { .. })
    }

    /// The weight that this very version has proven, 0 for one of another digest or with other images.
    pub fn proven(&self, version: &Version) -> u8 {
        if self.proof.get(&version.name).is_some_and(|proof| proof.seen.is_some()) { 0 } else { self.stood(version) }
    }

    /// The same, whatever its pods run now: a way back must not be worse because of that (law 3).
    pub fn stood(&self, version: &Version) -> u8 {
        match self.proof.get(&version.name) {
            Some(proof) if proof.digest == version.digest() => proof.weight,
            _ => 0,
        }
    }

    /// Whether every weight of the state lies within what its version has proven, whatever its pods run now.
    pub fn within_proof(&self, state: &State) -> bool {
        state
            .traffic
            .iter()
            .all(|(name, weight)| state.routing.version(name).is_some_and(|version| weight <= self.stood(version)))
    }

    /// The versions behind whose labels other images run than those that were proven, or that were under test.
    pub fn image_changes(&self) -> BTreeMap<VersionName, ImageChange> {
        let idle = self.proof.iter().filter_map(|(name, proof)| Some((name.clone(), proof.change()?)));
        let tested = self.tested.iter();
        let tested = tested.filter_map(|(name, test)| Some((name.clone(), test.was.as_ref()?.change(&test.images))));
        idle.chain(tested).collect()
    }

    /// Converged time at the present position in milliseconds, never negative; none before convergence.
    pub fn held_ms(&self, now: Timestamp) -> Option<u64> {
        let since = now.as_millisecond() - self.converged?.as_millisecond();
        Some(self.elapsed_ms.saturating_add(u64::try_from(since).unwrap_or(0)))
    }

    /// When the hold of the present position opens; none before convergence.
    pub fn hold_opens(&self) -> Option<Timestamp> {
        let remaining_ms = self.hold.seconds().saturating_mul(1000).saturating_sub(self.elapsed_ms);
        let opens = self.converged?.as_millisecond().saturating_add(i64::try_from(remaining_ms).unwrap_or(i64::MAX));
        Some(Timestamp::from_millisecond(opens).unwrap_or(Timestamp::MAX))
    }

    /// Percent that the rising versions get together in `traffic`.
    pub fn risen(&self, traffic: &Traffic) -> u8 {
        walk::total(traffic, &self.rising)
    }

    /// What the pods of a version run that the walk is raising, where that is known.
    pub(super) fn under_test(&self, name: &VersionName) -> Option<Images> {
        self.tested.get(name).map(|test| test.images.clone())
    }

    /// Lowers the proof of every version that `traffic` gives less than it has now in any cluster, and drops the settled states
    /// that lie above it (never the last one): what was reverted or retreated from has to walk again.
    pub fn retreat_to(&mut self, traffic: &Traffic) {
        #[cfg(test)]
        if crate::sabotage::is(crate::sabotage::Sabotage::ProofStays) {
            return;
        }
        let elsewhere = self.apart.iter().flat_map(|apart| apart.clusters.values());
        let states = std::iter::once(&self.state).chain(elsewhere);
        let legs = states.flat_map(|state| state.traffic.iter().map(move |(name, weight)| (state, name, weight)));
        for (state, name, weight) in legs {
            let lower = traffic.weight(name);
            let version = state.routing.version(name).map(Version::digest);
            if lower < weight
                && let Some(proof) = self.proof.get_mut(name)
                && version.as_ref() == Some(&proof.digest)
            {
                proof.weight = proof.weight.min(lower);
            }
        }
        let within: Vec<bool> = self.settled.iter().map(|settled| self.within_proof(&settled.state)).collect();
        if within.contains(&true) {
            let mut within = within.into_iter();
            Arc::make_mut(&mut self.settled).retain(|_| within.next().unwrap_or(true));
        } else if let Some(last) = self.settled.last() {
            self.settled = Arc::new(vec![last.clone()]);
        }
    }

    /// Notes a settled state and raises proof to it.
    pub fn settle(&mut self, now: Timestamp) {
        for (name, weight) in self.state.traffic.iter() {
            let Some(digest) = self.state.routing.version(name).map(Version::digest) else { continue };
            let before = self.proof.remove(name).filter(|proof| proof.digest == digest);
            let test = self.tested.get(name).map(|test| test.images.clone());
            let mut proof = match before {
                // What was proven before by other images says nothing of these.
                Some(before) if before.seen.is_none() || !self.rising.contains(name) => before,
                _ => Proof::new(0, digest),
            };
            proof.weight = proof.weight.max(weight);
            proof.images = test.or(proof.images);
            self.proof.insert(name.clone(), proof);
        }
        let list = Arc::make_mut(&mut self.settled);
        list.retain(|settled| settled.state != self.state);
        let revision = Some(self.revision.clone());
        list.push(Settled { state: self.state.clone(), revision, at: now });
        let surplus = list.len().saturating_sub(SETTLED_MAX);
        list.drain(..surplus);
        self.way_back = None;
        self.way_back_ready.clear();
        self.failure = None;
        self.rising.clear();
        self.tested.clear();
        self.phase = Phase::Settled;
    }

    /// Appends a transition and forgets the oldest ones.
    pub fn note(&mut self, transition: Transition) {
        let list = Arc::make_mut(&mut self.transitions);
        list.push(transition);
        let surplus = list.len().saturating_sub(TRANSITIONS_MAX);
        list.drain(..surplus);
    }

    /// The subsets that must exist: those of the plan in force, of what is applied, and of the way back, each with
    /// the definition that it has there; so the usual way back never has to write a DestinationRule first.
    pub fn kept_subsets(&self) -> Vec<Version> {
        let released = matches!(self.phase, Phase::Released { .. } | Phase::WentBack { .. });
        let planned = if released { &[][..] } else { &self.plan.routing.versions };
        let back = self.way_back.iter().flat_map(|settled| settled.state.reached_versions());
        let elsewhere = self.apart.iter().flat_map(|apart| apart.clusters.values().chain(&apart.front));
        let applied = self.state.reached_versions().chain(elsewhere.flat_map(State::reached_versions));
        let mut kept: Vec<&Version> = Vec::new();
        // What is applied decides on the definition: another one would change it under running traffic.
        for version in applied.chain(back).chain(planned).chain(&self.state.routing.versions) {
            if kept.iter().all(|there| there.name != version.name) {
                kept.push(version);
            }
        }
        let order = |name: &VersionName| self.plan.routing.versions.iter().position(|version| version.name == *name);
        kept.sort_by_key(|version| order(&version.name).unwrap_or(usize::MAX));
        kept.into_iter().cloned().collect()
    }
}
