//! Why a plan stands where it stands: one sentence each, used by status, events, logs and tests alike.

use std::sync::Arc;

use jiff::Timestamp;

use crate::{
    istio::ObjectKind,
    plan::{ObjectKey, VersionName},
};

use super::{Cause, ClusterName, Fight, JOURNAL_MAX_BYTES, Retry};

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
    /// The branch is at a commit that does not count.
    TipNotAccepted {
        /// Why, with what to do.
        why: String,
    },
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
}

impl Reason {
    /// A stable name for machines.
    pub const fn name(&self) -> &'static str {
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
            Self::CannotServe { .. } => "CannotServe",
            Self::Drift { .. } => "Drift",
            Self::DriftFight { .. } => "DriftFight",
            Self::WriteAltered { .. } => "WriteAltered",
            Self::Released => "Released",
            Self::Writing => "Writing",
        }
    }

    /// Whether somebody has to do something before the plan can go on.
    pub const fn needs_a_person(&self) -> bool {
        matches!(
            self,
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
    pub const fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Hold { until } | Self::WriteAltered { until, .. } => Some(*until),
            Self::DriftFight { fight, .. } => Some(fight.until),
            Self::Converging { until, .. } => *until,
            Self::Endpoints { deadline, .. } => *deadline,
            _ => None,
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Settled => write!(f, "the target is settled"),
            Self::GitUnknown => write!(f, "waits for the first look at the plan repository"),
            Self::Hold { until } => write!(f, "holds the present weights until {until}"),
            Self::Converging { lag: Some(lag), .. } => write!(f, "waits for the proxies to take the weights: {lag}"),
            Self::Converging { until: Some(until), .. } => {
                write!(f, "waits until {until} for the proxies to take the weights")
            }
            Self::Converging { .. } => write!(f, "waits for its write to be answered"),
            Self::Endpoints { version, ready, needed, deadline } => {
                let ready = ready.map_or_else(|| "an unknown number of".to_owned(), |count| count.to_string());
                let what =
                    if *needed == 1 { "a ready endpoint".to_owned() } else { format!("{needed} ready endpoints") };
                write!(f, "waits for {what} of version {version} ({ready} ready)")?;
                match deadline {
                    Some(deadline) => write!(f, " until {deadline}, then goes back"),
                    None => write!(f, "; see that its namespace, its Service, and pods with its labels are there"),
                }
            }
            Self::CapacityShort { version, ready, needed, before, weight } => write!(
                f,
                "waits for {needed} ready endpoints of version {version} ({ready} ready): it is to get {weight} % of what {before} served when the walk began; scale it up, or lower `ready.capacityFactor`"
            ),
            Self::WayBackShort { version, ready, needed, began } => write!(
                f,
                "version {version}, to which a failure goes back, has {ready} ready endpoints, {began} when the walk began; it needs {needed} before anything rises: scale it up, or lower `wayBack.minReady`"
            ),
            Self::NoNamespace { namespace, cluster } => {
                write!(
                    f,
                    "cluster {cluster} has no namespace {namespace}; create it, or correct the plan's metadata.namespace"
                )
            }
            Self::Pin { name, version } => {
                write!(f, "waits for a ready endpoint of version {version} before it writes pin {name}")
            }
            Self::Blind { last_look: Some(last) } => {
                write!(f, "nothing rises: the plan repository was last read at {last}; going back still works")
            }
            Self::Blind { last_look: None } => write!(f, "nothing rises: the plan repository was not read yet"),
            Self::TipNotAccepted { why } => write!(f, "nothing rises: {why}; going back still works"),
            Self::NewerInvalid => write!(
                f,
                "nothing rises: the branch holds a newer version of this plan that is not valid; correct it, `tidegate check` shows how"
            ),
            Self::Refused { why } => write!(
                f,
                "the plan is refused and not in force{}{why}; correct it, `tidegate check` shows how",
                if why.is_empty() { "" } else { ": " }
            ),
            Self::Paused => write!(f, "nothing rises: the plan says `pause: true`"),
            Self::Suspended => write!(f, "nothing is written, not even a way back: the plan says `suspend: true`"),
            Self::Stopped { text } => {
                write!(
                    f,
                    "stopped: {text}; nothing rises while the annotation tidegate.dev/stop stands; it goes once Git asks for what traffic went back to, else take it off when the plan's document is what you want"
                )
            }
            Self::WentBack { cause, retry } => write!(f, "went back: {cause}; {retry}"),
            Self::FailureHeld { cause, retry } => write!(
                f,
                "failed: {cause}; traffic stays and nothing rises, as the plan says `onFailure: hold`; commit the former target to go back; {retry}"
            ),
            Self::NoWayBack { cause } => write!(f, "failed: {cause}; no settled state can serve, so nothing moves"),
            Self::Foreign { kind, object } => write!(
                f,
                "{} {object} was made by somebody else; delete it, name another under `objects`, or say `takeOwnership: true`",
                kind.kind()
            ),
            Self::OtherPlan { owner } => {
                write!(f, "the VirtualService belongs to plan {owner}, which still exists; remove one of the two plans")
            }
            Self::Claimed { by } => write!(
                f,
                "VirtualService {by} claims a host of this plan; Istio would use only the older one, so remove one of the two"
            ),
            Self::Shadowed { by } => write!(
                f,
                "DestinationRule {by} hides versions of this plan from callers that Istio gives that one; remove it, or define \
                 the plan's subsets in it"
            ),
            Self::Dependency { what } => write!(f, "nothing rises until what the plan names is applied: {what}"),
            Self::CannotAdopt { parts } => write!(
                f,
                "the live route has parts that this plan would not produce: {}; add them to the plan or remove them",
                parts.join("; ")
            ),
            Self::Relabelled { version } => write!(
                f,
                "version {version} carries traffic or is needed for the way back and cannot get other labels; add a version of another name"
            ),
            Self::NoBaseline => write!(
                f,
                "nothing is live and several versions could be what callers get today; say which under `from`"
            ),
            Self::JournalLost { detail } => write!(
                f,
                "the journal cannot be read and there is no copy: {detail}; delete the annotation's object label app.kubernetes.io/managed-by and say `takeOwnership: true` to start from what is live"
            ),
            Self::JournalNewer { version } => {
                write!(f, "the journal has version {version}, which a newer tidegate wrote; run that one")
            }
            Self::NotesUnknown { since, why } => {
                write!(f, "waits for the repository's notes: they may say where this plan was")?;
                if let Some(since) = since {
                    write!(f, "; asked since {since}")?;
                }
                why.as_ref().map_or(Ok(()), |why| write!(f, "; they cannot be read: {why}"))
            }
            Self::NoteUnreadable { detail } => write!(
                f,
                "the position in the repository's notes cannot be read: {detail}; take its file under `positions` out of refs/notes/tidegate to start anew; it is read again every minute"
            ),
            Self::JournalTooLarge { bytes } => write!(
                f,
                "the plan does not come into force: its journal would be {bytes} bytes, the limit is {JOURNAL_MAX_BYTES}; shorten its match and http parts"
            ),
            Self::ClockSkew { offset_ms } => write!(
                f,
                "nothing rises: the clock differs from the API server's by {:.1} s; correct it",
                Millis(*offset_ms).seconds()
            ),
            Self::Away { cluster, since } => write!(f, "cluster {cluster} does not answer since {since}"),
            Self::NewCluster { cluster, what } => write!(f, "cluster {cluster} is new to the plan: {what}"),
            Self::Rejected { message } => write!(f, "the API server refused the write: {message}"),
            Self::CannotServe { version } => {
                write!(f, "version {version} has no ready endpoint and no settled state can serve, so nothing moves")
            }
            Self::Drift { cluster, kind } => write!(
                f,
                "a change of the {} in cluster {cluster} that no commit asked for stands, as the plan says `driftPolicy: warn`; nothing rises until it is committed or undone, `tidegate diff --target` shows it",
                kind.kind()
            ),
            Self::DriftFight { cluster, fight } => write!(f, "in cluster {cluster} {fight}"),
            Self::WriteAltered { cluster, kind, at, until } => write!(
                f,
                "cluster {cluster} stores another {at} of the {} than is written, as a mutating admission webhook or policy does; it is written again at {until}; exempt objects with the label app.kubernetes.io/managed-by=tidegate there",
                kind.kind()
            ),
            Self::Released => write!(f, "the plan was removed; its objects stay as they are"),
            Self::Writing => write!(f, "writes"),
        }
    }
}

struct Millis(i64);

impl Millis {
    #[expect(clippy::cast_precision_loss, reason = "shown to people with one digit")]
    fn seconds(&self) -> f64 {
        self.0 as f64 / 1000.0
    }
}
