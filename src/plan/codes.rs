//! The stable codes of findings, with how bad they are and what they mean.

use super::Severity::{self, Error, Warning};

macro_rules! codes {
    ($($code:ident $severity:ident $meaning:literal;)*) => {
        $(pub(super) const $code: &str = stringify!($code);)*

        /// Every code that a finding of this room can have, with its severity and meaning.
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
    VS06 Error "the host `*` applies to the mesh";
    VS07 Error "two hosts are the same or cover each other";
    VS11 Error "a fault neither aborts nor delays";
    VS13 Error "a duration is none, or shorter than a millisecond";
    VS15 Error "a match is empty or too long";
    VS17 Error "`exportTo` is none that Istio accepts";
    DR02 Error "a port of a traffic policy is missing";
    DR06 Error "a TLS mode is unknown";
    TG01 Error "a route stands after one that takes every request";
    TG02 Error "a version has no labels: it would select every pod";
    TG03 Error "two versions select the same pods";
    TG05 Error "weights do not add up to 100";
    TG06 Error "a fault hits every request";
    TG07 Error "`sourceLabels` together with gateways";
    TG08 Error "a host of the form `service.namespace`, which Istio takes for an external name";
    TG09 Warning "consistent hashing is lost when traffic is split by weight";
    TG13 Warning "the last jump is of more than 50";
    TG16 Error "a mirror without a percentage copies every request";
    TG20 Warning "a prefix without `/` at its end also takes longer words";
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
}

/// How bad a finding of that code is.
pub(super) fn severity(code: &str) -> Severity {
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
