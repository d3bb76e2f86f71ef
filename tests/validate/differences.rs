//! Where the rules and Istio differ on purpose, and why: never the other way round.

use tidegate::istio::rules::Found;

/// Codes whose errors stand for objects that Istio's webhook takes, and why.
pub const STRICTER: [(&str, &str); 12] = [
    ("TG01", "Istio takes it and the later route gets nothing"),
    ("TG02", "Istio takes it and the subset selects every pod"),
    ("TG03", "Istio takes it and pods are of two subsets"),
    ("TG04", "Istio takes it and ignores the weight"),
    ("TG05", "Istio takes any sum; people and older versions read weights as percentages"),
    ("TG06", "Istio takes it and the fault hits every request, or none"),
    ("TG07", "Istio takes it and ignores the labels"),
    ("TG08", "Istio takes it for an external name"),
    ("TG16", "Istio takes it and copies every request"),
    ("IST0106", "the API server refuses by the resource definition what the webhook takes"),
    ("VS08", "Istio looks at no gateway after the first that is named without its namespace"),
    ("DR05", "Istio looks at localities in the order of a map, which changes"),
];

/// The codes of errors that no reason above covers, for an object that Istio takes.
pub fn unexplained(found: &[Found], is_error: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let errors = found.iter().filter(|found| is_error(found.code)).map(|found| found.code);
    errors.filter(|code| !STRICTER.iter().any(|(known, _)| known == code)).collect()
}
