//! The stable codes of findings, with how bad they are and what they mean.

use super::Severity::{self, Error, Warning};

macro_rules! codes {
    ($($code:ident $severity:ident $meaning:literal;)*) => {
        $(pub(crate) const $code: &str = stringify!($code);)*

        /// Every code that a finding can have, with its severity and meaning.
        pub const CODES: &[(&str, Severity, &str)] = &[$((stringify!($code), $severity, $meaning),)*];
    };
}

codes! {
    FI01 Error "a file is larger than 256 KiB";
    FI02 Error "a file is binary";
    FI03 Error "a file is not UTF-8";
    FI04 Error "a document is not YAML as tidegate accepts it";
    FI05 Error "a file cannot be read as a plan file at all";
    PL01 Error "a field is unknown";
    PL02 Error "a field or kind is known but not supported by this version";
    PL03 Error "a value has the wrong type or form";
    PL04 Error "a required field is missing or empty";
    PL05 Error "a kind or apiVersion is not accepted";
    PL06 Error "a name is not of the form that Kubernetes or Istio asks for";
    PL07 Error "a version is not declared in `versions`";
    PL08 Error "steps do not rise";
    PL09 Error "a step has no gate";
    PL10 Error "two routes or pins have the same name";
    PL11 Error "a field stands both in `spec` and beside `routes`";
    PL12 Error "a pin and a route ask for different values of the same thing";
    PL13 Error "the service is not one of the plan's own namespace";
    PL14 Error "`http` has a field that tidegate writes itself, or that answers without a version";
    PL15 Error "a match is none that Istio knows";
    PL16 Warning "a field is none that Istio is known to have";
    PL17 Error "a number is out of its range";
    VS01 Error "the weights of several destinations are all 0";
    VS02 Error "a weight is below 0";
    VS03 Error "a VirtualService has no route";
    VS04 Error "a route leads nowhere";
    VS05 Error "a route that answers by itself has destinations, a fault or a rewrite too";
    VS06 Error "the host `*` applies to the mesh";
    VS07 Error "two hosts are the same or cover each other";
    VS08 Error "a host, gateway, subset, port, label or range of addresses is none";
    VS09 Error "a delegation is none that Istio accepts";
    VS10 Error "a mirror is none that Istio accepts";
    VS11 Error "a fault neither aborts nor delays, or not as Istio can";
    VS12 Error "retries are none that Istio accepts";
    VS13 Error "a duration is none, or not of whole milliseconds";
    VS14 Error "a header is none, or may not be changed that way";
    VS15 Error "a match is empty, too long, or no RE2 expression";
    VS16 Error "a claim is matched in the mesh";
    VS17 Error "`exportTo` is none that Istio accepts";
    VS18 Error "a TLS route is none that Istio accepts";
    VS19 Warning "a match is never reached (IST0130, IST0131)";
    VS20 Warning "a form is deprecated";
    VS21 Error "a redirect, direct response, rewrite or CORS policy is none that Istio accepts";
    VS22 Warning "a fault aborts with nothing, or an address is matched as SNI";
    DR01 Error "a host, subset or label is none, or a subset is named twice";
    DR02 Error "a traffic policy is empty, or of a port that is missing";
    DR03 Error "outlier detection is none that Istio accepts";
    DR04 Error "a connection pool or load balancer is none that Istio accepts";
    DR05 Error "balancing by locality is none that Istio accepts";
    DR06 Error "TLS settings are none that Istio accepts, or a rule for some callers is exported";
    DR07 Warning "a traffic policy has a setting that does nothing, or is deprecated";
    GW01 Error "a Gateway is none that Istio accepts";
    GW02 Warning "a Gateway has a setting that does nothing";
    SE01 Error "a ServiceEntry is none that Istio accepts";
    SE02 Warning "a ServiceEntry may not do what it seems to";
    IST0101 Error "a gateway, host, port or subset is not there";
    IST0102 Warning "a namespace is not enabled for injection: what its pods call is split by nobody";
    IST0103 Warning "a pod has no proxy: what it calls is split by nobody";
    IST0106 Error "a field has not the type that Istio gives it, or is missing";
    IST0109 Error "two VirtualServices have one host in the mesh";
    IST0110 Warning "two Sidecars select the same pod";
    IST0111 Warning "two Sidecars of a namespace are for all its pods";
    IST0112 Error "a destination without port, of a Service with several";
    IST0118 Error "the port of a Service does not say that it speaks HTTP";
    IST0132 Error "a host is on none of the gateways";
    IST0133 Warning "a field is none that Istio is known to have";
    IST0138 Warning "two Gateways of the same pods have one certificate";
    IST0140 Error "a route at a gateway passes by the subsets that others split";
    IST0145 Warning "two Gateways have one port and host";
    IST0162 Warning "no Service leads to a port of a Gateway";
    IST0166 Warning "a policy selects the pods of a Kubernetes Gateway, where a selector does nothing";
    IST0167 Warning "a Sidecar does nothing where proxies are ambient";
    IST0173 Error "a version with weight has no pods";
    IST0174 Error "a DestinationRule is for a host that is not there";
    TG01 Error "a route stands after one that takes every request";
    TG02 Error "a version or subset has no labels: it would select every pod";
    TG03 Error "two versions or subsets select the same pods";
    TG04 Error "a single destination has a weight, and gets everything all the same";
    TG05 Error "weights do not add up to 100";
    TG06 Error "a fault hits every request, or has no percentage";
    TG07 Error "`sourceLabels` together with gateways";
    TG08 Error "a host of the form `service.namespace`, which Istio takes for an external name";
    TG09 Warning "consistent hashing is lost when traffic is split by weight";
    TG10 Error "a DestinationRule elsewhere takes subsets away from its callers";
    TG12 Warning "callers in the mesh pass by the weights";
    TG13 Warning "the last jump is of more than 50";
    TG14 Error "the Service leaves out the pods of a version";
    TG15 Warning "outlier detection can eject every pod of a version";
    TG16 Error "a mirror without a percentage copies every request";
    TG17 Error "a route is not visible where its gateway runs";
    TG18 Error "a gateway is named without its namespace";
    TG19 Error "versions lie in several clusters, and the Service is reached in its own alone";
    TG20 Warning "a prefix without `/` at its end also takes longer words";
    TG21 Error "an object is for a revision of Istio that does not run";
    TG22 Error "a service or host moves from one plan to another in one commit";
    TG23 Warning "a pin takes requests by nothing that a caller sets on purpose";
    TG24 Warning "requests that match no route get 404";
    TG30 Error "a plan is written more than once";
    TG31 Error "two plans are for one Service";
    TG32 Error "two plans write one VirtualService";
    TG33 Error "two plans write one DestinationRule";
    TG34 Error "two plans claim one host on one gateway";
    TG35 Error "a plan's service or object names change";
    TG36 Error "a commit removes many plans without saying so";
    TG37 Error "a plain object is written more than once";
    TG38 Warning "a plan that is gone stays until every file parses";
    TG39 Error "a plan names a cluster that the configuration does not have";
    TG40 Error "no cluster of the configuration has the labels that a plan asks for";
    TG41 Warning "a cluster of the mesh does not have the Service";
    TG42 Warning "an object stands in a remote cluster, where nobody reads it";
    AL01 Error "a namespace is beyond the repository's allow-list";
    AL02 Error "a host is beyond the repository's allow-list";
    AL03 Error "a gateway is beyond the repository's allow-list";
    AL04 Error "a kind is beyond the repository's allow-list";
    CF01 Error "two clusters, or two repositories, of the configuration have one name";
    CF02 Error "a cluster of the configuration is reached in no way, or in two";
    CF03 Error "an address of an istiod or a gateway is none";
    CF04 Error "a remote cluster has no primary in its mesh, or an istiod of its own";
    CF05 Error "a repository of the configuration is none that is followed";
    CF06 Error "the credentials or signatures of a repository do not go together";
    CF07 Error "a pattern of an allow-list is none";
}

/// How bad a finding of that code is.
pub(crate) fn severity(code: &str) -> Severity {
    CODES.iter().find(|(known, ..)| *known == code).map_or(Error, |(_, severity, _)| *severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let distinct: std::collections::BTreeSet<_> = CODES.iter().map(|(code, ..)| code).collect();
        assert_eq!(distinct.len(), CODES.len());
        assert_eq!(severity(TG24), Warning);
    }
}
