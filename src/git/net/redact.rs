//! Takes secrets out of what a server says: one that repeats a token must not bring it into a log.

use serde_json::Value;

use super::Fault;
use super::dial::authorization;
use super::wire::{Answer, Keys, Rejection};

/// A shorter text is in everything that is said; it protects nothing, either.
const SECRET_BYTES_MIN: usize = 4;

impl Answer {
    /// The same answer, with `…` in the place of every secret that the connection was made with.
    pub(super) fn without(self, keys: &Keys) -> Self {
        let secrets = secrets(keys);
        match self {
            Self::Failed(fault) => Self::Failed(hide(fault, &secrets)),
            Self::Gone(branches) => Self::Gone(branches.iter().map(|name| masked(name, &secrets)).collect()),
            Self::Broken(words) => Self::Broken(masked(&words, &secrets)),
            Self::Rejected(Rejection { status, said }) => {
                Self::Rejected(Rejection { status: masked(&status, &secrets), said: masked(&said, &secrets) })
            }
            answer @ (Self::At(_) | Self::Empty | Self::Fetched { .. } | Self::Pushed | Self::Elsewhere) => answer,
        }
    }
}

/// What must not be said, also as it is sent.
fn secrets(keys: &Keys) -> Vec<String> {
    let secrets: Vec<String> = match keys {
        Keys::Http { basic, proxy, .. } => {
            let basics = basic.iter().chain(proxy.iter().filter_map(|proxy| proxy.basic.as_ref()));
            basics
                .flat_map(|basic| {
                    let sent = authorization(basic);
                    let sent = sent.rsplit(' ').next().unwrap_or_default().trim_end_matches('=').to_owned();
                    [basic.password.clone(), sent]
                })
                .collect()
        }
        Keys::Ssh(keys) => keys.passphrase.iter().cloned().collect(),
    };
    secrets.into_iter().filter(|secret| secret.len() >= SECRET_BYTES_MIN).collect()
}

fn masked(text: &str, secrets: &[String]) -> String {
    secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
}

/// Masks every text of a fault, whatever its kind: a kind that is added later is covered, too.
fn hide(fault: Fault, secrets: &[String]) -> Fault {
    let Ok(Value::Object(mut parts)) = serde_json::to_value(&fault) else { return fault };
    let texts = parts.values_mut().filter_map(Value::as_object_mut).flat_map(|fields| fields.values_mut());
    for text in texts {
        if let Value::String(said) = text {
            *said = masked(said, secrets);
        }
    }
    serde_json::from_value(Value::Object(parts)).unwrap_or(fault)
}

#[cfg(test)]
mod tests {
    use super::super::wire::Basic;
    use super::*;

    #[test]
    fn what_a_server_repeats_is_masked_and_kinds_stay_what_they_are() {
        let basic = Basic { user: "ada".to_owned(), password: "Refused".to_owned() };
        let keys = Keys::Http { basic: Some(basic), ca: None, client: None, proxy: None };
        let said = |fault: Fault| match Answer::Failed(fault).without(&keys) {
            Answer::Failed(fault) => fault,
            other => panic!("{other:?}"),
        };
        let words = |words: &str| Fault::Forbidden { words: words.to_owned() };
        assert_eq!(said(words("bad token Refused (Basic YWRhOlJlZnVzZWQ=)")), words("bad token … (Basic …=)"));
        assert_eq!(said(Fault::Refused), Fault::Refused);
        assert_eq!(said(Fault::Timeout { limit_s: 3 }), Fault::Timeout { limit_s: 3 });
        let rejection = Rejection { status: "no".to_owned(), said: "token Refused is read-only".to_owned() };
        let Answer::Rejected(no) = Answer::Rejected(rejection).without(&keys) else { panic!("another answer") };
        assert_eq!(no.said, "token … is read-only");
        let gone = Answer::Gone(vec!["main-Refused".to_owned()]).without(&keys);
        assert!(matches!(gone, Answer::Gone(names) if names == ["main-…"]));
    }
}
