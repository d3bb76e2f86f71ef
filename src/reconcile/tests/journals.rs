//! Journals as a person or a fault may leave them: read, refused, never a panic.

use std::io::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::{Compression, write::DeflateEncoder};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{draft::plan, simulation::Sim};
use crate::{
    istio::ObjectKind,
    rollout::{JOURNAL, Journal, JournalError, decide},
};

fn walking() -> Sim {
    let mut sim = Sim::new();
    sim.push(plan("v1=100").from("v1=100").steps("10:5m")).pass("1m");
    sim.push(plan("v2=100").from("v1=100").steps("10:5m 50:5m")).pass("6m");
    sim
}

fn text(sim: &Sim) -> String {
    sim.api.objects[&ObjectKind::VirtualService]["metadata"]["annotations"][JOURNAL].as_str().unwrap().to_owned()
}

fn packed(json: &[u8]) -> String {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(json).unwrap();
    STANDARD.encode(encoder.finish().unwrap())
}

/// A value that stands where another is expected.
fn odd() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!({"v1": 255})),
        Just(json!({"is": "walking", "weight": 255})),
        Just(json!("3650d")),
        Just(json!("-009999-01-02T01:59:59Z")),
        Just(json!("9999-12-30T22:00:00.999999999Z")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_reading_panic(text in ".{0,200}") {
        prop_assert!(Journal::decode(&text).is_err());
    }

    /// One field is another one: either it is no journal, or deciding on it works, and it can be written again.
    #[test]
    fn a_mutated_journal_never_makes_deciding_panic(place in any::<prop::sample::Index>(), odd in odd(), inner in any::<bool>()) {
        let mut sim = walking();
        let mut value: Value = serde_json::from_str(&text(&sim)).unwrap();
        let fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        let field = place.get(&fields);
        match value[field].as_object_mut().filter(|_| inner).and_then(|map| map.values_mut().next()) {
            Some(first) => *first = odd,
            None => value[field] = odd,
        }
        if let Ok(journal) = Journal::decode(&value.to_string()) {
            prop_assert!(journal.encode().is_ok());
        }
        sim.edit(ObjectKind::VirtualService, |object| object["metadata"]["annotations"][JOURNAL] = json!(value.to_string()));
        sim.crash().pass("1h");
        let world = sim.world();
        prop_assert_eq!(decide(&world, sim.now), decide(&world, sim.now));
    }
}

#[test]
fn a_decompression_bomb_is_refused_at_its_limit() {
    let mut value: Value = serde_json::from_str(&text(&walking())).unwrap();
    value["packed"] = json!(packed(&vec![b' '; 64 << 20]));
    assert!(value.to_string().len() < 128 << 10);
    let error = Journal::decode(&value.to_string()).unwrap_err();
    assert!(matches!(&error, JournalError::Broken(why) if why.contains("more than 8388608 bytes")), "{error}");
}

#[test]
fn fields_that_older_journals_lack_have_their_defaults() {
    let mut value: Value = serde_json::from_str(&text(&walking())).unwrap();
    for field in ["rising", "converged", "elapsedMs", "wayBack", "failed"] {
        value.as_object_mut().unwrap().remove(field);
    }
    let journal = Journal::decode(&value.to_string()).unwrap();
    assert_eq!((journal.converged, journal.elapsed_ms, journal.way_back.is_none()), (None, 0, true));
    value["v"] = json!(2);
    assert_eq!(Journal::decode(&value.to_string()), Err(JournalError::Newer(2)));
}
