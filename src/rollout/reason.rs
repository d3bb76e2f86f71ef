//! Why a plan stands where it stands: a name each, and until when; [`super::sentence`] has the words.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    istio::ObjectKind,
    plan::{ObjectKey, VersionName},
};

use super::{Cause, ClusterName, Fight, ImageChange, Retry};

/// What a plan waits for, or why it does not move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The target has passed its gates.
    Settled,
    /// Git was not read yet.
    GitUnknown,
    /// The hold of the present position.
    Hold {
        /// When it opens.
        until: Timestamp,
    },
    /// The proxies need to take the present weights.
    Converging {
        /// When they are taken to have them, where nobody can be asked; none: a write comes first, or they say so.
        until: Option<Timestamp>,
        /// Who is asked and what is in the way; none: a write comes first, or nobody can be asked.
        lag: Option<Arc<str>>,
    },
    /// A version needs ready endpoints before it gains weight.
    Endpoints {
        /// Which.
        version: VersionName,
        /// How many are ready; none: unknown.
        ready: Option<u32>,
        /// How many are needed.
        needed: u32,
        /// When the wait becomes a failure; none: it never does, as nothing was raised yet.
        deadline: Option<Timestamp>,
    },
    /// A version would get a larger share of the requests than its endpoints allow.
    CapacityShort {
        /// Which.
        version: VersionName,
        /// How many of its endpoints are ready.
        ready: u32,
        /// How many are needed.
        needed: u64,
        /// How many served everything when the walk began.
        before: u64,
        /// Percent that it would get.
        weight: u8,
    },
    /// Too little is left of what a failure would go back to.
    WayBackShort {
        /// Which version.
        version: VersionName,
        /// How many of its endpoints are ready.
        ready: u32,
        /// How many are needed.
        needed: u32,
        /// How many were when the walk began.
        began: u32,
    },
    /// Nothing of the plan can be there: its namespace is not.
    NoNamespace {
        /// Which.
        namespace: String,
        /// Where.
        cluster: ClusterName,
    },
    /// A pin waits for a ready endpoint of its version.
    Pin {
        /// The pin.
        name: String,
        /// Its version.
        version: VersionName,
    },
    /// The last good look at Git is too old for a raise.
    Blind {
        /// When it was.
        last_look: Option<Timestamp>,
    },
    /// This replica does not hold the lease, or is not sure of it.
    NoLease {
        /// Who holds it; none: nobody is known to.
        holder: Option<Arc<str>>,
        /// The later term of the lease that the plan's journal names.
        outdated: Option<u64>,
    },
    /// The branch is at a commit that does not count.
    TipNotAccepted {
        /// Why, with what to do.
        why: String,
    },
    /// This process is a guard: it raises nothing, and follows no repository.
    GuardOnly,
    /// The branch holds a newer version of the plan that is not valid.
    NewerInvalid,
    /// The plan's only document is not valid, or stands against another plan: none of it is in force.
    Refused {
        /// The first finding, in short; empty where there is none.
        why: String,
    },
    /// `pause: true`.
    Paused,
    /// `suspend: true`.
    Suspended,
    /// The stop annotation stands.
    Stopped {
        /// Its text.
        text: String,
    },
    /// The content failed; another content is awaited.
    WentBack {
        /// Why.
        cause: Cause,
        /// What is tried again.
        retry: Retry,
    },
    /// A step failed, and the plan says that everything stays as it is.
    FailureHeld {
        /// Why.
        cause: Cause,
        /// What goes on.
        retry: Retry,
    },
    /// The walk failed, and there is no state to go back to that can serve.
    NoWayBack {
        /// Why it failed.
        cause: String,
    },
    /// An object of that name belongs to somebody else.
    Foreign {
        /// Its kind.
        kind: ObjectKind,
        /// What it is.
        object: ObjectKey,
    },
    /// It belongs to a plan that still exists.
    OtherPlan {
        /// Which.
        owner: String,
    },
    /// Another VirtualService claims a host of the plan.
    Claimed {
        /// Which.
        by: ObjectKey,
    },
    /// Another DestinationRule hides the plan's versions from some callers.
    Shadowed {
        /// Which.
        by: ObjectKey,
    },
    /// A plain Istio object that the plan names is not applied.
    Dependency {
        /// Which, with what is in the way.
        what: String,
    },
    /// The endpoints of a mesh are not one: a cluster of it does not answer, or callers stay in theirs.
    MeshIncomplete {
        /// Which, and why.
        what: String,
    },
    /// The live route has parts that the plan would not produce.
    CannotAdopt {
        /// They, for people.
        parts: Vec<String>,
    },
    /// A version that carries traffic, or that the way back needs, may not get other labels.
    Relabelled {
        /// Which.
        version: VersionName,
    },
    /// Nothing is live, and it is not known what callers get today.
    NoBaseline,
    /// The journal is missing or broken, and no copy is to be had.
    JournalLost {
        /// What is wrong with it.
        detail: String,
    },
    /// The journal was written by a newer tidegate.
    JournalNewer {
        /// Its version.
        version: u64,
    },
    /// Nothing is known of the position but what the repository's notes may say, and they were not read yet.
    NotesUnknown {
        /// Since when they are asked; none: they will be.
        since: Option<Timestamp>,
        /// Why they cannot be read; none: nothing is known to be wrong.
        why: Option<Arc<str>>,
    },
    /// The repository's notes have a position that cannot be read.
    NoteUnreadable {
        /// What is wrong with it.
        detail: String,
    },
    /// The position would not fit into the annotation.
    JournalTooLarge {
        /// How large it would be, in bytes.
        bytes: usize,
    },
    /// The clocks differ.
    ClockSkew {
        /// Ours minus the API server's, in milliseconds.
        offset_ms: i64,
    },
    /// A cluster does not answer.
    Away {
        /// Which.
        cluster: ClusterName,
        /// Since when.
        since: Timestamp,
    },
    /// A cluster that is new to the plan does not get what stands in the others yet.
    NewCluster {
        /// Which.
        cluster: ClusterName,
        /// What is in the way, for people.
        what: String,
    },
    /// The API server refused a write, and there is nothing to go back to.
    Rejected {
        /// Its words.
        message: String,
    },
    /// Other images run behind a version than those that have proven its weight.
    ImagesChanged {
        /// Which.
        version: VersionName,
        /// Which images.
        change: Box<ImageChange>,
        /// When they have proven it; none: that is not known.
        until: Option<Timestamp>,
    },
    /// Versions without a ready endpoint keep their weight, as no settled state could serve.
    CannotServe {
        /// One of them.
        version: VersionName,
    },
    /// Somebody's change stands, as the plan says `driftPolicy: warn`.
    Drift {
        /// Where.
        cluster: ClusterName,
        /// Which object.
        kind: ObjectKind,
    },
    /// Somebody else sets an object back after each correction.
    DriftFight {
        /// Where.
        cluster: ClusterName,
        /// Over what, with whom, and until when.
        fight: Box<Fight>,
    },
    /// The API server stores something else than was written, again and again.
    WriteAltered {
        /// Where.
        cluster: ClusterName,
        /// Which object.
        kind: ObjectKind,
        /// The first place that differs, as a JSON pointer.
        at: String,
        /// When it is written again.
        until: Timestamp,
    },
    /// The plan was removed; its objects stay as they are.
    Released,
    /// A write comes next.
    Writing,
    /// Of several clusters, what one of them waits for.
    In {
        /// Which.
        cluster: ClusterName,
        /// What.
        reason: Box<Reason>,
    },
}

impl Reason {
    /// The reason itself, whichever cluster it is of.
    pub fn plainly(&self) -> &Self {
        match self {
            Self::In { reason, .. } => reason.plainly(),
            plain => plain,
        }
    }

    /// The cluster that it names; none: it is about the plan in all of its clusters.
    pub fn cluster(&self) -> Option<&ClusterName> {
        match self {
            Self::In { cluster, .. }
            | Self::NoNamespace { cluster, .. }
            | Self::Away { cluster, .. }
            | Self::NewCluster { cluster, .. }
            | Self::Drift { cluster, .. }
            | Self::DriftFight { cluster, .. }
            | Self::WriteAltered { cluster, .. } => Some(cluster),
            _ => None,
        }
    }

    /// The same as of this cluster; what is decided of a plan that has no other says it without.
    pub(super) fn of(self, cluster: &ClusterName) -> Self {
        Self::In { cluster: cluster.clone(), reason: Box::new(self) }
    }

    /// The same without the cluster.
    pub(super) fn alone(self) -> Self {
        match self {
            Self::In { reason, .. } => reason.alone(),
            plain => plain,
        }
    }

    /// A stable name for machines.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Settled => "Settled",
            Self::GitUnknown => "GitUnknown",
            Self::Hold { .. } => "Hold",
            Self::Converging { .. } => "Converging",
            Self::Endpoints { .. } => "EndpointsNotReady",
            Self::CapacityShort { .. } => "CapacityShort",
            Self::WayBackShort { .. } => "WayBackShort",
            Self::NoNamespace { .. } => "NamespaceMissing",
            Self::Pin { .. } => "PinNotReady",
            Self::Blind { .. } => "GitNotSeen",
            Self::NoLease { .. } => "NoLease",
            Self::GuardOnly => "GuardOnly",
            Self::TipNotAccepted { .. } => "TipNotAccepted",
            Self::NewerInvalid => "NewerPlanInvalid",
            Self::Refused { .. } => "PlanRefused",
            Self::Paused => "Paused",
            Self::Suspended => "Suspended",
            Self::Stopped { .. } => "Stopped",
            Self::WentBack { .. } => "WentBack",
            Self::FailureHeld { .. } => "FailureHeld",
            Self::NoWayBack { .. } => "NoWayBack",
            Self::Foreign { .. } => "OwnedBySomebodyElse",
            Self::OtherPlan { .. } => "OwnedByOtherPlan",
            Self::Claimed { .. } => "HostClaimed",
            Self::Shadowed { .. } => "SubsetsShadowed",
            Self::MeshIncomplete { .. } => "MeshIncomplete",
            Self::Dependency { .. } => "DependencyNotApplied",
            Self::CannotAdopt { .. } => "CannotAdopt",
            Self::Relabelled { .. } => "Relabelled",
            Self::NoBaseline => "NoBaseline",
            Self::JournalLost { .. } => "JournalLost",
            Self::JournalNewer { .. } => "JournalNewer",
            Self::NotesUnknown { .. } => "NotesNotRead",
            Self::NoteUnreadable { .. } => "NoteUnreadable",
            Self::JournalTooLarge { .. } => "JournalTooLarge",
            Self::ClockSkew { .. } => "ClockSkew",
            Self::Away { .. } => "ClusterAway",
            Self::NewCluster { .. } => "ClusterNew",
            Self::Rejected { .. } => "Rejected",
            Self::ImagesChanged { .. } => "ImagesChanged",
            Self::CannotServe { .. } => "CannotServe",
            Self::Drift { .. } => "Drift",
            Self::DriftFight { .. } => "DriftFight",
            Self::WriteAltered { .. } => "WriteAltered",
            Self::Released => "Released",
            Self::Writing => "Writing",
            Self::In { reason, .. } => reason.name(),
        }
    }

    /// Whether somebody has to do something before the plan can go on.
    pub fn needs_a_person(&self) -> bool {
        matches!(
            self.plainly(),
            Self::TipNotAccepted { .. }
                | Self::NewerInvalid
                | Self::NoNamespace { .. }
                | Self::WayBackShort { .. }
                | Self::Refused { .. }
                | Self::Suspended
                | Self::Stopped { .. }
                | Self::WentBack { .. }
                | Self::FailureHeld { .. }
                | Self::NoWayBack { .. }
                | Self::Foreign { .. }
                | Self::OtherPlan { .. }
                | Self::Claimed { .. }
                | Self::Shadowed { .. }
                | Self::CannotAdopt { .. }
                | Self::Relabelled { .. }
                | Self::NoBaseline
                | Self::JournalLost { .. }
                | Self::JournalNewer { .. }
                | Self::NoteUnreadable { .. }
                | Self::JournalTooLarge { .. }
                | Self::ClockSkew { .. }
                | Self::Rejected { .. }
                | Self::CannotServe { .. }
                | Self::Drift { .. }
                | Self::DriftFight { .. }
                | Self::WriteAltered { .. }
        )
    }

    /// Until when, where that is known (law 13).
    pub fn until(&self) -> Option<Timestamp> {
        match self.plainly() {
            Self::Hold { until } | Self::WriteAltered { until, .. } => Some(*until),
            Self::DriftFight { fight, .. } => Some(fight.until),
            Self::Converging { until, .. } | Self::ImagesChanged { until, .. } => *until,
            Self::Endpoints { deadline, .. } => *deadline,
            _ => None,
        }
    }
}
