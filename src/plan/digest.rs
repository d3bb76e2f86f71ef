//! The identity of content: SHA-256 over canonical JSON.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// SHA-256 of a JSON value in RFC 8785 form: key order, comments and white space change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// The digest of a JSON value.
    pub fn of(value: &Value) -> Self {
        // Canonical form fails on numbers that are not finite, which a JSON value cannot hold.
        let canonical = serde_json_canonicalizer::to_vec(value).unwrap_or_else(|_| value.to_string().into_bytes());
        let hash = Sha256::digest(&canonical);
        Self(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The first 8 hex digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(..8).unwrap_or(&self.0)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_order_and_number_notation_change_nothing() {
        let one: Value = serde_json::from_str(r#"{"b": 1.0, "a": [true, "x"]}"#).unwrap();
        let two: Value = serde_json::from_str(r#"{"a": [true, "x"], "b": 1}"#).unwrap();
        assert_eq!(Digest::of(&one), Digest::of(&two));
        assert_ne!(Digest::of(&one), Digest::of(&Value::Null));
        assert_eq!(Digest::of(&Value::Null).to_string().len(), 64);
    }
}
