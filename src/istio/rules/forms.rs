//! The fields of the four kinds, as of Istio 1.31.

use super::form::{Field, Form, Form::*, Shape, field, required};

const fn shape(fields: &'static [Field]) -> Shape {
    Shape { fields, one_of: &[] }
}

const TEXTS: Form = List(&Text);
const LABELS: Form = Map(&Text);

static STRING_MATCH: Shape = Shape {
    fields: &[field("exact", Text), field("prefix", Text), field("regex", Text)],
    one_of: &[&["exact", "prefix", "regex"]],
};
const MATCH: Form = Object(&STRING_MATCH);
static PERCENT: Shape = shape(&[field("value", Double)]);
static PORT: Shape = shape(&[field("number", Uint32)]);
static DESTINATION: Shape = shape(&[required("host", Text), field("port", Object(&PORT)), field("subset", Text)]);
static OPERATIONS: Shape = shape(&[field("add", LABELS), field("set", LABELS), field("remove", TEXTS)]);
static HEADERS: Shape = shape(&[field("request", Object(&OPERATIONS)), field("response", Object(&OPERATIONS))]);

pub(super) static VIRTUAL_SERVICE: Shape = shape(&[
    field("exportTo", TEXTS),
    field("gateways", TEXTS),
    field("hosts", TEXTS),
    field("http", List(&Object(&HTTP))),
    field("tls", List(&Object(&TLS_ROUTE))),
    field("tcp", List(&Object(&TCP_ROUTE))),
]);
static HTTP: Shape = shape(&[
    field("name", Text),
    field("match", List(&Object(&HTTP_MATCH))),
    field("route", List(&Object(&HTTP_LEG))),
    field("redirect", Object(&REDIRECT)),
    field("directResponse", Object(&DIRECT)),
    field("delegate", Object(&DELEGATE)),
    field("rewrite", Object(&REWRITE)),
    field("timeout", Duration),
    field("retries", Object(&RETRIES)),
    field("fault", Object(&FAULT)),
    field("mirror", Object(&DESTINATION)),
    field("mirrors", List(&Object(&MIRROR))),
    field("mirrorPercent", Uint32),
    field("mirrorPercentage", Object(&PERCENT)),
    field("corsPolicy", Object(&CORS)),
    field("headers", Object(&HEADERS)),
]);
static HTTP_LEG: Shape =
    shape(&[required("destination", Object(&DESTINATION)), field("weight", Int32), field("headers", Object(&HEADERS))]);
static HTTP_MATCH: Shape = shape(&[
    field("name", Text),
    field("uri", MATCH),
    field("scheme", MATCH),
    field("method", MATCH),
    field("authority", MATCH),
    field("headers", Map(&MATCH)),
    field("withoutHeaders", Map(&MATCH)),
    field("queryParams", Map(&MATCH)),
    field("port", Uint32),
    field("sourceLabels", LABELS),
    field("sourceNamespace", Text),
    field("gateways", TEXTS),
    field("ignoreUriCase", Flag),
    field("statPrefix", Text),
]);
static REDIRECT: Shape = Shape {
    fields: &[
        field("uri", Text),
        field("authority", Text),
        field("port", Uint32),
        field("derivePort", Choice(&["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"])),
        field("scheme", Text),
        field("redirectCode", Uint32),
        field("prefixRewrite", Text),
    ],
    one_of: &[&["port", "derivePort"]],
};
static DIRECT: Shape = shape(&[required("status", Uint32), field("body", Object(&BODY))]);
static BODY: Shape = Shape { fields: &[field("string", Text), field("bytes", Text)], one_of: &[&["string", "bytes"]] };
static DELEGATE: Shape = shape(&[field("name", Text), field("namespace", Text)]);
static REWRITE: Shape =
    shape(&[field("uri", Text), field("authority", Text), field("uriRegexRewrite", Object(&REGEX_REWRITE))]);
static REGEX_REWRITE: Shape = shape(&[field("match", Text), field("rewrite", Text)]);
static RETRIES: Shape = shape(&[
    field("attempts", Int32),
    field("perTryTimeout", Duration),
    field("retryOn", Text),
    field("retryRemoteLocalities", Flag),
    field("retryIgnorePreviousHosts", Flag),
    field("backoff", Duration),
]);
static FAULT: Shape = shape(&[field("abort", Object(&ABORT)), field("delay", Object(&DELAY))]);
static ABORT: Shape = Shape {
    fields: &[
        field("httpStatus", Int32),
        field("grpcStatus", Text),
        field("http2Error", Text),
        field("percentage", Object(&PERCENT)),
    ],
    one_of: &[&["httpStatus", "grpcStatus", "http2Error"]],
};
static DELAY: Shape = Shape {
    fields: &[
        field("fixedDelay", Duration),
        field("exponentialDelay", Duration),
        field("percent", Int32),
        field("percentage", Object(&PERCENT)),
    ],
    one_of: &[&["fixedDelay", "exponentialDelay"]],
};
static MIRROR: Shape = shape(&[required("destination", Object(&DESTINATION)), field("percentage", Object(&PERCENT))]);
static CORS: Shape = shape(&[
    field("allowOrigin", TEXTS),
    field("allowOrigins", List(&MATCH)),
    field("allowMethods", TEXTS),
    field("allowHeaders", TEXTS),
    field("exposeHeaders", TEXTS),
    field("maxAge", Duration),
    field("allowCredentials", Flag),
    field("unmatchedPreflights", Choice(&["UNSPECIFIED", "FORWARD", "IGNORE"])),
]);
static LEG: Shape = shape(&[required("destination", Object(&DESTINATION)), field("weight", Int32)]);
static TLS_ROUTE: Shape = shape(&[required("match", List(&Object(&TLS_MATCH))), field("route", List(&Object(&LEG)))]);
static TLS_MATCH: Shape = shape(&[
    required("sniHosts", TEXTS),
    field("destinationSubnets", TEXTS),
    field("port", Uint32),
    field("sourceLabels", LABELS),
    field("gateways", TEXTS),
    field("sourceNamespace", Text),
]);
static TCP_ROUTE: Shape = shape(&[field("match", List(&Object(&TCP_MATCH))), field("route", List(&Object(&LEG)))]);
static TCP_MATCH: Shape = shape(&[
    field("destinationSubnets", TEXTS),
    field("port", Uint32),
    field("sourceSubnet", Text),
    field("sourceLabels", LABELS),
    field("gateways", TEXTS),
    field("sourceNamespace", Text),
]);

pub(super) static DESTINATION_RULE: Shape = shape(&[
    required("host", Text),
    field("trafficPolicy", Object(&POLICY)),
    field("subsets", List(&Object(&SUBSET))),
    field("exportTo", TEXTS),
    field("workloadSelector", Object(&WORKLOADS)),
]);
static WORKLOADS: Shape = shape(&[field("matchLabels", LABELS)]);
static SUBSET: Shape =
    shape(&[required("name", Text), field("labels", LABELS), field("trafficPolicy", Object(&POLICY))]);
static POLICY: Shape = shape(&[
    field("loadBalancer", Object(&BALANCER)),
    field("connectionPool", Object(&POOL)),
    field("outlierDetection", Object(&OUTLIER)),
    field("tls", Object(&CLIENT_TLS)),
    field("portLevelSettings", List(&Object(&PORT_POLICY))),
    field("tunnel", Object(&TUNNEL)),
    field("proxyProtocol", Object(&PROXY_PROTOCOL)),
    field("retryBudget", Object(&BUDGET)),
]);
static PORT_POLICY: Shape = shape(&[
    field("port", Object(&PORT)),
    field("loadBalancer", Object(&BALANCER)),
    field("connectionPool", Object(&POOL)),
    field("outlierDetection", Object(&OUTLIER)),
    field("tls", Object(&CLIENT_TLS)),
]);
static TUNNEL: Shape = shape(&[field("protocol", Text), required("targetHost", Text), required("targetPort", Uint32)]);
static PROXY_PROTOCOL: Shape = shape(&[field("version", Choice(&["V1", "V2"]))]);
static BUDGET: Shape =
    shape(&[field("percent", Double), field("minRetryConcurrency", Uint32), field("budgetInterval", Duration)]);
static BALANCER: Shape = Shape {
    fields: &[
        field(
            "simple",
            Choice(&["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"]),
        ),
        field("consistentHash", Object(&HASH)),
        field("localityLbSetting", Object(&LOCALITY)),
        field("zoneAwareLbSetting", Object(&ZONES)),
        field("warmupDurationSecs", Duration),
        field("warmup", Object(&WARMUP)),
    ],
    one_of: &[&["simple", "consistentHash"]],
};
static HASH: Shape = Shape {
    fields: &[
        field("httpHeaderName", Text),
        field("httpCookie", Object(&COOKIE)),
        field("useSourceIp", Flag),
        field("httpQueryParameterName", Text),
        field("ringHash", Object(&RING)),
        field("maglev", Object(&MAGLEV)),
        field("minimumRingSize", Uint64),
    ],
    one_of: &[&["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"], &["ringHash", "maglev"]],
};
static COOKIE: Shape = shape(&[
    required("name", Text),
    field("path", Text),
    field("ttl", Duration),
    field("attributes", List(&Object(&ATTRIBUTE))),
]);
static ATTRIBUTE: Shape = shape(&[required("name", Text), field("value", Text)]);
static RING: Shape = shape(&[field("minimumRingSize", Uint64)]);
static MAGLEV: Shape = shape(&[field("tableSize", Uint64)]);
static LOCALITY: Shape = shape(&[
    field("distribute", List(&Object(&DISTRIBUTE))),
    field("failover", List(&Object(&FAILOVER))),
    field("failoverPriority", TEXTS),
    field("enabled", Flag),
]);
static ZONES: Shape = shape(&[
    field("failover", List(&Object(&FAILOVER))),
    field("failoverPriority", TEXTS),
    field("enabled", Flag),
    field("minClusterSize", Uint32),
]);
static DISTRIBUTE: Shape = shape(&[field("from", Text), field("to", Map(&Uint32))]);
static FAILOVER: Shape = shape(&[field("from", Text), field("to", Text)]);
static WARMUP: Shape =
    shape(&[required("duration", Duration), field("minimumPercent", Double), field("aggression", Double)]);
static POOL: Shape = shape(&[field("tcp", Object(&TCP_POOL)), field("http", Object(&HTTP_POOL))]);
static TCP_POOL: Shape = shape(&[
    field("maxConnections", Int32),
    field("connectTimeout", Duration),
    field("tcpKeepalive", Object(&KEEPALIVE)),
    field("maxConnectionDuration", Duration),
    field("idleTimeout", Duration),
]);
static KEEPALIVE: Shape = shape(&[field("probes", Uint32), field("time", Duration), field("interval", Duration)]);
static HTTP_POOL: Shape = shape(&[
    field("http1MaxPendingRequests", Int32),
    field("http2MaxRequests", Int32),
    field("maxRequestsPerConnection", Int32),
    field("maxRetries", Int32),
    field("idleTimeout", Duration),
    field("h2UpgradePolicy", Choice(&["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"])),
    field("useClientProtocol", Flag),
    field("maxConcurrentStreams", Int32),
    field("http2KeepAlive", Object(&HTTP2_KEEPALIVE)),
]);
static HTTP2_KEEPALIVE: Shape = shape(&[field("interval", Duration), field("timeout", Duration)]);
static OUTLIER: Shape = shape(&[
    field("splitExternalLocalOriginErrors", Flag),
    field("consecutiveLocalOriginFailures", Uint32),
    field("consecutiveGatewayErrors", Uint32),
    field("consecutive5xxErrors", Uint32),
    field("consecutiveErrors", Int32),
    field("interval", Duration),
    field("baseEjectionTime", Duration),
    field("maxEjectionPercent", Int32),
    field("minHealthPercent", Int32),
    field("outlierDetectionHttpErrorCodes", List(&Uint32)),
]);
static CLIENT_TLS: Shape = shape(&[
    field("mode", Choice(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"])),
    field("clientCertificate", Text),
    field("privateKey", Text),
    field("caCertificates", Text),
    field("credentialName", Text),
    field("subjectAltNames", TEXTS),
    field("sni", Text),
    field("insecureSkipVerify", Flag),
    field("caCrl", Text),
]);

pub(super) static GATEWAY: Shape = shape(&[field("servers", List(&Object(&SERVER))), field("selector", LABELS)]);
static SERVER: Shape = shape(&[
    required("port", Object(&SERVER_PORT)),
    required("hosts", TEXTS),
    field("bind", Text),
    field("tls", Object(&SERVER_TLS)),
    field("defaultEndpoint", Text),
    field("name", Text),
]);
static SERVER_PORT: Shape = shape(&[
    required("number", Uint32),
    required("protocol", Text),
    required("name", Text),
    field("targetPort", Uint32),
]);
const TLS_VERSION: Form = Choice(&["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]);
static SERVER_TLS: Shape = shape(&[
    field("httpsRedirect", Flag),
    field("mode", Choice(&["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"])),
    field("serverCertificate", Text),
    field("privateKey", Text),
    field("caCertificates", Text),
    field("caCrl", Text),
    field("tlsCertificates", List(&Object(&CERTIFICATE))),
    field("credentialName", Text),
    field("credentialNames", TEXTS),
    field("caCertCredentialName", Text),
    field("subjectAltNames", TEXTS),
    field("verifyCertificateSpki", TEXTS),
    field("verifyCertificateHash", TEXTS),
    field("minProtocolVersion", TLS_VERSION),
    field("maxProtocolVersion", TLS_VERSION),
    field("cipherSuites", TEXTS),
    field("insecureSkipVerify", Flag),
]);
static CERTIFICATE: Shape =
    shape(&[field("serverCertificate", Text), field("privateKey", Text), field("caCertificates", Text)]);

pub(super) static SERVICE_ENTRY: Shape = shape(&[
    required("hosts", TEXTS),
    field("addresses", TEXTS),
    field("ports", List(&Object(&SERVICE_PORT))),
    field("location", Choice(&["MESH_EXTERNAL", "MESH_INTERNAL"])),
    field("resolution", Choice(&["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"])),
    field("endpoints", List(&Object(&ENDPOINT))),
    field("workloadSelector", Object(&SELECTOR)),
    field("exportTo", TEXTS),
    field("subjectAltNames", TEXTS),
]);
static SELECTOR: Shape = shape(&[field("labels", LABELS)]);
static SERVICE_PORT: Shape =
    shape(&[required("number", Uint32), field("protocol", Text), required("name", Text), field("targetPort", Uint32)]);
static ENDPOINT: Shape = shape(&[
    field("address", Text),
    field("ports", Map(&Uint32)),
    field("labels", LABELS),
    field("network", Text),
    field("locality", Text),
    field("weight", Uint32),
    field("serviceAccount", Text),
]);
