//! Reads weights per version.

use super::super::{Traffic, TrafficError, Version, VersionName, codes, node::Node, report::Report};

/// The weights of the field `traffic` or `from`; none where they are absent or wrong.
pub(super) fn read(field: &str, spec: &Node, versions: &[Version], report: &mut Report<'_>) -> Option<Traffic> {
    let entry = spec.entry(field).filter(|entry| entry.node.is_map())?;
    let mut weights = Vec::new();
    for share in entry.node.entries() {
        if !versions.is_empty() && !versions.iter().any(|version| version.name.as_str() == share.key) {
            unknown_version(&share.key, &share.key_span, versions, report);
        }
        let weight = share.node.whole().and_then(|weight| u8::try_from(weight).ok()).filter(|weight| *weight <= 100);
        weights.push(weight.map(|weight| (VersionName::new(share.key.clone()), weight)));
    }
    let weights: Vec<_> = weights.into_iter().collect::<Option<_>>()?;
    match Traffic::new(weights) {
        Ok(traffic) => Some(traffic),
        Err(TrafficError::Sum(sum)) => {
            let message = format!("`{field}`: {}", TrafficError::Sum(sum));
            let hint = match sum.checked_sub(100) {
                Some(more) => format!("take {more} off"),
                None => format!("give one of them {} more", 100_u32.saturating_sub(sum)),
            };
            report.hint(codes::TG05, &entry.key_span, message, hint);
            None
        }
    }
}

/// Reports a version that is not declared.
pub(super) fn unknown_version(name: &str, at: &std::ops::Range<usize>, versions: &[Version], report: &mut Report<'_>) {
    let message = format!("version `{name}` is not declared in `versions`");
    report.unknown(codes::PL07, at, message, name, versions.iter().map(|version| version.name.as_str()));
}
