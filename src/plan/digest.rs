//! The identity of content: SHA-256 over canonical JSON.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::name;

/// SHA-256 of a JSON value in RFC 8785 form: key order, comments and white space change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Arc<str>);

impl Digest {
    /// The digest of what serializes to JSON.
    pub fn of(value: &impl Serialize) -> Self {
        // Canonical form fails on numbers that are not finite, which a JSON value cannot hold.
        let canonical = serde_json_canonicalizer::to_vec(value).or_else(|_| serde_json::to_vec(value));
        let hash = Sha256::digest(canonical.unwrap_or_default());
        let mut hex = String::with_capacity(2 * hash.len());
        for byte in hash {
            // Text takes whatever is written to it.
            let _ = write!(hex, "{byte:02x}");
        }
        Self(hex.into())
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

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name::shared(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

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
