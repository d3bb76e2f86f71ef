//! The forms of names, addresses, durations and header values that Istio accepts.

use core::net::{IpAddr, Ipv6Addr};

use crate::plan::duration_ns;

const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;
const PREFIX_BYTES_MAX: usize = 253;

/// Whether this is a DNS label as Istio has it: capital letters too.
pub(super) fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=LABEL_BYTES_MAX).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// Whether this is a full domain name, with or without a dot at its end.
pub(super) fn is_domain(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && are_labels(text)
}

/// Whether this is a domain name whose first label may be a wildcard: `*`, `*-web` and `*web` too.
pub(super) fn is_wildcard_domain(text: &str) -> bool {
    let (first, rest) = text.split_once('.').map_or((text, None), |(first, rest)| (first, Some(rest)));
    let stem = first.strip_prefix("*-").or_else(|| first.strip_prefix('*')).unwrap_or(first);
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && first.len() <= LABEL_BYTES_MAX
        && (first == "*" || is_label(stem))
        && rest.is_none_or(are_labels)
}

/// Whether the wildcard of a name stands for a part of a label alone.
pub(super) fn is_partial_wildcard(text: &str) -> bool {
    text.contains('*') && text != "*" && !text.starts_with("*.")
}

fn are_labels(text: &str) -> bool {
    let labels: Vec<&str> = text.split('.').collect();
    let Some((last, before)) = labels.split_last() else { return false };
    let last_is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    !last_is_number && before.iter().all(|label| is_label(label)) && (last.is_empty() || is_label(last))
}

/// Whether this is a name of the form that Istio makes for the SNI of its own gateways: `outbound_.80_._.web.shop`.
pub(super) fn is_generated_sni(text: &str) -> bool {
    let parts: Vec<&str> = text.split('_').collect();
    let [first, port, _, host, ..] = parts.as_slice() else { return false };
    *first == "outbound"
        && port.contains(|c: char| c.is_ascii_digit())
        && host.contains(|c: char| c.is_ascii_alphabetic())
        && text.len() <= NAME_BYTES_MAX
}

/// Whether this is an IP address; an IPv6 address may have a zone.
pub(super) fn is_address(text: &str) -> bool {
    match text.split_once('%') {
        Some((address, zone)) => address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty(),
        None => text.parse::<IpAddr>().is_ok(),
    }
}

/// Whether this is an IP address or a range of them, such as `10.0.0.0/8`.
pub(super) fn is_subnet(text: &str) -> bool {
    if text.matches('/').count() != 1 {
        return is_address(text);
    }
    let Some((address, bits)) = text.split_once('/') else { return false };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let digits = bits.bytes().all(|byte| byte.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let most = if address.is_ipv4() { 32 } else { 128 };
    digits && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

/// Whether this is the path of a Unix socket: absolute, or abstract after `@`.
pub(super) fn is_socket(path: &str) -> bool {
    path.starts_with('@') || (path.starts_with('/') && !path.ends_with('/'))
}

/// Whether this is the key of a label.
pub(super) fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    prefix.is_none_or(|prefix| prefix.len() <= PREFIX_BYTES_MAX && prefix.split('.').all(is_label))
        && !name.is_empty()
        && name.len() <= LABEL_BYTES_MAX
        && is_label_value(name)
}

/// Whether this is the value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = text.bytes().next().into_iter().chain(text.bytes().next_back());
    text.bytes().all(inner) && ends.into_iter().all(|byte| byte.is_ascii_alphanumeric())
}

/// Whether this is a port.
pub(super) fn is_port(number: i64) -> bool {
    (1..=65_535).contains(&number)
}

/// What is wrong with a duration, which has to be one of whole milliseconds above 0.
pub(super) fn duration_fault(text: &str) -> Option<&'static str> {
    match duration_ns(text) {
        None => Some("is no duration"),
        Some(ns) if ns < 1_000_000 => Some("is shorter than a millisecond"),
        Some(ns) if ns % 1_000_000 != 0 => Some("has a fraction of a millisecond"),
        Some(_) => None,
    }
}

/// Whether this is the name of a header.
pub(super) fn is_header(name: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+,-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(token)
}

/// Whether a match of this name is one of a claim of a JSON web token.
pub(super) fn is_claim(name: &str) -> bool {
    const CLAIMS: &str = "@request.auth.claims";
    let Some((head, rest)) = name.split_at_checked(CLAIMS.len()) else { return false };
    let bracketed = rest.starts_with('[') && rest.ends_with(']') && rest.len() > 2;
    head.eq_ignore_ascii_case(CLAIMS) && ((rest.starts_with('.') && rest.len() > 1) || bracketed)
}

/// What is wrong with the value that a header is given. Between `%` and `%` stands a variable of Envoy's, and `%%` is
/// a percent sign.
pub(super) fn header_value_fault(value: &str) -> Option<&'static str> {
    if value.bytes().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127)) {
        return Some("has a control character");
    }
    let mut state = Variable::Outside;
    let mut bytes = value.bytes().peekable();
    while let Some(byte) = bytes.next() {
        state = match (state, byte) {
            (Variable::Outside, b'%') if bytes.peek() == Some(&b'%') => {
                bytes.next();
                Variable::Outside
            }
            (Variable::Outside, b'%') => Variable::Name,
            (Variable::Name, b'%') | (Variable::End, b'%') => Variable::Outside,
            (Variable::Name, b'(') => Variable::Arguments,
            (Variable::Arguments, b'[') => Variable::Item,
            (Variable::Arguments, byte) if byte != b' ' => Variable::Text,
            (Variable::Item, b'"') => Variable::Text,
            (Variable::Text, b'\\') => {
                if bytes.next().is_none() {
                    return Some("ends in a backslash");
                }
                Variable::Text
            }
            (Variable::Text, b')') | (Variable::Close, b')') => Variable::End,
            (Variable::Text, b'"') => Variable::Next,
            (Variable::Next, b',') => Variable::Item,
            (Variable::Next, b']') => Variable::Close,
            (Variable::Item | Variable::Next | Variable::Close | Variable::End, byte) if byte != b' ' => {
                return Some("has a variable between `%` and `%` that is none");
            }
            (state, _) => state,
        };
    }
    (state != Variable::Outside).then_some("has a `%` that ends nowhere: a percent sign is `%%`")
}

/// Where in a variable of a header's value a reader is.
#[derive(Clone, Copy, PartialEq)]
enum Variable {
    Outside,
    Name,
    Arguments,
    Item,
    Text,
    Next,
    Close,
    End,
}

/// Whether two hosts overlap, either being a wildcard or not.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    match (one.strip_prefix('*'), other.strip_prefix('*')) {
        (Some(one), Some(other)) => one.ends_with(other) || other.ends_with(one),
        (Some(stem), None) => other.ends_with(stem),
        (None, Some(stem)) => one.ends_with(stem),
        (None, None) => one == other,
    }
}

/// Whether the one host is among those that the other stands for.
pub(super) fn is_within(one: &str, other: &str) -> bool {
    match (one.strip_prefix('*'), other.strip_prefix('*')) {
        (Some(stem), Some(other)) => one.len() > other.len() && stem.ends_with(other),
        (Some(_), None) => false,
        (None, Some(stem)) => one.ends_with(stem),
        (None, None) => one == other,
    }
}

/// What a port's `protocol` says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http,
    Tls,
    Other,
}

/// The protocol of that name; none where Istio knows none.
pub(super) fn protocol(name: &str) -> Option<Protocol> {
    match name.to_ascii_lowercase().as_str() {
        "http" | "http2" | "grpc" | "grpc-web" | "http_proxy" => Some(Protocol::Http),
        "https" | "tls" => Some(Protocol::Tls),
        "tcp" | "udp" | "mongo" | "redis" | "mysql" => Some(Protocol::Other),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_forms_that_istio_asks_for() {
        assert!(is_label("V1") && !is_label("-v") && !is_label("") && !is_label("a_b") && !is_label(&"a".repeat(64)));
        for good in ["web", "web.shop", "web.shop.", "a1.b2c"] {
            assert!(is_domain(good), "{good}");
        }
        for bad in ["", "a..b", "a.1", "*.a", "a b", ".a", "..", "1"] {
            assert!(!is_domain(bad), "{bad}");
        }
        for good in ["*", "*.a.com", "*-a.com", "*a.com", "a", "1", "a.", "*.a."] {
            assert!(is_wildcard_domain(good), "{good}");
        }
        for bad in ["", "a.*", "**.a", "*.1", "a*.b", "*-", "a..b"] {
            assert!(!is_wildcard_domain(bad), "{bad}");
        }
        assert!(is_partial_wildcard("*a.b") && !is_partial_wildcard("*") && !is_partial_wildcard("*.a"));
        assert!(is_label_key("a.b/c_d") && !is_label_key("a/b/c") && !is_label_key("/a") && !is_label_key("a/"));
        assert!(is_label_value("") && is_label_value("a.b") && !is_label_value("a ") && !is_label_value(".a"));
        assert!(is_generated_sni("outbound_.80_._.web.shop") && !is_generated_sni("outbound_.80_."));
    }

    #[test]
    fn addresses_and_ranges_are_told_from_names() {
        assert!(is_address("10.0.0.1") && is_address("::1") && is_address("fe80::1%eth0") && !is_address("10.0.0"));
        for good in ["10.0.0.0/8", "::/0", "10.0.0.1", "1.2.3.4/32"] {
            assert!(is_subnet(good), "{good}");
        }
        for bad in ["10.0.0.0/33", "10.0.0.0/", "a/8", "10.0.0.0/08", "1.2.3.4/8/8", "1.2.3.4/+8"] {
            assert!(!is_subnet(bad), "{bad}");
        }
        assert!(is_socket("/a/b") && is_socket("@a") && !is_socket("/a/") && !is_socket("a") && !is_socket(""));
    }

    #[test]
    fn hosts_overlap_by_their_wildcards() {
        for (one, other, yes) in [
            ("*.com", "foo.com", true),
            ("bar.com", "*.com", true),
            ("*.foo.com", "foo.com", false),
            ("*", "foo.com", true),
            ("*", "*.com", true),
            ("*.a.com", "*.com", true),
            ("a.com", "b.com", false),
        ] {
            assert_eq!(overlap(one, other), yes, "{one} {other}");
        }
        assert!(is_within("*.a.com", "*.com") && !is_within("*.com", "*.a.com") && !is_within("*.com", "a.com"));
        assert!(is_within("a.com", "*.com") && is_within("*", "*") && !is_within("b.com", "a.com"));
    }

    #[test]
    fn headers_and_their_values_are_read_as_envoy_reads_them() {
        assert!(is_header("x-a_b") && !is_header("") && !is_header("a b") && !is_header("é"));
        assert!(is_claim("@request.auth.claims.sub") && is_claim("@Request.Auth.Claims[a][b]"));
        assert!(!is_claim("@request.auth.claims") && !is_claim("@request.auth.claims[]") && !is_claim("x"));
        for good in ["", "foo", "100%%", "a %HOSTNAME% b", "%REQ(x)%", "%DYNAMIC([\"a\", \"b\"])%", "a\tb"] {
            assert_eq!(header_value_fault(good), None, "{good}");
        }
        for bad in ["abc%123", "%START_TIME%%", "%", "a\u{1}", "%A([x])%", "%A(\\", "%A(x) y%"] {
            assert!(header_value_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn durations_are_of_whole_milliseconds() {
        assert_eq!(duration_fault("1.5s"), None);
        for bad in ["", "0s", "1us", "1500us", "-1s", "10", "x"] {
            assert!(duration_fault(bad).is_some(), "{bad}");
        }
    }
}
