//! The table of all fields of a `Configuration`.

use crate::cluster::TRAFFIC_MAX;
use crate::plan::fields::{Field, LABELS, Shape, TEXTS, optional, required};

/// The kind of the document.
pub(super) const KIND: &str = "Configuration";

/// Addresses, or `auto`.
const ADDRESSES: Shape = Shape::Either(&Shape::Text, &TEXTS);

/// The fields of the document.
pub(super) const CONFIGURATION: &[Field] = &[
    required("apiVersion", Shape::Text, "always `tidegate.dev/v1alpha1`"),
    required("kind", Shape::Text, "always `Configuration`"),
    optional(
        "repositories",
        Shape::List(&Shape::Object(REPOSITORY)),
        "the plan repositories; left out: the one that `--repo` names",
    ),
    required("clusters", Shape::List(&Shape::Object(CLUSTER)), "the clusters that plans may go to"),
];

const REPOSITORY: &[Field] = &[
    required("url", Shape::Text, "a path or a URL, as `--repo` takes it"),
    optional("name", Shape::Text, "its name in the objects' `tidegate.dev/plan`; default: the last part of the URL"),
    optional("branch", Shape::Text, "the branch to follow; default: main"),
    optional("path", Shape::Text, "the folder of the plans; default: plans"),
    optional("interval", Shape::Duration, "how often to look when nothing hints at a change; default: `--interval`"),
    optional("tokenFile", Shape::Text, "file with a token for HTTPS"),
    optional("username", Shape::Text, "user of token, password or SSH key, where the server wants a certain one"),
    optional("passwordFile", Shape::Text, "file with a password for HTTPS"),
    optional("caFile", Shape::Text, "certificates (PEM) of authorities that are trusted besides the system's"),
    optional("clientCert", Shape::Text, "file with a certificate (PEM) to show to the server"),
    optional("clientKey", Shape::Text, "file with the key (PEM) of that certificate"),
    optional("sshKey", Shape::Text, "file with a private key for SSH"),
    optional("sshPassphraseFile", Shape::Text, "file with the passphrase of that key"),
    optional("knownHosts", Shape::Text, "file with the host keys that are trusted, as OpenSSH keeps them"),
    optional("proxy", Shape::Text, "proxy for HTTPS, `http://host:port`"),
    optional("proxyAuthFile", Shape::Text, "file with user:password for the proxy"),
    optional("pushTokenFile", Shape::Text, "file with a token for HTTPS that may push, where the other may not"),
    optional("pushUser", Shape::Text, "user of that token, password or SSH key"),
    optional("pushPasswordFile", Shape::Text, "file with a password for HTTPS that may push"),
    optional("pushSshKey", Shape::Text, "file with a private key for SSH that may push"),
    optional("verify", Shape::Choice(&["tip", "every"]), "which commits must be signed; default: none"),
    optional("verifyKeys", TEXTS, "files of the public keys whose signatures count"),
    optional("limits", Shape::Object(LOOKS), "what looking at it may take; default: as the flags `--git-…` say"),
    optional("allow", Shape::Object(ALLOW), "what its plans and objects may be about; a list left out: anything"),
];

const LOOKS: &[Field] = &[
    optional("look", Shape::Duration, "how long a look may take"),
    optional("fetch", Shape::Duration, "how long a fetch may take"),
    optional("fetchMiB", Shape::Whole { min: 1, max: 1 << 20 }, "how many MiB one fetch may bring"),
    optional("fetchObjects", Shape::Whole { min: 1, max: 1 << 40 }, "how many objects one fetch may bring"),
];

const ALLOW: &[Field] = &[
    optional("namespaces", TEXTS, "`shop`, `team-*` or `*-team`"),
    optional("hosts", TEXTS, "full names, or `*.example.com` for all under it"),
    optional("gateways", TEXTS, "`mesh`, `namespace/name`, or `namespace/*` for all of a namespace"),
    optional("kinds", TEXTS, "`CanaryPlan`, and kinds of plain objects"),
];

const CLUSTER: &[Field] = &[
    required("name", Shape::Text, "its name in plans, status, metrics and notes"),
    optional("labels", LABELS, "what plans may choose it by"),
    optional("mesh", Shape::Text, "the mesh of several clusters that it shares its endpoints in; default: its own"),
    optional(
        "role",
        Shape::Choice(&["primary", "remote"]),
        "`primary`: plans go to it; `remote`: only its endpoints are read, for the primaries of its mesh; default: primary",
    ),
    optional(
        "kubeconfig",
        Shape::Text,
        "a file, seen from the folder of the configuration; default: as for `--kubeconfig`",
    ),
    optional("context", Shape::Text, "the context in it; default: the current one"),
    optional("inCluster", Shape::Flag, "it is the one that tidegate runs in, by its pod's service account"),
    optional(
        "secret",
        Shape::Object(SECRET),
        "a Secret of the cluster that tidegate runs in: a remote secret of Istio's, or a cluster secret of Argo CD's",
    ),
    optional("limits", Shape::Object(WRITES), "what it may be asked at once"),
    optional("istiod", ADDRESSES, "`auto`, or the HTTP addresses of its istiods; default: nobody is asked"),
    optional("istiodToken", Shape::Text, "file with the bearer token that istiod asks for at an address"),
    optional("istiodNamespace", Shape::Text, "the namespace of istiod's pods, for `auto`; default: istio-system"),
    optional("istiodLabels", Shape::Text, "the labels of istiod's pods, for `auto`; default: app=istiod"),
    optional("gatewayAdmin", ADDRESSES, "`auto`, or the admin addresses of its gateways; default: nobody is asked"),
];

const WRITES: &[Field] = &[optional(
    "writes",
    Shape::Whole { min: 1, max: TRAFFIC_MAX as i64 },
    "writes of routes that are under way at once, and as many of rules; default: 32",
)];

const SECRET: &[Field] =
    &[required("namespace", Shape::Text, "the Secret's namespace"), required("name", Shape::Text, "the Secret's name")];

/// Whether a cluster may have a field of that name.
pub(super) fn is_field(name: &str) -> bool {
    CLUSTER.iter().any(|field| field.name == name)
}
