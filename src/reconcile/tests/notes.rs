//! What came of commits is noted, and where everything else is lost, a plan goes on from there and never from higher up.

use proptest::prelude::*;

use super::{
    draft::{Draft, STEPS, on_v1, plan, to_v2, traffic},
    simulation::Sim,
};
use crate::{
    git::Position,
    istio::ObjectKind,
    plan::{OnFailure, VersionName},
    rollout::{Journal, Phase, STOP},
};

fn noting() -> Sim {
    let mut sim = Sim::new().noting();
    sim.push(on_v1()).pass("1h");
    assert_eq!(sim.weights(), "v1=100");
    sim.trace();
    sim
}

/// What each note says, by its commit's first two digits.
fn said(sim: &mut Sim) -> Vec<String> {
    let notes = std::mem::take(&mut sim.notes);
    let text = |note: &crate::git::Note| {
        let field = |name: &str| note.said.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        format!("{} {} {}", &note.commit[..2], field("what"), field("traffic"))
    };
    notes.iter().map(text).collect()
}

#[test]
fn each_step_is_noted_once_its_gates_have_passed_and_the_target_once_it_settled() {
    let mut sim = noting();
    assert_eq!(said(&mut sim), ["01 Settled v1=100"]);
    sim.push(to_v2()).pass("1m");
    assert_eq!(said(&mut sim), [""; 0], "10 has not passed its gates, and where it comes from was noted");
    let mut came = Vec::new();
    for _ in 0..60 {
        sim.pass("1m");
        came.extend(said(&mut sim).into_iter().map(|text| format!("{text} at {}", sim.weights())));
    }
    let expected = [
        "02 Passed v1=90 v2=10 at v1=75 v2=25",
        "02 Passed v1=75 v2=25 at v1=50 v2=50",
        "02 Passed v1=50 v2=50 at v2=100",
        "02 Settled v2=100 at v2=100",
    ];
    assert_eq!(came, expected);
    sim.crash().settle_now();
    assert_eq!(said(&mut sim), ["02 Settled v2=100"], "a new process says what it finds settled");
    sim.pass("1h").look();
    assert_eq!(said(&mut sim), [""; 0], "and once");
}

#[test]
fn a_way_back_and_the_end_of_a_plan_are_noted() {
    let mut sim = noting();
    sim.push(to_v2()).pass("6m").ready("v2", 0).pass("11s");
    assert_eq!(said(&mut sim), ["01 Settled v1=100", "02 Passed v1=90 v2=10", "02 WentBack v1=100"]);
    let back = Journal::decode(sim.position.as_ref().unwrap()).unwrap();
    assert!(matches!(back.phase, Phase::WentBack { .. }) && back.restore.is_some());
    sim.ready("v2", 2).push(on_v1()).pass("1m");
    assert_eq!(said(&mut sim), ["03 Settled v1=100"]);
    sim.edit(ObjectKind::VirtualService, |object| object["metadata"]["annotations"][STOP] = "ann".into());
    sim.remove().pass("1m");
    assert_eq!(said(&mut sim).last().unwrap(), "04 Released v1=100", "on the commit that removed it");
    assert_eq!(sim.position, None);

    let mut sim = noting();
    let mut pruned = to_v2();
    pruned.0.prune = true;
    sim.push(pruned).pass("2h").remove().pass("1m");
    assert!(sim.api.objects.is_empty());
    assert_eq!(said(&mut sim).last().unwrap(), "03 Released v2=100");
    assert_eq!(sim.position, None);
}

#[test]
fn a_failure_that_is_held_is_noted_and_what_passed_before_stays_the_position() {
    let mut sim = noting();
    sim.push(to_v2().with(|plan| plan.on_failure = OnFailure::Hold)).pass("6m");
    assert_eq!(said(&mut sim), ["01 Settled v1=100", "02 Passed v1=90 v2=10"]);
    let passed = sim.position.clone();
    sim.ready("v2", 0).pass("11s");
    let note = sim.notes.last().unwrap();
    assert!(note.said["why"].as_str().unwrap().contains("v2"), "{:?}", note.said);
    assert_eq!((said(&mut sim), &sim.position), (vec!["02 FailureHeld v1=75 v2=25".to_owned()], &passed));
    sim.ready("v2", 2).pass("1d");
    assert_eq!(said(&mut sim), [""; 0], "once");
}

#[test]
fn that_a_subset_is_about_to_be_added_is_not_noted() {
    let mut sim = noting();
    said(&mut sim);
    let more = to_v2().with(|plan| {
        let mut version = plan.routing.versions[0].clone();
        version.name = VersionName::new("v4");
        version.labels.insert("version".into(), "v4".into());
        plan.routing.versions.push(version);
    });
    sim.push(more).pass("1m");
    assert!(sim.journal().subsets.contains(&VersionName::new("v4")));
    assert_eq!(
        said(&mut sim),
        ["02 Passed v1=100"],
        "what the walk starts from, and not once more that it had settled"
    );
}

#[test]
fn without_notes_nothing_is_noted_and_nothing_asked() {
    let mut sim = Sim::new();
    sim.push(on_v1()).pass("1h").push(to_v2()).pass("1h");
    sim.lose_cluster().pass("3s");
    assert_eq!((sim.notes.len(), sim.recalls, sim.weights().as_str()), (0, 0, "v1=100"));
}

#[test]
fn a_new_plan_asks_the_notes_once_and_starts_where_they_have_nothing() {
    let sim = noting();
    assert_eq!(sim.recalls, 1);
    assert_eq!(sim.reason().name(), "Settled");
}

#[test]
fn a_lost_cluster_goes_on_from_the_step_that_passed_and_holds_it_anew() {
    let mut sim = noting();
    sim.push(to_v2()).pass("10m");
    assert_eq!(sim.weights(), "v1=75 v2=25");
    sim.trace();
    // The subsets come first, and are waited for.
    sim.lose_cluster().pass("2s");
    assert_eq!(sim.trace(), ["v1=90 v2=10"], "10 passed, 25 did not");
    let journal = sim.journal();
    assert_eq!((journal.entered, journal.elapsed_ms), (sim.now, 0));
    sim.pass("5m");
    assert_eq!(sim.trace(), [""; 0], "its hold begins anew, and counts from convergence");
    sim.pass("3s");
    assert_eq!(sim.trace(), ["v1=75 v2=25"]);
    sim.pass("1h");
    assert_eq!((sim.weights().as_str(), sim.reason().name()), ("v2=100", "Settled"));
}

#[test]
fn nothing_is_guessed_while_the_notes_are_not_read() {
    let mut sim = noting();
    sim.push(to_v2()).pass("10m");
    sim.unread = Some("no route to host".into());
    sim.lose_cluster().settle_now();
    let (asked, recalls) = (sim.now, sim.recalls);
    sim.pass("1h");
    let reason = sim.reason();
    assert_eq!((reason.name(), reason.needs_a_person(), sim.weights().as_str()), ("NotesNotRead", false, "-"));
    let text = reason.to_string();
    assert!(text.contains(&asked.to_string()) && text.contains("no route to host"), "{text}");
    assert_eq!(sim.recalls, recalls, "a worker asks once: whoever reads them tries again");
    sim.unread = None;
    sim.trace();
    sim.read_notes().pass("2s");
    assert_eq!(sim.trace(), ["v1=90 v2=10"]);
}

#[test]
fn a_position_that_cannot_be_read_holds() {
    for (text, name) in [("{}", "NoteUnreadable"), ("", "NoteUnreadable"), (r#"{"v": 99}"#, "JournalNewer")] {
        let mut sim = noting();
        sim.position = Some(text.into());
        sim.lose_cluster().pass("1h");
        assert_eq!((sim.reason().name(), sim.reason().needs_a_person(), sim.weights().as_str()), (name, true, "-"));
        assert!((60..=63).contains(&sim.recalls), "{} times in an hour", sim.recalls);
        // A person has taken it out.
        sim.position = None;
        sim.pass("63s");
        assert_eq!(sim.weights(), "v1=100");
    }
}

#[test]
fn another_plans_position_is_none() {
    let mut sim = noting();
    sim.push(to_v2()).pass("10m");
    let mut journal = Journal::decode(sim.position.as_ref().unwrap()).unwrap();
    let mut sim = Sim::new().noting();
    sim.position = Some(journal.encode().unwrap());
    sim.push(to_v2().name("other")).pass("2s");
    assert_eq!(sim.weights(), "v1=100", "it starts from `from`");
    // The same name, and another route.
    let mut sim = Sim::new().noting();
    journal.owner.plan.name = "other".into();
    sim.position = Some(journal.encode().unwrap());
    let mut other = to_v2().name("other");
    other.0.routing.service = crate::plan::Host::resolve("other", "shop");
    sim.push(other).pass("2s");
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn a_plan_that_goes_on_under_another_name_leaves_none_behind() {
    let mut sim = noting();
    sim.push(to_v2()).pass("2h").push(to_v2().name("other")).pass("1m");
    let notes: Vec<(String, bool)> =
        sim.notes.iter().map(|note| (note.plan.clone(), note.position == Some(Position::Over))).collect();
    assert_eq!(notes[notes.len() - 2..], [("plans/shop/web".into(), true), ("plans/shop/other".into(), false)]);
}

#[test]
fn a_lost_journal_of_a_live_route_is_taken_from_a_note_of_the_same_document_alone() {
    let lose = |sim: &mut Sim| {
        for kind in [ObjectKind::VirtualService, ObjectKind::DestinationRule] {
            let mut object = serde_json::Value::clone(&sim.api.objects[&kind]);
            object["metadata"]["annotations"].as_object_mut().unwrap().remove(crate::rollout::JOURNAL);
            sim.api.put(kind, object);
        }
        sim.crash().settle_now();
    };
    let mut sim = noting();
    sim.push(to_v2()).pass("10m");
    let older = sim.position.clone();
    sim.trace();
    lose(&mut sim);
    assert_eq!(sim.trace(), ["v1=90 v2=10"], "what has not passed there is put back");
    sim.push(plan("v2=100").steps("10:5m 50:10m").from("v1=100")).pass("1m");
    assert_eq!(sim.weights(), "v1=90 v2=10");
    sim.position = older;
    lose(&mut sim);
    assert_eq!((sim.reason().name(), sim.weights().as_str()), ("JournalLost", "v1=90 v2=10"));
}

#[test]
fn what_others_made_in_a_rebuilt_cluster_is_left_alone() {
    let mut sim = noting();
    sim.push(to_v2()).pass("10m");
    sim.lose_cluster();
    let foreign = serde_json::json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "web", "namespace": "shop"}, "spec": {"host": "web"}});
    sim.api.put(ObjectKind::DestinationRule, foreign.clone());
    sim.crash().settle_now();
    assert_eq!((sim.reason().name(), sim.weights().as_str()), ("OwnedBySomebodyElse", "-"));
    assert_eq!(sim.api.objects[&ObjectKind::DestinationRule]["spec"], foreign["spec"]);
}

#[test]
fn pods_that_are_not_there_yet_have_not_failed_and_a_revert_does_not_wait_for_them() {
    let mut sim = noting();
    sim.push(to_v2()).pass("10m");
    sim.lose_cluster();
    sim.around.ready.insert("v2".into(), Some(0));
    sim.settle_now();
    sim.pass("1h");
    assert_eq!((sim.reason().name(), sim.weights().as_str()), ("EndpointsNotReady", "-"));
    let mut late = sim.clone();
    late.ready("v2", 2).pass("2s");
    assert_eq!(late.weights(), "v1=90 v2=10");
    assert_eq!(late.orders, [], "nothing went back");
    sim.push(on_v1()).pass("2s");
    assert_eq!(sim.weights(), "v1=100");
}

#[test]
fn what_failed_is_not_tried_again_in_a_rebuilt_cluster() {
    let mut sim = noting();
    sim.push(to_v2()).pass("10m").ready("v2", 0).pass("11s").ready("v2", 2);
    sim.trace();
    let orders = sim.orders.len();
    sim.lose_cluster().pass("2h");
    assert_eq!((sim.trace(), sim.reason().name()), (vec!["v1=100".to_owned()], "WentBack"));
    assert_eq!(sim.orders.len(), orders + 1, "and Git is still to follow");
}

#[test]
fn a_paused_plan_resumes_and_stays_there() {
    let mut sim = noting();
    sim.push(to_v2()).pass("6m");
    let mut paused: Draft = to_v2();
    paused.0.pause = true;
    sim.push(paused).pass("1h");
    sim.trace();
    sim.lose_cluster().pass("1h");
    assert_eq!((sim.trace(), sim.reason().name()), (vec!["v1=90 v2=10".to_owned()], "Paused"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// Law 2: wherever a cluster is lost and whatever was pushed meanwhile, what is written there first gives no
    /// unproven version more than the step that the notes have, and the next raise waits for its whole hold (law 7).
    #[test]
    fn law_02_and_07_a_rebuilt_cluster_never_starts_above_the_noted_step(
        minutes in 0_i64..50,
        fails in any::<bool>(),
        meanwhile in prop::option::of((prop::sample::select(vec!["v1=100", "v2=100", "v1=50 v2=50", "v3=100"]), any::<bool>())),
    ) {
        let mut sim = noting();
        sim.push(to_v2()).pass_ms(minutes * 60_000 + 7_000);
        if fails {
            sim.ready("v2", 0).pass("11s").ready("v2", 2);
        }
        let noted = Journal::decode(sim.position.as_ref().unwrap()).unwrap();
        if let Some((target, steps)) = meanwhile {
            // Nobody was there to see it.
            sim.commit(plan(target).steps(if steps { STEPS } else { "10:5m" }).from("v1=100"));
        }
        sim.trace();
        sim.lose_cluster().pass("2s");
        let first = sim.trace();
        prop_assert_eq!(first.len(), 1, "{:?}", first);
        let weights = traffic(&first[0]);
        for version in &noted.state.routing.versions {
            let most = noted.state.traffic.weight(&version.name).max(noted.proven(version));
            prop_assert!(weights.weight(&version.name) <= most, "{} of {}", first[0], noted.state.traffic);
        }
        let hold_ms = i64::try_from(sim.journal().hold.seconds()).unwrap() * 1_000;
        let walks = matches!(sim.journal().phase, Phase::Walking { .. });
        if walks {
            sim.pass_ms(hold_ms);
            prop_assert_eq!(sim.trace(), Vec::<String>::new(), "convergence comes before the hold");
        }
    }
}
