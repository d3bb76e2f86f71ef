//! The difference between two objects as people read it.

use std::time::Duration;

use serde_json::{Value, json};
use similar::TextDiff;

use crate::plan::Digest;

/// The annotation that holds the journal: compressed, of no use to a reader of differences.
const JOURNAL: &str = "tidegate.dev/journal";

/// What the server sets and nobody asks for.
const SERVER_FIELDS: [&str; 5] = ["managedFields", "resourceVersion", "generation", "uid", "creationTimestamp"];

/// A coarser difference is better than a late one.
const DEADLINE: Duration = Duration::from_millis(500);

/// The unified difference of two objects in the form that `to_yaml` gives them; empty when they read the same. A
/// missing object is `/dev/null`. What servers set is left out, and the journal is shortened to its size and digest.
pub fn unified(
    before: Option<&Value>,
    after: Option<&Value>,
    label: &str,
    to_yaml: impl Fn(&Value) -> String,
) -> String {
    let text = |object: Option<&Value>| object.map(|object| to_yaml(&readable(object))).unwrap_or_default();
    let name = |side: &str, object: Option<&Value>| match object {
        Some(_) => format!("{side}/{label}"),
        None => "/dev/null".to_owned(),
    };
    let (old, new) = (text(before), text(after));
    let diff = TextDiff::configure().timeout(DEADLINE).diff_lines(old.as_str(), new.as_str());
    diff.unified_diff().header(&name("live", before), &name("plan", after)).to_string()
}

fn readable(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    metadata.retain(|field, _| !SERVER_FIELDS.contains(&field.as_str()));
    if let Some(journal) = metadata.get_mut("annotations").and_then(|annotations| annotations.get_mut(JOURNAL)) {
        let bytes = journal.as_str().map_or(0, str::len);
        *journal = json!(format!("<journal {bytes} bytes, {}>", Digest::of(journal).short()));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::{super::fixtures::outline, *};

    fn object(weight: u8, journal: &str, version: &str) -> Value {
        json!({
            "kind": "VirtualService",
            "metadata": {
                "name": "reviews", "uid": version, "resourceVersion": version, "generation": 3, "managedFields": [{}],
                "creationTimestamp": version, "annotations": {JOURNAL: journal, "team": "shop"},
            },
            "spec": {"weight": weight},
            "status": {"observed": version},
        })
    }

    #[test]
    fn a_reader_sees_weights_and_that_the_journal_changed() {
        let text = unified(Some(&object(5, "abc", "1")), Some(&object(10, "abcd", "2")), "default/reviews", outline);
        insta::assert_snapshot!(text, @"
        --- live/default/reviews
        +++ plan/default/reviews
        @@ -2,7 +2,7 @@
         metadata:
           annotations:
             team: shop
        -    tidegate.dev/journal: <journal 3 bytes, 6cc43f85>
        +    tidegate.dev/journal: <journal 4 bytes, ae2e7948>
           name: reviews
         spec:
        -  weight: 5
        +  weight: 10
        ");
    }

    #[test]
    fn what_the_server_sets_is_no_difference() {
        assert_eq!(unified(Some(&object(5, "a", "1")), Some(&object(5, "a", "2")), "x", outline), "");
    }

    #[test]
    fn a_missing_object_is_dev_null() {
        let created = unified(None, Some(&json!({"a": 1})), "x", outline);
        assert_eq!(created, "--- /dev/null\n+++ plan/x\n@@ -0,0 +1 @@\n+a: 1\n");
        let deleted = unified(Some(&json!({"a": 1})), None, "x", outline);
        assert_eq!(deleted, "--- live/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-a: 1\n");
    }

    #[test]
    fn a_huge_difference_is_told_however_coarsely() {
        let object = |seed: u64| json!({"a": (0..40_000).map(|n| (n * seed) % 7_919).collect::<Vec<_>>()});
        let text = unified(Some(&object(31)), Some(&object(17)), "x", outline);
        assert!(text.lines().any(|line| line.starts_with("+- ")) && text.lines().any(|line| line.starts_with("-- ")));
    }
}
