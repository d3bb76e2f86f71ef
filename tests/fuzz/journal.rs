//! The journal: whatever stands in the annotation, it is read or refused, and what is read is written as it was.

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};
use serde_json::{Value, json};
use tidegate::rollout::{JOURNAL, JOURNAL_MAX_BYTES, Journal, JournalError};

use crate::mutate::Mutator;
use crate::run::{Target, fuzz};

#[test]
fn journals_are_read_or_refused() {
    fuzz(&Target {
        name: "journal",
        words: &[
            "\"v\":1",
            "\"v\":2",
            "\"routing\":0",
            "\"routing\":1",
            "\"routing\":4294967296",
            "\"phase\":{\"is\":\"settled\"}",
            "\"rising\":[\"v2\"]",
            "\"wayBack\":",
            "\"failed\":[]",
            "\"settled\":[]",
            "\"transitions\":[]",
            "\"elapsedMs\":-1",
            "\"packed\":\"\"",
            "null",
            "[]",
            "{}",
            "\"hold\":\"99999999w\"",
            "\"entered\":\"9999-12-31T23:59:59Z\"",
            "\\u0000",
            "\\ud800",
            "\"v1\":100",
            "\"v3\":0",
            "1e400",
        ],
        reshape,
        check,
    });
}

/// Changes what is packed and packs it again.
fn reshape(input: &[u8], mutator: &mut Mutator) -> Option<Vec<u8>> {
    let mut journal: Value = serde_json::from_slice(input).ok()?;
    let packed = STANDARD.decode(journal.get("packed")?.as_str()?).ok()?;
    let mut inner = Vec::new();
    DeflateDecoder::new(packed.as_slice()).take(1 << 20).read_to_end(&mut inner).ok()?;
    let changed = mutator.mutate(&inner, std::slice::from_ref(&inner));
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&changed).ok()?;
    // Rarely, a bomb: 64 MiB of nothing in 64 KiB.
    for _ in 0..if mutator.one_in(500) { 64 } else { 0 } {
        encoder.write_all(&[b' '; 1 << 20]).ok()?;
    }
    journal["packed"] = json!(STANDARD.encode(encoder.finish().ok()?));
    serde_json::to_vec(&journal).ok()
}

fn check(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not text".to_owned() };
    let object = json!({"metadata": {"annotations": {JOURNAL: text}}});
    let read = Journal::on(&object).unwrap();
    let journal = match read {
        Ok(journal) => journal,
        // The beginning of the words, without what they quote.
        Err(error) => {
            let words: String = error.to_string().split(['`', '"', ':']).take(2).collect();
            return words.chars().filter(|c| !c.is_ascii_digit()).collect();
        }
    };
    match journal.encode() {
        Ok(written) => {
            assert!(written.len() <= JOURNAL_MAX_BYTES);
            let again = Journal::decode(&written).unwrap();
            if written.len() < JOURNAL_MAX_BYTES / 2 {
                assert_eq!(again, journal, "{written}");
            }
            assert_eq!(again.encode().unwrap(), written);
        }
        Err(JournalError::TooLarge(bytes)) => assert!(bytes > JOURNAL_MAX_BYTES),
        Err(error) => panic!("{error}"),
    }
    // What decisions ask of a journal.
    let _ = (
        journal.hold_opens(),
        journal.kept_subsets(),
        journal.is_settled(),
        journal.has_failed(&journal.plan, &journal.rising, |_| None),
    );
    format!("read, {} settled, way back {}", journal.settled.len().min(3), journal.way_back.is_some())
}
