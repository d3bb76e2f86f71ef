//! The forms of names, labels and durations.

/// Whether this is a DNS label (RFC 1123): up to 63 of `a-z`, `0-9` and `-`, no `-` at either end.
pub(super) fn is_dns_label(text: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    (1..=63).contains(&text.len())
        && text.as_bytes().iter().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether this is a DNS subdomain: labels joined by dots, up to 253 bytes.
pub(super) fn is_dns_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_dns_label)
}

/// Whether this is a host: a DNS name, `*`, or `*.` before a DNS name.
pub(super) fn is_host(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower == "*" || is_dns_subdomain(lower.strip_prefix("*.").unwrap_or(&lower))
}

/// Whether this is a gateway as written: `mesh`, `name` or `namespace/name`.
pub(super) fn is_gateway(text: &str) -> bool {
    match text.split_once('/') {
        Some((namespace, name)) => is_dns_label(namespace) && is_dns_subdomain(name),
        None => is_dns_subdomain(text),
    }
}

/// Whether this can name a route, pin or step: up to 63 letters, digits, `-`, `_` and `.`.
pub(super) fn is_rule_name(text: &str) -> bool {
    is_label_value(text) && !text.is_empty()
}

/// Whether this is a label's key: a name of up to 63 bytes, optionally after a DNS subdomain and `/`.
pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_dns_subdomain(prefix) && is_rule_name(name),
        None => is_rule_name(text),
    }
}

/// Whether this is a label's value: empty, or up to 63 letters, digits, `-`, `_` and `.`, a letter or digit at both ends.
pub(super) fn is_label_value(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let ends = text.chars().next().into_iter().chain(text.chars().next_back());
    text.len() <= 63 && text.chars().all(inner) && ends.into_iter().all(|c| c.is_ascii_alphanumeric())
}

/// The nanoseconds of a duration as Istio writes it, e.g. `1.5s` or `1h10m`; none where it is no duration.
pub(super) fn duration_ns(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 6] = [("ms", 1e6), ("us", 1e3), ("ns", 1.0), ("h", 3.6e12), ("m", 6e10), ("s", 1e9)];
    let mut rest = text;
    let mut sum = 0.0;
    while !rest.is_empty() {
        let (digits, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| tail.starts_with(unit))?;
        sum += digits.parse::<f64>().ok()? * factor;
        rest = tail.get(unit.len()..)?;
    }
    (!text.is_empty()).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_forms_that_kubernetes_asks_for() {
        assert!(is_dns_label("v1") && !is_dns_label("-v") && !is_dns_label("V1") && !is_dns_label(&"a".repeat(64)));
        assert!(is_host("*.example.com") && is_host("*") && !is_host("a*.b") && !is_host("a..b") && !is_host(""));
        assert!(is_gateway("ns/gw") && is_gateway("mesh") && !is_gateway("a/b/c") && !is_gateway("/gw"));
        assert!(is_label_key("app.kubernetes.io/name") && !is_label_key("a/b/c") && !is_label_key(""));
        assert!(is_label_value("") && is_label_value("v1.2_a") && !is_label_value("a b") && !is_label_value("-a"));
    }

    #[test]
    fn durations_are_summed_over_their_units() {
        assert_eq!(duration_ns("1.5s"), Some(1.5e9));
        assert_eq!(duration_ns("1h10m"), Some(4.2e12));
        assert_eq!(duration_ns("500us"), Some(5e5));
        assert_eq!((duration_ns(""), duration_ns("10"), duration_ns("s"), duration_ns("1w")), (None, None, None, None));
    }
}
