//! Webhooks: only who knows the secret is heard, whatever the body says, and no body is too strange.
//!
//! An input is a delivery as text: the forge, its headers, an empty line, the body.

use http::{HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use tidegate::serve::webhook::{Asks, Provider, Refusal, Secrets, parse};

use crate::run::{Target, fuzz, no_reshape};

const SECRET: &str = "a-secret-of-some-length";
/// The headers that the forges sign with.
const PROOFS: [&str; 8] = [
    "x-hub-signature-256",
    "x-hub-signature",
    "x-gitlab-token",
    "webhook-signature",
    "x-gitea-signature",
    "x-forgejo-signature",
    "x-gogs-signature",
    "x-signature",
];

#[test]
fn deliveries_are_heard_only_with_a_signature() {
    fuzz(&Target {
        name: "webhook",
        words: &[
            "github",
            "gitlab",
            "gitea",
            "forgejo",
            "bitbucket",
            "generic",
            "\nx-github-event: push",
            "\nx-gitlab-event: Push Hook",
            "\nx-gitea-event: push",
            "\nx-event-key: repo:push",
            "\nx-event-key: repo:refs_changed",
            "\nx-hub-signature-256: sha256=",
            "\nx-gitlab-token: ",
            "\nwebhook-signature: v1,",
            "\nwebhook-id: 1",
            "\n\n",
            "\"ref\":\"refs/heads/main\"",
            "\"push\":{\"changes\":[",
            "\"new\":{\"name\":\"main\"}",
            "\"changes\":[{\"refId\":\"refs/heads/main\"}]",
            "null",
            "[]",
            "{}",
            "\\u0000",
            "\\ud800",
            "\"zen\":\"x\"",
            "\nx-github-event: ping",
            "\nx-github-delivery: 1",
        ],
        reshape: no_reshape,
        check,
    });
}

fn check(input: &[u8]) -> String {
    let split = input.windows(2).position(|pair| pair == b"\n\n").unwrap_or(input.len());
    let (head, body) = (&input[..split], input.get(split + 2..).unwrap_or_default());
    let mut lines = head.split(|byte| *byte == b'\n');
    let name = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let Some(provider) = Provider::named(name.trim()) else { return "no such forge".to_owned() };
    let mut headers = HeaderMap::new();
    for line in lines {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii())) {
            headers.append(name, value);
        }
    }
    let secrets = Secrets::read(SECRET);
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let hex =
        |body: &[u8]| -> String { hmac::sign(&key, body).as_ref().iter().map(|byte| format!("{byte:02x}")).collect() };

    // As it came: the corpus has no right signature, and none is found by chance.
    let knows = PROOFS.iter().filter_map(|name| headers.get(*name)).any(|value| {
        let text = value.to_str().unwrap_or_default().to_lowercase();
        text.contains(&hex(body)) || value.as_bytes() == SECRET.as_bytes()
    });
    let as_it_came = parse(provider, &headers, body, &secrets);
    assert!(as_it_came.is_err() || knows, "{provider:?} {headers:?} is heard without a signature");
    assert!(parse(provider, &headers, body, &Secrets::read("another-secret-of-some-length")).is_err());
    assert!(parse(provider, &headers, body, &Secrets::read("")).is_err(), "no secret is no way in");

    // Signed by who knows the secret: always heard, and what it says is bounded by what was sent.
    PROOFS.iter().for_each(|name| drop(headers.remove(*name)));
    assert_eq!(parse(provider, &headers, body, &secrets), Err(Refusal::Unsigned));
    let (name, value) = match provider {
        Provider::Github => ("x-hub-signature-256", format!("sha256={}", hex(body))),
        Provider::Gitlab => ("x-gitlab-token", SECRET.to_owned()),
        Provider::Gitea => ("x-gitea-signature", hex(body)),
        Provider::Forgejo => ("x-forgejo-signature", hex(body)),
        Provider::Bitbucket => ("x-hub-signature", format!("sha256={}", hex(body))),
        Provider::Generic => ("x-signature", format!("sha256={}", hex(body))),
    };
    headers.insert(HeaderName::from_static(name), HeaderValue::from_str(&value).unwrap());
    let delivery = parse(provider, &headers, body, &secrets).unwrap();
    let way = match &delivery.asks {
        Asks::Look { references } => {
            assert!(references.iter().map(String::len).sum::<usize>() <= 4 * body.len());
            let _ = delivery.concerns("main");
            format!("{provider:?} looks for {}", references.len().min(3))
        }
        Asks::Answer => format!("{provider:?} answers"),
        Asks::Nothing => format!("{provider:?} ignores"),
    };
    // Another body with the same signature is another delivery.
    if provider != Provider::Gitlab {
        let other = [body, b" "].concat();
        assert_eq!(parse(provider, &headers, &other, &secrets), Err(Refusal::WrongSignature));
    }
    format!("{way}, came {as_it_came:?}").chars().take(60).collect()
}
