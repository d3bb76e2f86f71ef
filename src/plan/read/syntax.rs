//! The forms of names, labels and durations.

/// Whether this is a DNS label (RFC 1123): up to 63 of `a-z`, `0-9` and `-`, no `-` at either end.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    (1..=63).contains(&text.len())
        && text.as_bytes().iter().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether this is a DNS subdomain: labels joined by dots, up to 253 bytes.
pub(crate) fn is_dns_subdomain(text: &str) -> bool {
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
pub(crate) fn is_rule_name(text: &str) -> bool {
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
pub(crate) fn duration_ns(text: &str) -> Option<i64> {
    const UNITS: [(&str, i128); 8] = [
        ("ns", 1),
        ("us", 1_000),
        ("\u{b5}s", 1_000),
        ("\u{3bc}s", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ];
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    let mut sum = None;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, factor) = UNITS.iter().find(|(known, _)| *known == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.len() + fraction.len() == 0 || number.len() > 30 {
            return None;
        }
        let whole = if whole.is_empty() { 0 } else { whole.parse::<i128>().ok()?.checked_mul(*factor)? };
        let mut share = *factor;
        let parts = fraction.chars().map(|digit| {
            share /= 10;
            digit.to_digit(10).map(|digit| i128::from(digit) * share)
        });
        let parts: Option<i128> = parts.sum();
        sum = Some(sum.unwrap_or(0_i128).checked_add(whole)?.checked_add(parts?)?);
        rest = tail;
    }
    i64::try_from(sign * sum?).ok()
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
        let known = [("1.5s", 1_500_000_000), ("1h10m", 4_200_000_000_000), ("500us", 500_000), ("-.5ms", -500_000)];
        for (text, ns) in known.into_iter().chain([("0", 0), ("2.s", 2_000_000_000), ("1\u{b5}s", 1_000)]) {
            assert_eq!(duration_ns(text), Some(ns), "{text}");
        }
        for text in ["", "10", "s", "1w", ".s", "1..5s", "-", "99999999h", "1 s"] {
            assert_eq!(duration_ns(text), None, "{text}");
        }
    }
}
