//! Why a plan stands where it stands, in one sentence each: for status, events, logs and tests alike.

use super::{JOURNAL_MAX_BYTES, Reason};

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::In { cluster, reason } => write!(f, "cluster {cluster}: {reason}"),
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
            Self::NoLease { outdated: Some(term), .. } => write!(
                f,
                "nothing rises: the position was written in term {term} of the lease, which is later than this replica's; going back still works"
            ),
            Self::NoLease { holder: Some(holder), .. } => {
                write!(f, "nothing rises from here: {holder} holds the lease; going back still works")
            }
            Self::NoLease { holder: None, .. } => {
                write!(f, "nothing rises: no replica is known to hold the lease; going back still works")
            }
            Self::GuardOnly => {
                write!(f, "nothing rises from here: a guard only goes back; whoever reads the plan repository raises")
            }
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
                "failed: {cause}; traffic stays and nothing rises, as the plan says by `onFailure` or `onPartial`; commit the former target to go back; {retry}"
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
            Self::MeshIncomplete { what } => write!(f, "nothing rises: {what}; going back still works"),
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
            Self::ImagesChanged { version, change, until } => {
                write!(
                    f,
                    "the images of version {version} changed {change}: traffic stays, and what runs now is unproven until it has stood the hold of `settle`"
                )?;
                until.map_or(Ok(()), |until| write!(f, ", at {until}"))
            }
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
