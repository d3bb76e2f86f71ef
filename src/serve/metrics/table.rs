//! Every metric with its type, labels and meaning; `docs/metrics.md` is written from it.

use std::fmt;

use crate::{
    cluster::Answer,
    plan::{Traffic, VersionName},
    reconcile::{PlanReport, Position, severity},
};

use super::page::{Scrape, Sink};

/// What a metric does over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only rises, until tidegate starts anew.
    Counter,
    /// It is what is.
    Gauge,
    /// It counts by classes of duration.
    Histogram,
}

impl Kind {
    /// The kind as a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
pub struct Metric {
    /// Its name, as alerts write it.
    pub name: &'static str,
    /// What it does over time.
    pub kind: Kind,
    /// What it is counted in; empty for a number of things, or 0 and 1.
    pub unit: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
    pub(super) samples: fn(&Scrape, &mut Sink<'_>) -> fmt::Result,
}

const PLAN: &[&str] = &["repository", "namespace", "plan"];
const WEIGHT: &[&str] = &["repository", "namespace", "plan", "cluster", "version"];

macro_rules! metrics {
    ($($name:literal $kind:ident $unit:literal $labels:expr, $help:literal, $samples:expr;)*) => {
        /// All of them.
        pub const METRICS: [Metric; [$($name),*].len()] = [$(Metric {
            name: $name, kind: Kind::$kind, unit: $unit, labels: $labels, help: $help, samples: $samples,
        }),*];
    };
}

metrics! {
    "tidegate_build_info" Gauge "" &["version"], "1; which version runs.",
        |_, sink| sink.gauge([env!("CARGO_PKG_VERSION")], 1.0);
    "tidegate_ready" Gauge "" &[], "1 once Git and every cluster were read.",
        |scrape, sink| sink.gauge([], flag(scrape.report.ready));
    "tidegate_leader" Gauge "" &[], "1 where this replica holds the lease, else 0; absent where there is none.",
        |scrape, sink| scrape.report.lease.as_ref().map_or(Ok(()), |lease| sink.gauge([], flag(lease.leads)));
    "tidegate_plans" Gauge "" &["repository"], "Plans that are in force at the accepted tip.", plans;
    "tidegate_findings" Gauge "" &["repository", "severity"], "What is wrong with the plans at the accepted tip.", findings;
    "tidegate_target_weight" Gauge "percent" WEIGHT, "Where the plan wants the traffic.", target_weight;
    "tidegate_desired_weight" Gauge "percent" WEIGHT, "The weights that were reached, by the journal.", desired_weight;
    "tidegate_applied_weight" Gauge "percent" WEIGHT,
        "The weights of the live VirtualService; other than the desired ones they are drift.", applied_weight;
    "tidegate_step_weight" Gauge "percent" PLAN, "The weight of the step that was entered; absent unless walking.", step_weight;
    "tidegate_next_seconds" Gauge "seconds" PLAN, "The time until the plan moves next; absent where that is not known.", next_seconds;
    "tidegate_plan_phase" Gauge "" &["repository", "namespace", "plan", "phase"], "1; the phase of the walk.",
        |scrape, sink| each(scrape, |plan, [repository, namespace, name]| {
            plan.standings().next().map_or(Ok(()), |standing| sink.gauge([repository, namespace, name, standing.phase()], 1.0))
        });
    "tidegate_plan_reason" Gauge "" &["repository", "namespace", "plan", "reason"], "1; why the plan stands where it stands.",
        |scrape, sink| each(scrape, |plan, [repository, namespace, name]| {
            plan.reason.as_ref().map_or(Ok(()), |reason| sink.gauge([repository, namespace, name, reason.name()], 1.0))
        });
    "tidegate_plan_needs_a_person" Gauge "" PLAN, "1 where the plan goes on only once somebody does something, else 0.",
        |scrape, sink| each(scrape, |plan, id| {
            plan.reason.as_ref().map_or(Ok(()), |reason| sink.gauge(id, flag(reason.needs_a_person())))
        });
    "tidegate_drift_fight" Gauge "" &["namespace", "plan", "cluster"],
        "1 while somebody else keeps changing what is put back, else 0.",
        |scrape, sink| each(scrape, |plan, [_, namespace, name]| {
            plan.reached.iter().try_for_each(|(cluster, reached)| sink.gauge([namespace, name, cluster], flag(reached.fight.is_some())))
        });
    "tidegate_drift_corrected_total" Counter "" &["cluster", "kind"], "Changes that no commit asked for and that were put back.",
        |scrape, sink| scrape.report.tally.corrected.iter()
            .try_for_each(|((cluster, kind), count)| sink.counter([cluster, kind], *count));
    "tidegate_transitions_total" Counter "" &["cluster", "what", "cause"], "Transitions that were written, by event and cause.",
        |scrape, sink| scrape.report.tally.transitions.iter()
            .try_for_each(|((cluster, what, cause), count)| sink.counter([cluster, what, cause], *count));
    "tidegate_way_back_ready_ratio" Gauge "" &["repository", "namespace", "plan", "cluster"],
        "Ready endpoints of the versions that a failure goes back to, of those when the walk began; the least. Absent unless walking.",
        way_back_ready;
    "tidegate_restore_pending" Gauge "" PLAN, "1 while traffic went back and the repository still asks for what failed, else 0.",
        |scrape, sink| each(scrape, |plan, id| {
            let positions = plan.reached.values().filter_map(|reached| reached.position.as_ref());
            sink.gauge(id, flag(positions.into_iter().any(|position| position.restore.is_some())))
        });
    "tidegate_restores_total" Counter "" &["outcome"], "Tries to commit what the repository should ask for again, by how they ended.",
        |scrape, sink| scrape.report.tally.restores.iter()
            .try_for_each(|(outcome, count)| sink.counter([outcome], *count));
    "tidegate_notes_total" Counter "" &["operation", "outcome"], "Writes and reads of the repository's notes, by how they ended.",
        |scrape, sink| scrape.report.tally.notes.iter()
            .try_for_each(|((operation, outcome), count)| sink.counter([operation, outcome], *count));
    "tidegate_errors_total" Counter "" &["category"], "What failed; it is tried again by itself.",
        |scrape, sink| scrape.report.tally.errors.iter().try_for_each(|(category, count)| sink.counter([category], *count));
    "tidegate_git_looks_total" Counter "" &["repository", "outcome"], "Looks at the plan repository, by what was seen.", git_looks;
    "tidegate_git_requests_total" Counter "" &["repository", "operation", "outcome"],
        "What was asked of the plan repository, by how it ended.",
        |scrape, sink| scrape.report.repositories.iter().try_for_each(|repository| {
            let mut requests = repository.requests.iter();
            requests.try_for_each(|(operation, outcome, count)| sink.counter([&repository.name, operation.name(), outcome], *count))
        });
    "tidegate_git_last_look_timestamp_seconds" Gauge "seconds" &["repository"],
        "When the plan repository was last read, in seconds since 1970.", git_last_look;
    "tidegate_git_reachable" Gauge "" &["repository"], "1 where the last look at the plan repository was good, else 0.",
        |scrape, sink| scrape.report.repositories.iter().try_for_each(|repository| {
            sink.gauge([&repository.name], flag(repository.error.is_none() && repository.last_look.is_some()))
        });
    "tidegate_configuration_in_force" Gauge "" &[], "1 where the configuration file is in force as it is, 0 where an earlier one is; absent without a file.",
        |scrape, sink| scrape.report.configuration.iter()
            .try_for_each(|file| sink.gauge([], flag(file.error.is_none())));
    "tidegate_cluster_reachable" Gauge "" &["cluster"], "1 where the cluster's objects were read and it answers, else 0.",
        |scrape, sink| scrape.report.clusters.iter()
            .try_for_each(|cluster| sink.gauge([&cluster.name], flag(cluster.synced && cluster.away.is_none())));
    "tidegate_api_requests_total" Counter "" &["cluster", "verb", "code"],
        "Requests to the API server; the code is `none` where no answer came.", api_requests;
    "tidegate_events_dropped_total" Counter "" &["cluster"], "Kubernetes Events that were never published.",
        |scrape, sink| scrape.report.clusters.iter().try_for_each(|cluster| sink.counter([&cluster.name], cluster.events_dropped));
    "tidegate_stage_seconds" Histogram "seconds" &["stage"], "How long the parts of the way from commit to traffic take.",
        |scrape, sink| scrape.report.tally.stages.iter()
            .try_for_each(|(stage, durations)| sink.histogram([stage.name()], durations));
    "tidegate_webhook_deliveries_total" Counter "" &["provider", "outcome"], "Webhooks that came, by how they were answered.",
        |scrape, sink| scrape.deliveries.iter()
            .try_for_each(|((provider, outcome), count)| sink.counter([provider.name(), outcome.name()], *count));
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// Every plan whose owner is known, with its first three labels.
fn each(scrape: &Scrape, mut sample: impl FnMut(&PlanReport, [&str; 3]) -> fmt::Result) -> fmt::Result {
    let owned = scrape.report.plans.iter().filter_map(|plan| Some((plan, plan.owner.as_ref()?)));
    let mut owned = owned.map(|(plan, owner)| (plan, [&*owner.repository, &*owner.plan.namespace, &*owner.plan.name]));
    owned.try_for_each(|(plan, id)| sample(plan, id))
}

fn plans(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    scrape.report.repositories.iter().try_for_each(|repository| {
        let of = |plan: &&PlanReport| plan.owner.as_ref().is_some_and(|owner| owner.repository == repository.name);
        let count = scrape.report.plans.iter().filter(of).filter(|plan| plan.plan.is_some()).count();
        sink.gauge([&repository.name], u32::try_from(count).map_or(f64::INFINITY, f64::from))
    })
}

fn findings(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    use crate::plan::Severity::{Error, Warning};
    scrape.report.repositories.iter().try_for_each(|repository| {
        [Error, Warning].into_iter().try_for_each(|how_bad| {
            let count = repository.findings.iter().filter(|finding| finding.severity == how_bad).count();
            sink.gauge([&repository.name, severity(how_bad)], u32::try_from(count).map_or(f64::INFINITY, f64::from))
        })
    })
}

/// The weights of all versions, those without traffic included: a series that ends says less than a 0.
fn weights<'v>(
    sink: &mut Sink<'_>,
    [repository, namespace, plan]: [&str; 3],
    cluster: &str,
    traffic: &Traffic,
    versions: impl Iterator<Item = &'v VersionName>,
) -> fmt::Result {
    versions.into_iter().try_for_each(|version| {
        let weight = f64::from(traffic.weight(version));
        sink.gauge([repository, namespace, plan, cluster, &version.to_string()], weight)
    })
}

fn target_weight(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    each(scrape, |report, id| {
        report.reached.iter().try_for_each(|(cluster, reached)| {
            if let Some((plan, _)) = &report.plan {
                let versions = plan.routing.versions.iter().map(|version| &version.name);
                return weights(sink, id, cluster, &plan.traffic, versions);
            }
            let Some(position) = &reached.position else { return Ok(()) };
            weights(sink, id, cluster, &position.plan.traffic, position.versions.iter())
        })
    })
}

fn state_weights(
    scrape: &Scrape,
    sink: &mut Sink<'_>,
    traffic: impl for<'r> Fn(&'r Position, Option<&'r Traffic>) -> Option<&'r Traffic>,
) -> fmt::Result {
    each(scrape, |report, id| {
        report.reached.iter().try_for_each(|(cluster, reached)| {
            let Some(position) = &reached.position else { return Ok(()) };
            let Some(traffic) = traffic(position, reached.live.as_ref()) else { return Ok(()) };
            weights(sink, id, cluster, traffic, position.versions.iter())
        })
    })
}

fn desired_weight(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    state_weights(scrape, sink, |position, _| Some(&position.desired))
}

fn applied_weight(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    state_weights(scrape, sink, |_, live| live)
}

fn step_weight(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    each(scrape, |report, id| {
        let step = report.standings().find_map(|standing| standing.step().map(|(_, weight)| weight));
        step.map_or(Ok(()), |weight| sink.gauge(id, f64::from(weight)))
    })
}

fn way_back_ready(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    each(scrape, |report, [repository, namespace, name]| {
        report.reached.iter().try_for_each(|(cluster, reached)| {
            let began = reached.position.iter().flat_map(|position| &position.way_back_ready);
            let ratio = |(name, began): (&VersionName, &u32)| {
                Some(f64::from(*reached.way_back_ready.get(name)?) / f64::from((*began).max(1)))
            };
            let least = began.filter_map(ratio).reduce(f64::min);
            least.map_or(Ok(()), |least| sink.gauge([repository, namespace, name, cluster], least))
        })
    })
}

fn next_seconds(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    let now = scrape.report.at;
    each(scrape, |report, id| {
        report.next.map_or(Ok(()), |next| sink.gauge(id, next.duration_since(now).as_secs_f64().max(0.0)))
    })
}

fn git_looks(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    scrape.report.repositories.iter().try_for_each(|repository| {
        let mut looks = repository.looks.iter();
        looks.try_for_each(|(outcome, count)| sink.counter([&repository.name, outcome], *count))
    })
}

fn git_last_look(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    scrape.report.repositories.iter().try_for_each(|repository| {
        let since = |last: jiff::Timestamp| last.duration_since(jiff::Timestamp::UNIX_EPOCH).as_secs_f64();
        repository.last_look.map_or(Ok(()), |last| sink.gauge([&repository.name], since(last)))
    })
}

fn api_requests(scrape: &Scrape, sink: &mut Sink<'_>) -> fmt::Result {
    scrape.report.clusters.iter().try_for_each(|cluster| {
        cluster.requests.iter().try_for_each(|((verb, answer), count)| {
            let code = match answer {
                Answer::Code(code) => code.to_string(),
                Answer::None => "none".to_owned(),
            };
            sink.counter([&cluster.name, verb.as_str(), &code], *count)
        })
    })
}
