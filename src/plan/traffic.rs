//! Shares of traffic that add up to 100 by construction (law 1).

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize, Serializer};

use super::VersionName;

/// Percent of all requests per version. Weights are integers, sum to 100, and none is 0: a version without
/// traffic is left out. Sorted by name: every plan is held many times over, and a map would be many times as large.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "BTreeMap<VersionName, u8>")]
pub struct Traffic(Box<[(VersionName, u8)]>);

/// Why weights are no traffic.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrafficError {
    /// The weights do not add up.
    #[error("weights add up to {0}, not to 100")]
    Sum(u32),
}

impl Traffic {
    /// Builds traffic from weights; entries of 0 are dropped.
    ///
    /// # Errors
    /// [`TrafficError::Sum`] unless the weights add up to 100.
    pub fn new(weights: impl IntoIterator<Item = (VersionName, u8)>) -> Result<Self, TrafficError> {
        let mut kept = BTreeMap::new();
        let mut sum = 0_u32;
        for (version, weight) in weights {
            sum += u32::from(weight);
            if weight > 0 {
                kept.insert(version, weight);
            }
        }
        let distinct: u32 = kept.values().map(|weight| u32::from(*weight)).sum();
        if sum == 100 && distinct == 100 { Ok(Self(kept.into_iter().collect())) } else { Err(TrafficError::Sum(sum)) }
    }

    /// All requests to one version.
    pub fn all(version: VersionName) -> Self {
        Self(Box::new([(version, 100)]))
    }

    /// The version's weight in percent, 0 if it has none.
    pub fn weight(&self, version: &VersionName) -> u8 {
        self.iter().find(|(name, _)| *name == version).map_or(0, |(_, weight)| weight)
    }

    /// The versions with a weight above 0, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&VersionName, u8)> {
        self.0.iter().map(|(version, weight)| (version, *weight))
    }
}

impl TryFrom<BTreeMap<VersionName, u8>> for Traffic {
    type Error = TrafficError;

    fn try_from(weights: BTreeMap<VersionName, u8>) -> Result<Self, Self::Error> {
        Self::new(weights)
    }
}

impl Serialize for Traffic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl fmt::Display for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (version, weight)) in self.iter().enumerate() {
            let gap = if position == 0 { "" } else { " " };
            write!(f, "{gap}{version}={weight}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn law_01_weights_add_up() {
        let of = |weights: &[(&str, u8)]| {
            Traffic::new(weights.iter().map(|(version, weight)| (VersionName::new(*version), *weight)))
        };
        assert_eq!(of(&[("v1", 90), ("v2", 10), ("v3", 0)]).unwrap().to_string(), "v1=90 v2=10");
        assert_eq!(of(&[("v1", 90), ("v2", 5)]), Err(TrafficError::Sum(95)));
        assert_eq!(of(&[]), Err(TrafficError::Sum(0)));
        assert_eq!(of(&[("v1", 50), ("v1", 50)]), Err(TrafficError::Sum(100)));
    }
}
