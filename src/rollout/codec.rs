//! The journal's written form: JSON in an annotation, with the plan and all routings in one compressed part.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    istio::lens,
    plan::{Digest, Plan, PlanKey, Revision, Routing, Span, Traffic, VersionName},
};

use super::{
    Answered, Apart, Cause, ClusterName, Elsewhere, FailedKey, Journal, Owner, Phase, Proof, Restore, Settled, State,
    Transition, UnderTest, deflate, inflate,
    packs::{self, Pack},
};

/// The annotation that carries the journal.
pub const JOURNAL: &str = "tidegate.dev/journal";
/// The annotation that names the owning plan.
pub const OWNER: &str = "tidegate.dev/plan";
/// The annotation with which a person stops a plan.
pub const STOP: &str = "tidegate.dev/stop";
/// The annotation with the JSON patch that goes back without tidegate, while there is a way back.
pub const WAY_BACK: &str = "tidegate.dev/way-back";
/// The annotation with the subsets that a DestinationRule was given before there was a journal to name them.
pub const SUBSETS: &str = "tidegate.dev/subsets";
/// The label of everything that tidegate made or took over, and its value.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "tidegate");

/// The largest journal that is written, in bytes: the API server's limit for all annotations is 256 KiB.
pub const JOURNAL_MAX_BYTES: usize = 96 * 1024;
/// The largest unpacked part that is read, in bytes.
const UNPACKED_MAX_BYTES: usize = 8 * 1024 * 1024;
const FORMAT: u64 = 1;
/// What a journal takes beside its packed part, most times, in bytes.
const TEXT_BYTES: usize = 4 * 1024;

/// Why an annotation is no journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// A newer tidegate wrote it.
    #[error("the journal has version {0}, this tidegate knows up to 1")]
    Newer(u64),
    /// It cannot be read.
    #[error("the journal cannot be read: {0}")]
    Broken(String),
    /// It would be too large to write.
    #[error("the journal would be {0} bytes, the limit is 98304; shorten the plan's match and http parts")]
    TooLarge(usize),
}

/// The format alone.
#[derive(Deserialize)]
struct Format {
    #[serde(default)]
    v: Value,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    v: u64,
    repository: Cow<'a, str>,
    plan: Cow<'a, PlanKey>,
    revision: Cow<'a, Revision>,
    digest: Cow<'a, Digest>,
    target: Cow<'a, Traffic>,
    traffic: Cow<'a, Traffic>,
    routing: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    apart: Option<WireApart<'a>>,
    phase: Cow<'a, Phase>,
    origin: Cow<'a, Traffic>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    rising: Cow<'a, BTreeSet<VersionName>>,
    entered: Timestamp,
    hold: Span,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    converged: Option<Timestamp>,
    #[serde(default)]
    elapsed_ms: u64,
    proof: Cow<'a, BTreeMap<VersionName, Proof>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tested: Cow<'a, BTreeMap<VersionName, UnderTest>>,
    settled: Vec<WireSettled<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    way_back: Option<WireSettled<'a>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    way_back_ready: Cow<'a, BTreeMap<VersionName, u32>>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    elsewhere: Cow<'a, Elsewhere>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    failed: Cow<'a, [FailedKey]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stop: Option<Cow<'a, Answered>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<Cow<'a, Cause>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restore: Option<Cow<'a, Restore>>,
    transitions: Cow<'a, [Transition]>,
    subsets: Cow<'a, BTreeSet<VersionName>>,
    #[serde(default)]
    owns_traffic_policy: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    convergence_wait_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    asks_proxies: bool,
    #[serde(default, skip_serializing_if = "is_none")]
    term: u64,
    #[serde(borrow)]
    packed: Cow<'a, str>,
}

/// Clusters that stand alike share an entry.
#[derive(Serialize, Deserialize)]
struct WireApart<'a> {
    reached: usize,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    fallen: Cow<'a, BTreeSet<ClusterName>>,
    states: Vec<(Cow<'a, Traffic>, usize, Vec<Cow<'a, str>>)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    front: Option<(Cow<'a, Traffic>, usize)>,
}

#[derive(Serialize, Deserialize)]
struct WireSettled<'a> {
    traffic: Cow<'a, Traffic>,
    routing: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revision: Option<Cow<'a, Revision>>,
    at: Timestamp,
}

/// The packed part, as it is written.
#[derive(Serialize)]
struct Packing<'a> {
    plan: &'a Plan,
    routings: Vec<&'a Routing>,
}

/// The packed part, as it is read.
#[derive(Deserialize)]
struct Packed {
    plan: Plan,
    routings: Vec<Routing>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
const fn is_none(term: &u64) -> bool {
    *term == 0
}

/// The distinct routings of a journal, in order of first use.
#[derive(Default)]
struct Table<'a>(Vec<&'a Arc<Routing>>);

impl<'a> Table<'a> {
    fn place(&mut self, routing: &'a Arc<Routing>) -> usize {
        self.0.iter().position(|there| *there == routing).unwrap_or_else(|| {
            self.0.push(routing);
            self.0.len() - 1
        })
    }

    /// The packed part of a journal with these.
    fn packed(&self, plan: &Arc<Plan>) -> Result<Arc<str>, JournalError> {
        packs::text(plan, &self.0, || pack(&Packing { plan, routings: self.0.iter().map(|one| &***one).collect() }))
    }

    fn apart(&mut self, apart: &'a Apart) -> WireApart<'a> {
        let mut states: Vec<(Cow<'a, Traffic>, usize, Vec<Cow<'a, str>>)> = Vec::new();
        for (name, state) in apart.clusters.iter() {
            let place = self.place(&state.routing);
            match states.iter_mut().find(|(traffic, there, _)| **traffic == state.traffic && *there == place) {
                Some((.., names)) => names.push(Cow::Borrowed(name)),
                None => states.push((Cow::Borrowed(&state.traffic), place, vec![Cow::Borrowed(name)])),
            }
        }
        let front = apart.front.as_ref().map(|state| (Cow::Borrowed(&state.traffic), self.place(&state.routing)));
        WireApart { reached: apart.reached, fallen: Cow::Borrowed(&apart.fallen), states, front }
    }

    fn settled(&mut self, settled: &'a Settled) -> WireSettled<'a> {
        WireSettled {
            traffic: Cow::Borrowed(&settled.state.traffic),
            routing: self.place(&settled.state.routing),
            revision: settled.revision.as_ref().map(Cow::Borrowed),
            at: settled.at,
        }
    }
}

impl Journal {
    /// The annotation's text. Where it would be too large, the oldest transitions and settled states are left out.
    ///
    /// # Errors
    /// [`JournalError::TooLarge`] where even the least journal is above [`JOURNAL_MAX_BYTES`].
    pub fn encode(&self) -> Result<String, JournalError> {
        if let Some(text) = self.encode_in_full()? {
            return Ok(text);
        }
        let mut shorter = self.clone();
        loop {
            if shorter.settled.len() > 1 {
                Arc::make_mut(&mut shorter.settled).remove(0);
            } else if shorter.transitions.is_empty() {
                return Err(JournalError::TooLarge(self.encode_whole()?.len()));
            } else {
                shorter.transitions = Arc::default();
            }
            if let Some(text) = shorter.encode_in_full()? {
                return Ok(text);
            }
        }
    }

    /// The annotation's text with nothing left out; none where it would be too large.
    pub(crate) fn encode_in_full(&self) -> Result<Option<String>, JournalError> {
        self.encode_whole().map(|text| Some(text).filter(|text| text.len() <= JOURNAL_MAX_BYTES))
    }

    pub(super) fn encode_whole(&self) -> Result<String, JournalError> {
        let mut table = Table::default();
        let mut wire = Wire {
            v: FORMAT,
            repository: Cow::Borrowed(&self.owner.repository),
            plan: Cow::Borrowed(&self.owner.plan),
            revision: Cow::Borrowed(&self.revision),
            digest: Cow::Borrowed(&self.plan.digest),
            target: Cow::Borrowed(&self.plan.traffic),
            traffic: Cow::Borrowed(&self.state.traffic),
            routing: table.place(&self.state.routing),
            apart: self.apart.as_deref().map(|apart| table.apart(apart)),
            phase: Cow::Borrowed(&self.phase),
            origin: Cow::Borrowed(&self.origin),
            rising: Cow::Borrowed(&self.rising),
            entered: self.entered,
            hold: self.hold,
            converged: self.converged,
            elapsed_ms: self.elapsed_ms,
            proof: Cow::Borrowed(&self.proof),
            tested: Cow::Borrowed(&self.tested),
            settled: self.settled.iter().map(|settled| table.settled(settled)).collect(),
            way_back: self.way_back.as_ref().map(|settled| table.settled(settled)),
            way_back_ready: Cow::Borrowed(&self.way_back_ready),
            elsewhere: Cow::Borrowed(&self.elsewhere),
            failed: Cow::Borrowed(&self.failed),
            stop: self.stop.as_ref().map(Cow::Borrowed),
            failure: self.failure.as_ref().map(Cow::Borrowed),
            restore: self.restore.as_ref().map(Cow::Borrowed),
            transitions: Cow::Borrowed(&self.transitions),
            subsets: Cow::Borrowed(&self.subsets),
            owns_traffic_policy: self.owns_traffic_policy,
            convergence_wait_ms: self.convergence_wait_ms,
            asks_proxies: self.asks_proxies,
            term: self.term,
            packed: Cow::Borrowed(""),
        };
        let packed = table.packed(&self.plan)?;
        wire.packed = Cow::Borrowed(&packed);
        let mut text = Vec::with_capacity(packed.len() + TEXT_BYTES);
        serde_json::to_writer(&mut text, &wire).map_err(broken)?;
        String::from_utf8(text).map_err(broken)
    }

    /// Its packed part.
    pub(super) fn packed(&self) -> Result<Arc<str>, JournalError> {
        let mut table = Table::default();
        table.place(&self.state.routing);
        if let Some(apart) = &self.apart {
            table.apart(apart);
        }
        for settled in self.settled.iter().chain(&self.way_back) {
            table.place(&settled.state.routing);
        }
        table.packed(&self.plan)
    }

    /// Reads the annotation's text.
    ///
    /// # Errors
    /// [`JournalError::Newer`] for a later format, [`JournalError::Broken`] for anything else.
    pub fn decode(text: &str) -> Result<Self, JournalError> {
        let wire = match serde_json::from_str::<Wire<'_>>(text) {
            Ok(wire) if wire.v == FORMAT => wire,
            Ok(_) => return Err(unreadable(text, "it has no version")),
            Err(error) => return Err(unreadable(text, error)),
        };
        let Pack { plan, routings, .. } = packs::of(&wire.packed, || unpack(&wire.packed))?;
        let routing = |place: usize| {
            routings.get(place).cloned().ok_or_else(|| JournalError::Broken(format!("routing {place} is missing")))
        };
        let settled = |wire: WireSettled<'_>| {
            let state = State { traffic: wire.traffic.into_owned(), routing: routing(wire.routing)? };
            Ok::<_, JournalError>(Settled { state, revision: wire.revision.map(Cow::into_owned), at: wire.at })
        };
        let apart = |wire: WireApart<'_>| {
            let state = |traffic: &Traffic, place| Ok(State { traffic: traffic.clone(), routing: routing(place)? });
            let mut clusters = BTreeMap::new();
            for (traffic, place, names) in &wire.states {
                let state: State = state(traffic, *place)?;
                clusters.extend(names.iter().map(|name| (name.to_string(), state.clone())));
            }
            let front = wire.front.map(|(traffic, place)| state(&traffic, place)).transpose()?;
            Ok::<_, JournalError>(Box::new(Apart {
                reached: wire.reached,
                fallen: wire.fallen.into_owned(),
                clusters: Arc::new(clusters),
                front,
            }))
        };
        Ok(Self {
            owner: Owner { repository: wire.repository.into_owned(), plan: wire.plan.into_owned() },
            plan,
            revision: wire.revision.into_owned(),
            state: State { traffic: wire.traffic.into_owned(), routing: routing(wire.routing)? },
            apart: wire.apart.map(apart).transpose()?,
            phase: wire.phase.into_owned(),
            origin: wire.origin.into_owned(),
            rising: wire.rising.into_owned(),
            entered: wire.entered,
            hold: wire.hold,
            converged: wire.converged,
            elapsed_ms: wire.elapsed_ms,
            proof: wire.proof.into_owned(),
            tested: wire.tested.into_owned(),
            settled: Arc::new(wire.settled.into_iter().map(settled).collect::<Result<_, _>>()?),
            way_back: wire.way_back.map(settled).transpose()?,
            way_back_ready: wire.way_back_ready.into_owned(),
            elsewhere: wire.elsewhere.into_owned(),
            failed: wire.failed.into_owned(),
            stop: wire.stop.map(Cow::into_owned),
            failure: wire.failure.map(Cow::into_owned),
            restore: wire.restore.map(Cow::into_owned),
            transitions: Arc::new(wire.transitions.into_owned()),
            subsets: wire.subsets.into_owned(),
            owns_traffic_policy: wire.owns_traffic_policy,
            convergence_wait_ms: wire.convergence_wait_ms,
            asks_proxies: wire.asks_proxies,
            term: wire.term,
        })
    }

    /// The journal in an object's annotations: none where there is no such annotation.
    pub fn on(object: &Value) -> Option<Result<Self, JournalError>> {
        let text = lens::annotation(object, JOURNAL)?;
        Some(Self::decode(text))
    }
}

fn broken(error: impl std::fmt::Display) -> JournalError {
    JournalError::Broken(error.to_string())
}

/// Why a text is no journal of this format: it is of another, or `error`.
fn unreadable(text: &str, error: impl std::fmt::Display) -> JournalError {
    match serde_json::from_str::<Format>(text).map(|format| format.v.as_u64()) {
        Ok(Some(newer)) if newer > FORMAT => JournalError::Newer(newer),
        Ok(Some(FORMAT)) => broken(error),
        Ok(_) => broken("it has no version"),
        Err(error) => broken(error),
    }
}

fn pack(packed: &Packing<'_>) -> Result<String, JournalError> {
    let json = serde_json::to_vec(packed).map_err(broken)?;
    Ok(STANDARD.encode(deflate(&json).map_err(broken)?))
}

fn unpack(text: &str) -> Result<(Plan, Vec<Routing>), JournalError> {
    let bytes = STANDARD.decode(text).map_err(broken)?;
    let json = inflate(&bytes, UNPACKED_MAX_BYTES).map_err(broken)?;
    let packed: Packed = serde_json::from_slice(&json).map_err(broken)?;
    Ok((packed.plan, packed.routings))
}
