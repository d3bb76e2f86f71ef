//! Reads a delivery: the signature first, over the bytes as they came, and only then what they say.

use base64::Engine as _;
use http::HeaderMap;

use super::{
    Provider, Secret, Secrets,
    dialect::{Dialect, Proof},
    payload,
};

/// The longest id of a delivery that is remembered, in bytes.
const ID_BYTES_MAX: usize = 128;
/// The most signatures that one header may hold: a forge that replaces its secret sends two.
const SIGNATURES_MAX: usize = 8;

/// A delivery whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// What the forge calls it, where it has a name for each delivery.
    pub id: Option<String>,
    /// What it asks for.
    pub asks: Asks,
}

/// What a delivery asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asks {
    /// To look at the repository.
    Look {
        /// The references that were pushed, as the forge writes them; empty where it does not say.
        references: Vec<String>,
    },
    /// To be answered.
    Answer,
    /// Nothing that concerns us.
    Nothing,
}

/// Why a delivery is not accepted. The forge is not told which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No header holds a signature.
    Unsigned,
    /// The signature is not that of any secret.
    WrongSignature,
}

impl Delivery {
    /// Whether it may be about this branch.
    pub fn concerns(&self, branch: &str) -> bool {
        let is = |reference: &String| {
            reference == branch || reference.strip_prefix("refs/heads/").is_some_and(|name| name == branch)
        };
        match &self.asks {
            Asks::Look { references } => references.is_empty() || references.iter().any(is),
            Asks::Answer | Asks::Nothing => false,
        }
    }
}

/// Reads a delivery. A body that can't be understood is no refusal: who signs may be asked to say less.
///
/// # Errors
/// [`Refusal`] where it is not signed with one of the secrets; nothing of the body was looked at then.
pub fn parse(provider: Provider, headers: &HeaderMap, body: &[u8], secrets: &Secrets) -> Result<Delivery, Refusal> {
    let dialect = provider.dialect();
    verify(&dialect, headers, body, secrets)?;
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let event = dialect.event.map(|name| text(name).unwrap_or_default());
    let asks = match event {
        Some(event) if dialect.pings.contains(&event) => Asks::Answer,
        Some(event) if !dialect.pushes.contains(&event) => Asks::Nothing,
        Some(_) | None => Asks::Look { references: payload::references(body) },
    };
    let id = dialect.ids.iter().find_map(|name| text(name)).filter(|id| id.len() <= ID_BYTES_MAX);
    Ok(Delivery { id: id.map(str::to_owned), asks })
}

fn verify(dialect: &Dialect, headers: &HeaderMap, body: &[u8], secrets: &Secrets) -> Result<(), Refusal> {
    let bytes = |name: &str| headers.get(name).map(http::HeaderValue::as_bytes);
    for proof in dialect.proofs {
        let holds = match proof {
            Proof::Hex { header, prefix } => bytes(header).map(|value| {
                let tag = value.strip_prefix(prefix.as_bytes()).and_then(unhex);
                tag.is_some_and(|tag| secrets.any(|secret| secret.signs(body, &tag)))
            }),
            Proof::Token { header } => bytes(header).map(|value| secrets.any(|secret| secret.is(value))),
            Proof::Standard => bytes("webhook-signature").map(|value| {
                let part = |name: &str| bytes(name).unwrap_or_default();
                let signed = [part("webhook-id"), part("webhook-timestamp"), body].join(&b'.');
                secrets.any(|secret| standard(secret, value, &signed))
            }),
        };
        match holds {
            Some(true) => return Ok(()),
            Some(false) => return Err(Refusal::WrongSignature),
            None => {}
        }
    }
    Err(Refusal::Unsigned)
}

fn standard(secret: &Secret, signatures: &[u8], signed: &[u8]) -> bool {
    let signatures = signatures.split(|byte| *byte == b' ').take(SIGNATURES_MAX);
    let tags = signatures.filter_map(|one| one.strip_prefix(b"v1,"));
    let mut tags = tags.filter_map(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    tags.any(|tag| secret.signs_standard(signed, &tag))
}

/// The bytes that hex digits stand for.
fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    // An HMAC-SHA256 has 32 bytes; longer text is none.
    if text.len() == 64 { text.chunks(2).map(pair).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use ring::hmac;

    use super::*;

    const SECRET: &str = "a-secret-of-some-length";
    const BODY: &[u8] = br#"{"ref": "refs/heads/main"}"#;

    fn headers(pairs: &[(&'static str, String)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    fn tag(key: &[u8], bytes: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), bytes).as_ref().to_vec()
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn on_main() -> Asks {
        Asks::Look { references: vec!["refs/heads/main".to_owned()] }
    }

    #[test]
    fn githubs_own_example_is_accepted() {
        // From its page on validating deliveries.
        let secrets = Secrets::read("It's a Secret to Everybody");
        let sign = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17".to_owned();
        let given = headers(&[("x-hub-signature-256", sign), ("x-github-event", "push".to_owned())]);
        let found = parse(Provider::Github, &given, b"Hello, World!", &secrets);
        assert_eq!(found, Ok(Delivery { id: None, asks: Asks::Look { references: vec![] } }));
    }

    #[test]
    fn whoever_signs_with_the_secret_is_heard_and_nobody_else() {
        let secrets = Secrets::read(&format!("another-one-of-some-length\n{SECRET}"));
        for (provider, header, prefix, event) in [
            (Provider::Github, "x-hub-signature-256", "sha256=", Some(("x-github-event", "push"))),
            (Provider::Gitea, "x-gitea-signature", "", Some(("x-gitea-event", "push"))),
            (Provider::Forgejo, "x-forgejo-signature", "", Some(("x-forgejo-event", "push"))),
            (Provider::Bitbucket, "x-hub-signature", "sha256=", Some(("x-event-key", "repo:push"))),
            (Provider::Generic, "x-signature", "sha256=", None),
        ] {
            let of = |signature: String, body: &[u8]| {
                let event = event.map(|(name, value)| (name, value.to_owned()));
                let given: Vec<_> = event.into_iter().chain([(header, signature)]).collect();
                parse(provider, &headers(&given), body, &secrets).map(|delivery| delivery.asks)
            };
            let good = hex(&tag(SECRET.as_bytes(), BODY));
            assert_eq!(of(format!("{prefix}{good}"), BODY), Ok(on_main()), "{provider:?}");
            let wrong = Err(Refusal::WrongSignature);
            assert_eq!(of(format!("{prefix}{good}"), b"{}"), wrong);
            assert_eq!(of(format!("{prefix}{}", hex(&tag(b"", BODY))), BODY), wrong);
            for garbage in ["", "sha256", "sha256=", "sha1=00", &good[..62], &format!("{good}00"), "x"] {
                assert_eq!(of(format!("{prefix}{garbage}"), BODY), wrong, "{garbage}");
            }
            let unsigned = parse(provider, &HeaderMap::new(), BODY, &secrets);
            assert_eq!(unsigned, Err(Refusal::Unsigned), "{provider:?}");
        }
    }

    #[test]
    fn gitlabs_token_is_compared_whole() {
        let secrets = Secrets::read(SECRET);
        let of = |token: &str| {
            let given = headers(&[("x-gitlab-token", token.to_owned()), ("x-gitlab-event", "Push Hook".to_owned())]);
            parse(Provider::Gitlab, &given, BODY, &secrets).map(|delivery| delivery.asks)
        };
        assert_eq!(of(SECRET), Ok(on_main()));
        for wrong in ["", "a", &SECRET[1..], &format!("{SECRET}x")] {
            assert_eq!(of(wrong), Err(Refusal::WrongSignature));
        }
    }

    #[test]
    fn gitlabs_signing_token_covers_id_and_time_and_a_bad_one_is_not_saved_by_the_other_token() {
        let key = b"0123456789abcdef0123456789abcdef";
        let secret = format!("whsec_{}", base64::engine::general_purpose::STANDARD.encode(key));
        let secrets = Secrets::read(&secret);
        let of = |id: &str, signed_id: &str, token: &str| {
            let signed = [format!("{signed_id}.1763700000.").as_bytes(), BODY].concat();
            let sign = base64::engine::general_purpose::STANDARD.encode(tag(key, &signed));
            let given = headers(&[
                ("webhook-id", id.to_owned()),
                ("webhook-timestamp", "1763700000".to_owned()),
                ("webhook-signature", format!("v1,AAAA v1a,x v1,{sign}")),
                ("x-gitlab-token", token.to_owned()),
                ("x-gitlab-event", "Push Hook".to_owned()),
            ]);
            parse(Provider::Gitlab, &given, BODY, &secrets)
        };
        assert_eq!(of("one", "one", ""), Ok(Delivery { id: Some("one".to_owned()), asks: on_main() }));
        assert_eq!(of("two", "one", &secret), Err(Refusal::WrongSignature));
    }

    #[test]
    fn what_is_no_push_asks_for_nothing_and_a_ping_for_an_answer() {
        let secrets = Secrets::read(SECRET);
        let of = |provider, header: &'static str, event: &'static str, value: &str| {
            let sign = format!("sha256={}", hex(&tag(SECRET.as_bytes(), b"{")));
            let given = headers(&[(header, sign), (event, value.to_owned())]);
            parse(provider, &given, b"{", &secrets).map(|delivery| delivery.asks)
        };
        let github = |value: &str| of(Provider::Github, "x-hub-signature-256", "x-github-event", value);
        assert_eq!(github("issues"), Ok(Asks::Nothing));
        assert_eq!(github(""), Ok(Asks::Nothing));
        assert_eq!(github("ping"), Ok(Asks::Answer));
        assert_eq!(github("push"), Ok(Asks::Look { references: vec![] }));
        assert_eq!(of(Provider::Bitbucket, "x-hub-signature", "x-event-key", "diagnostics:ping"), Ok(Asks::Answer));
    }

    #[test]
    fn a_branch_is_compared_as_a_whole_name() {
        let of = |references: &[&str]| {
            let references = references.iter().map(|reference| (*reference).to_owned()).collect();
            Delivery { id: None, asks: Asks::Look { references } }.concerns("main")
        };
        assert!(of(&[]) && of(&["refs/heads/main"]) && of(&["main"]) && of(&["refs/heads/x", "refs/heads/main"]));
        assert!(!of(&["refs/tags/main"]) && !of(&["refs/heads/x/main"]) && !of(&["refs/heads/mainly"]));
    }

    proptest::proptest! {
        #[test]
        fn no_body_and_no_header_is_too_strange(
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
            value in "[ -~]{0,80}",
        ) {
            let secrets = Secrets::read(SECRET);
            for provider in Provider::ALL {
                let signed = format!("sha256={}", hex(&tag(SECRET.as_bytes(), &body)));
                for name in ["x-hub-signature-256", "x-gitlab-token", "webhook-signature", "x-gitea-signature", "x-signature"] {
                    let given = headers(&[(name, value.clone())]);
                    proptest::prop_assert!(parse(provider, &given, &body, &secrets).is_err());
                }
                // Signed garbage is read without harm.
                let given = headers(&[("x-signature", signed.clone()), ("x-hub-signature-256", signed.clone()), ("x-github-event", value.clone())]);
                proptest::prop_assert_eq!(
                    parse(provider, &given, &body, &secrets).is_ok(),
                    matches!(provider, Provider::Generic | Provider::Github)
                );
            }
        }
    }
}
