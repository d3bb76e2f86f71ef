//! Which of the configured clusters a plan goes to.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The clusters of the configuration by name, each with its labels.
pub type Known = BTreeMap<String, BTreeMap<String, String>>;

/// What a plan says of its clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Chosen {
    /// It goes to every cluster.
    #[default]
    All,
    /// To those of these names; never empty, names distinct.
    Named(Vec<String>),
    /// To those that have all of these labels; never empty.
    Labelled(BTreeMap<String, String>),
}

/// Why a plan has not the clusters that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unchosen {
    /// No cluster is called so.
    Unknown {
        /// Which name of `clusters` it is; none: it stands elsewhere.
        place: Option<usize>,
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// No cluster has the labels.
    Nobody {
        /// The labels, as they are written on one line.
        labels: String,
        /// Whatever the clusters have.
        known: Vec<String>,
    },
}

impl Chosen {
    /// Whether nothing was chosen; for serialization.
    pub fn is_all(&self) -> bool {
        *self == Self::All
    }

    /// Whether it is one cluster, whichever others there are.
    pub fn is_one(&self) -> bool {
        matches!(self, Self::Named(names) if names.len() == 1)
    }

    /// Those of the clusters that are chosen. A name that is none of them is left out: [`Self::check`] tells.
    pub fn of(&self, known: &Known) -> BTreeSet<String> {
        let is_chosen = |(name, labels): &(&String, &BTreeMap<String, String>)| match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
            Self::Labelled(asked) => asked.iter().all(|(key, value)| labels.get(key) == Some(value)),
        };
        known.iter().filter(is_chosen).map(|(name, _)| name.clone()).collect()
    }

    /// # Errors
    /// Where a name is none of the clusters, or labels select none.
    pub fn check(&self, known: &Known) -> Result<(), Unchosen> {
        match self {
            Self::Named(names) => named(names, known),
            Self::Labelled(labels) if self.of(known).is_empty() => {
                let there: BTreeSet<String> = known.values().flatten().map(pair).collect();
                let labels: Vec<String> = labels.iter().map(pair).collect();
                Err(Unchosen::Nobody { labels: labels.join(","), known: there.into_iter().collect() })
            }
            Self::All | Self::Labelled(_) => Ok(()),
        }
    }
}

/// # Errors
/// The first of the names that is none of the clusters.
fn named<'a>(names: impl IntoIterator<Item = &'a String>, known: &Known) -> Result<(), Unchosen> {
    let unknown = names.into_iter().enumerate().find(|(_, name)| !known.contains_key(*name));
    unknown.map_or(Ok(()), |(place, name)| {
        Err(Unchosen::Unknown { place: Some(place), name: name.clone(), known: known.keys().cloned().collect() })
    })
}

/// # Errors
/// Where a wave names what is none of the clusters.
pub(super) fn in_waves(waves: &[Vec<String>], known: &Known) -> Result<(), Unchosen> {
    named(waves.iter().flatten(), known).map_err(|unchosen| match unchosen {
        Unchosen::Unknown { name, known, .. } => Unchosen::Unknown { place: None, name, known },
        nobody => nobody,
    })
}

fn pair((key, value): (&String, &String)) -> String {
    format!("{key}={value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let labels =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        [
            ("eu-1", labels(&[("region", "eu"), ("tier", "one")])),
            ("eu-2", labels(&[("region", "eu")])),
            ("us-1", labels(&[("region", "us")])),
        ]
        .map(|(name, labels)| (name.to_owned(), labels))
        .into()
    }

    fn labelled(pairs: &[(&str, &str)]) -> Chosen {
        Chosen::Labelled(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn clusters_are_chosen_by_name_by_all_labels_or_all_of_them() {
        let of = |chosen: &Chosen| chosen.of(&known()).into_iter().collect::<Vec<_>>();
        assert_eq!(of(&Chosen::All), ["eu-1", "eu-2", "us-1"]);
        assert_eq!(of(&Chosen::Named(vec!["us-1".into(), "eu-1".into()])), ["eu-1", "us-1"]);
        assert_eq!(of(&labelled(&[("region", "eu")])), ["eu-1", "eu-2"]);
        assert_eq!(of(&labelled(&[("region", "eu"), ("tier", "one")])), ["eu-1"]);
    }

    #[test]
    fn what_chooses_nothing_says_what_there_is() {
        let unknown = Chosen::Named(vec!["eu-1".into(), "eu-9".into()]).check(&known()).unwrap_err();
        let Unchosen::Unknown { place: Some(1), name, known: there } = unknown else { panic!("{unknown:?}") };
        assert_eq!((name.as_str(), there.len()), ("eu-9", 3));
        let nobody = labelled(&[("region", "eu"), ("tier", "two")]).check(&known()).unwrap_err();
        let Unchosen::Nobody { labels, known: there } = nobody else { panic!("{nobody:?}") };
        assert_eq!(labels, "region=eu,tier=two");
        assert_eq!(there, ["region=eu", "region=us", "tier=one"]);
        assert!(Chosen::All.check(&Known::new()).is_ok());
    }
}
