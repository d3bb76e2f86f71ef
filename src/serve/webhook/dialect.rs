//! How each forge signs its deliveries, and what it calls a push.

/// A kind of forge: the last part of the webhook's path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Provider {
    /// GitHub, and GitHub Enterprise.
    Github,
    /// GitLab.
    Gitlab,
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
    /// Bitbucket Cloud and Data Center.
    Bitbucket,
    /// Anything that signs its body.
    Generic,
}

impl Provider {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Github, Self::Gitlab, Self::Gitea, Self::Forgejo, Self::Bitbucket, Self::Generic];

    /// Its name in paths and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Gitea => "gitea",
            Self::Forgejo => "forgejo",
            Self::Bitbucket => "bitbucket",
            Self::Generic => "generic",
        }
    }

    /// The provider of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|provider| provider.name() == name)
    }
}

/// What proves that a delivery knows a secret.
pub(super) enum Proof {
    /// A header with the HMAC-SHA256 of the body in hex, after a prefix.
    Hex { header: &'static str, prefix: &'static str },
    /// A header with the secret itself.
    Token { header: &'static str },
    /// Standard Webhooks: `v1,<base64>` over id, time and body.
    Standard,
}

/// How one forge speaks.
pub(super) struct Dialect {
    /// The first of which the header is there is the one that is checked.
    pub(super) proofs: &'static [Proof],
    /// The header that names the event; none: every delivery is about a push.
    pub(super) event: Option<&'static str>,
    /// The events that are a push.
    pub(super) pushes: &'static [&'static str],
    /// The events that only try the connection.
    pub(super) pings: &'static [&'static str],
    /// The headers that name the delivery; the first that is there counts.
    pub(super) ids: &'static [&'static str],
}

impl Provider {
    pub(super) const fn dialect(self) -> Dialect {
        match self {
            Self::Github => Dialect {
                proofs: &[Proof::Hex { header: "x-hub-signature-256", prefix: "sha256=" }],
                event: Some("x-github-event"),
                pushes: &["push"],
                pings: &["ping"],
                ids: &["x-github-delivery"],
            },
            Self::Gitlab => Dialect {
                proofs: &[Proof::Standard, Proof::Token { header: "x-gitlab-token" }],
                event: Some("x-gitlab-event"),
                pushes: &["Push Hook"],
                pings: &[],
                ids: &["webhook-id", "idempotency-key", "x-gitlab-event-uuid"],
            },
            Self::Gitea => Dialect {
                proofs: &[Proof::Hex { header: "x-gitea-signature", prefix: "" }],
                event: Some("x-gitea-event"),
                pushes: &["push"],
                pings: &[],
                ids: &["x-gitea-delivery"],
            },
            Self::Forgejo => Dialect {
                proofs: &[Proof::Hex { header: "x-forgejo-signature", prefix: "" }],
                event: Some("x-forgejo-event"),
                pushes: &["push"],
                pings: &[],
                ids: &["x-forgejo-delivery"],
            },
            Self::Bitbucket => Dialect {
                proofs: &[Proof::Hex { header: "x-hub-signature", prefix: "sha256=" }],
                event: Some("x-event-key"),
                pushes: &["repo:push", "repo:refs_changed", "mirror:repo_synchronized"],
                pings: &["diagnostics:ping"],
                ids: &["x-request-uuid", "x-request-id"],
            },
            Self::Generic => Dialect {
                proofs: &[Proof::Hex { header: "x-signature", prefix: "sha256=" }],
                event: None,
                pushes: &[],
                pings: &[],
                ids: &[],
            },
        }
    }
}
