//! Strikes out what a URL may carry as a secret: lines of the file are shown with what is wrong in them.

use std::borrow::Cow;

/// The text with every user and password of a URL struck out, byte for byte, so that places stay right. Of `ssh://` a
/// user alone stays: it is none.
pub(super) fn masked(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        // Up to the line's end: a password may hold anything that a URL may not.
        let line = after.lines().next().unwrap_or_default();
        let line = line.split_once("://").map_or(line, |(first, _)| first);
        let secret = line.rfind('@').map_or("", |at| line.split_at(at).0);
        let is_user = before.ends_with("ssh")
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        out.push_str(before);
        out.push_str("://");
        if is_user {
            out.push_str(secret)
        } else {
            out.extend(std::iter::repeat_n('*', secret.len()))
        }
        rest = after.get(secret.len()..).unwrap_or_default();
    }
    if out.is_empty() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_scheme_and_host_is_struck_out_and_places_stay() {
        for (text, shown) in [
            ("url: https://ann:sesame@host/plans", "url: https://**********@host/plans"),
            ("{url: 'https://ses/a me@host/p', nme: x}", "{url: 'https://********@host/p', nme: x}"),
            ("a: https://host/a\nb: https://é@host/b", "a: https://host/a\nb: https://**@host/b"),
            ("[https://host/a, https://token@host/b]", "[https://host/a, https://*****@host/b]"),
            ("url: ssh://git@host/plans", "url: ssh://git@host/plans"),
            ("url: ssh://git:sesame@host/plans", "url: ssh://**********@host/plans"),
            ("url: git@host:plans", "url: git@host:plans"),
            ("://", "://"),
            ("", ""),
        ] {
            assert_eq!(masked(text), shown);
            assert_eq!(masked(text).len(), text.len());
        }
    }
}
