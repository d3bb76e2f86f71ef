//! What the pods of a version run: proof belongs to that, not to the labels alone.

use std::{collections::BTreeSet, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::plan::Digest;

/// The most kinds of pods whose images are told apart within a version: with more of them nothing is known.
const KINDS_MAX: usize = 4;
/// The longest text that is kept of one pod's images; of a longer one the beginning and its digest.
const CHARS_MAX: usize = 300;
const CHARS_KEPT: usize = 200;
/// Hex digits kept of each digest.
const HEX: usize = 16;
/// Between what the spec names and what that was resolved to.
const IS: &str = " = ";

/// What one pod runs: the images of its containers as its spec names them and, where the kubelet has told them, the digests
/// that these names were resolved to, as a tag may be moved. A name that has a digest of its own needs none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Image(Arc<str>);

impl Image {
    /// The images of a pod's containers, each with the digest that it was resolved to; none where there are none.
    pub fn of<'a>(containers: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Option<Self> {
        let mut containers: Vec<(String, Option<&str>)> =
            containers.into_iter().map(|(image, digest)| (plain(image), digest)).collect();
        containers.sort_unstable();
        let names: Vec<&str> = containers.iter().map(|(name, _)| name.as_str()).collect();
        let name = shortened(names.join(", "));
        let digests = containers.iter().filter(|(name, _)| !name.contains('@'));
        let digests: Option<Vec<&str>> = digests.map(|(_, digest)| digest.map(hex)).collect();
        let text = match digests.map(|digests| digests.join("+")) {
            _ if containers.is_empty() => return None,
            Some(digests) if digests.len() > 4 * HEX => format!("{name}{IS}{}", hex(&Digest::of(&digests).to_string())),
            Some(digests) if !digests.is_empty() => format!("{name}{IS}{digests}"),
            _ => name,
        };
        Some(Self(text.into()))
    }

    fn parts(&self) -> (&str, Option<&str>) {
        self.0.split_once(IS).map_or((&*self.0, None), |(name, digest)| (name, Some(digest)))
    }

    /// Whether it may be the same: where one of the digests is not known, the names decide.
    fn may_be(&self, other: &Self) -> bool {
        let ((one, this), (two, that)) = (self.parts(), other.parts());
        one == two && this.zip(that).is_none_or(|(this, that)| this == that)
    }

    /// How many places hold this very text.
    pub fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

/// Names of images have no white space; whatever else somebody has written there must not be taken for our own marks.
fn plain(image: &str) -> String {
    image.chars().map(|c| if c.is_whitespace() || c.is_control() { '?' } else { c }).collect()
}

fn shortened(text: String) -> String {
    if text.chars().count() <= CHARS_MAX {
        return text;
    }
    let begins: String = text.chars().take(CHARS_KEPT).collect();
    format!("{begins}… {}", hex(&Digest::of(&text).to_string()))
}

fn hex(digest: &str) -> &str {
    let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
    digits.get(..HEX).unwrap_or(digits)
}

impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// What the pods of a version run, each kind of pod once: while it is rolled out there are two.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Images(Arc<[Image]>);

impl Images {
    /// The images of these pods; none where there are none, or more kinds than are told apart.
    pub fn of(pods: impl IntoIterator<Item = Image>) -> Option<Self> {
        let kinds: BTreeSet<Image> = pods.into_iter().collect();
        (1..=KINDS_MAX).contains(&kinds.len()).then(|| Self(kinds.into_iter().collect()))
    }

    /// The images of each kind of pod.
    pub fn iter(&self) -> impl Iterator<Item = &Image> {
        self.0.iter()
    }

    /// Whether nothing runs in `seen` that is not among these. Pods that are gone, and a second cluster of which nothing is
    /// known, show less: that is no other image.
    pub(super) fn cover(&self, seen: &Self) -> bool {
        seen.iter().all(|image| self.iter().any(|own| own.may_be(image)))
    }

    /// The same with the digests that `seen` tells; none where it tells none that is not known.
    pub(super) fn refined(&self, seen: &Self) -> Option<Self> {
        let lacks = |own: &Image| own.parts().1.is_none() && !own.0.contains('@');
        let told = |own: &Image| {
            let digested: Vec<Image> =
                seen.iter().filter(|image| image.parts().1.is_some() && own.may_be(image)).cloned().collect();
            if lacks(own) && !digested.is_empty() { digested } else { vec![own.clone()] }
        };
        let refined = Self::of(self.iter().flat_map(told))?;
        (refined != *self).then_some(refined)
    }

    /// No fewer bytes than its JSON has.
    pub(super) fn bytes_at_most(&self) -> usize {
        self.iter().map(|image| 6 * image.0.len() + 8).sum()
    }

    /// That these were followed by others, for people; digests are told where the names are the same.
    pub fn change(&self, to: &Self) -> ImageChange {
        let names = |images: &Self| images.iter().map(|image| image.parts().0.to_owned()).collect::<BTreeSet<_>>();
        let alike = !names(self).is_disjoint(&names(to));
        let text = |images: &Self| {
            let one = |image: &Image| match image.parts() {
                (name, Some(digest)) if alike => format!("{name} ({digest})"),
                (name, _) => name.to_owned(),
            };
            let kinds: BTreeSet<String> = images.iter().map(one).collect();
            kinds.into_iter().collect::<Vec<_>>().join(" and ")
        };
        ImageChange { from: text(self), to: text(to) }
    }
}

impl Serialize for Images {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Images {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|images| Self(images.into()))
    }
}

/// That other images run behind the same labels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageChange {
    /// What ran.
    pub from: String,
    /// What runs now.
    pub to: String,
}

impl fmt::Display for ImageChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.from, self.to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(image: &str, digest: Option<&str>) -> Image {
        Image::of([(image, digest)]).unwrap()
    }

    fn images(pods: &[(&str, Option<&str>)]) -> Images {
        Images::of(pods.iter().map(|(image, digest)| pod(image, *digest))).unwrap()
    }

    #[test]
    fn the_order_of_containers_tells_nothing_and_each_of_them_counts() {
        let pod = |containers: &[&'static str]| Image::of(containers.iter().map(|image| (*image, None)));
        assert_eq!(pod(&["web:1", "log:1"]), pod(&["log:1", "web:1"]));
        assert_ne!(pod(&["web:1", "log:1"]), pod(&["web:1", "log:2"]));
        assert_ne!(pod(&["web:1", "web:1"]), pod(&["web:1"]));
        assert_eq!(pod(&[]), None);
    }

    #[test]
    fn less_is_no_other_image_and_more_is() {
        let (one, two) = (images(&[("web:1", None)]), images(&[("web:1", None), ("web:2", None)]));
        assert!(one.cover(&one) && two.cover(&one), "a rollout that ends");
        assert!(!one.cover(&two), "a rollout that begins");
        assert!(!one.cover(&images(&[("web:2", None)])));
    }

    #[test]
    fn a_tag_that_was_moved_is_another_image_and_a_digest_that_is_told_later_is_not() {
        let named = images(&[("web:latest", None)]);
        let (one, two) = (images(&[("web:latest", Some("sha256:aa"))]), images(&[("web:latest", Some("sha256:bb"))]));
        assert!(named.cover(&one) && one.cover(&named));
        assert!(!one.cover(&two));
        assert_eq!(named.refined(&one), Some(one.clone()));
        assert_eq!((one.refined(&two), one.refined(&named), named.refined(&named)), (None, None, None));
        let pinned = images(&[("web@sha256:aa", None)]);
        assert_eq!(images(&[("web@sha256:aa", Some("sha256:cc"))]), pinned, "nodes may tell it differently");
        assert_eq!(one.change(&two).to_string(), "from web:latest (aa) to web:latest (bb)");
        assert_eq!(one.change(&images(&[("web:2", Some("cc"))])).to_string(), "from web:latest to web:2");
    }

    #[test]
    fn what_is_long_is_shortened_and_still_told_apart() {
        let long = |end: &str| format!("{}{end}", "x".repeat(1_000));
        let (one, two) = (pod(&long("1"), None), pod(&long("2"), None));
        assert!(one != two && one.0.len() < 300, "{one:?}");
        let many: Vec<String> = (0..50).map(|n| format!("web:{n}")).collect();
        let digest = "a".repeat(64);
        let pod = Image::of(many.iter().map(|image| (image.as_str(), Some(digest.as_str())))).unwrap();
        assert!(pod.0.len() < 400, "{pod:?}");
        let kinds =
            |count: u32| Images::of((0..count).map(|n| Image::of([(format!("web:{n}").as_str(), None)]).unwrap()));
        assert!(kinds(4).is_some() && kinds(5).is_none() && kinds(0).is_none());
    }

    #[test]
    fn no_json_is_longer_than_it_is_thought_to_be_at_most() {
        let images = images(&[("we\"b:1", Some("sha256:aa")), ("ü\\:2", None)]);
        let text = serde_json::to_string(&images).unwrap();
        assert!(text.len() <= images.bytes_at_most() + 2);
        assert_eq!(serde_json::from_str::<Images>(&text).unwrap(), images);
    }
}
