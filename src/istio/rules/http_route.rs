//! The rules of an HTTP route: what stands beside what, and each of its fields.

use super::{
    at::At,
    matching, names,
    report::Report,
    syntax::{duration_fault, header_value_fault, is_header, is_port},
    virtual_service::Service,
};
use crate::plan::codes;

const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
const RETRY_ON: [&str; 16] = [
    "5xx",
    "gateway-error",
    "reset",
    "reset-before-request",
    "connect-failure",
    "retriable-4xx",
    "refused-stream",
    "retriable-status-codes",
    "retriable-headers",
    "envoy-ratelimited",
    "http3-post-connect-failure",
    "cancelled",
    "deadline-exceeded",
    "internal",
    "resource-exhausted",
    "unavailable",
];
/// The statuses that have a name: only they may be retried on by number.
const NAMED_STATUSES: [(i64, i64); 12] = [
    (100, 103),
    (200, 208),
    (226, 226),
    (300, 305),
    (307, 308),
    (400, 418),
    (421, 426),
    (428, 429),
    (431, 431),
    (451, 451),
    (500, 508),
    (510, 511),
];
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];
const BODY_BYTES_MAX: usize = 1024 * 1024;

pub(super) fn check(route: &At<'_>, service: &Service<'_>, report: &mut Report) {
    conflicts(route, service, report);
    for block in route.list("match") {
        matching::check(&block, report);
    }
    if let Some(headers) = route.get("headers") {
        operations(&headers, report);
    }
    if let Some(policy) = route.get("corsPolicy") {
        cors(&policy, report);
    }
    if let Some(fault) = route.get("fault") {
        self::fault(&fault, report);
    }
    mirrors(route, service.namespace, report);
    if let Some(at) = route.get("redirect") {
        redirect(&at, route, report);
    }
    if let Some(at) = route.get("directResponse") {
        direct_response(&at, report);
    }
    if let Some(at) = route.get("retries") {
        retries(&at, report);
    }
    if let Some(at) = route.get("rewrite") {
        rewrite(&at, report);
    }
    authority(route, report);
    destinations(route, service.namespace, report);
    names::duration(route, "timeout", codes::VS13, report);
}

/// Checks what excludes what.
fn conflicts(route: &At<'_>, service: &Service<'_>, report: &mut Report) {
    let delegates = service.hosts.is_empty();
    if let Some(at) = route.get("delegate") {
        let message = "a VirtualService without hosts, to which others delegate, delegates itself";
        if delegates {
            report.add(codes::VS09, &at, message, "write `route`: there is one level of delegation");
        } else {
            for field in ["redirect", "route"] {
                if let Some(at) = route.get(field).filter(|at| field == "redirect" || !at.items().is_empty()) {
                    let message = format!("`{field}` stands beside `delegate`");
                    report.add(
                        codes::VS09,
                        &at,
                        message,
                        "the route that is delegated to answers: keep `delegate` alone",
                    );
                }
            }
            return;
        }
    }
    let routes = route.count("route") > 0;
    let answer = ["redirect", "directResponse"].into_iter().find(|field| route.has(field));
    match answer {
        Some(answer) => {
            for field in ["route", "fault", "rewrite", "directResponse"].iter().filter(|field| **field != answer) {
                if let Some(at) = route.get(field).filter(|_| *field != "route" || routes) {
                    let message = format!("`{field}` stands beside `{answer}`, which answers by itself");
                    report.add(codes::VS05, &at, message, "keep one of the two");
                }
            }
        }
        None if !routes => {
            let message = "the route has neither `route` nor `redirect` nor `directResponse`";
            report.add(codes::VS04, route, message, "write `route: [{destination: {host: …}}]`");
        }
        None => {}
    }
    if let Some(at) = route.get("mirrors").filter(|at| route.has("mirror") && !at.items().is_empty()) {
        report.add(codes::VS10, &at, "`mirrors` stands beside `mirror`", "move the one mirror into the list");
    }
}

/// Checks the destinations of any route and their weights.
pub(super) fn destinations(route: &At<'_>, namespace: &str, report: &mut Report) {
    let legs = route.list("route");
    let mut total = 0_i32;
    let mut negative = false;
    for leg in &legs {
        if let Some(headers) = leg.get("headers") {
            operations(&headers, report);
        }
        if let Some(destination) = leg.get("destination") {
            names::destination(&destination, namespace, report);
        }
        let weight = i32::try_from(leg.whole_of("weight")).unwrap_or(0);
        if weight < 0
            && let Some(at) = leg.get("weight")
        {
            negative = true;
            report.add(codes::VS02, &at, format!("the weight {weight} is below 0"), "write a share of 100");
        }
        // As Istio adds them up.
        total = total.wrapping_add(weight);
    }
    match legs.as_slice() {
        [] => {}
        [leg] => {
            if let Some(at) = leg.get("weight").filter(|at| at.whole().is_some_and(|weight| (0..100).contains(&weight)))
            {
                let weight = at.whole().unwrap_or(0);
                let message = format!("the only destination has weight {weight}, and gets every request all the same");
                report.add(codes::TG04, &at, message, "leave the weight out, or add the destination of the rest");
            }
        }
        _ => {
            let place = route.get("route").unwrap_or_else(|| route.clone());
            if total == 0 {
                report.add(
                    codes::VS01,
                    &place,
                    "the weights of all destinations are 0",
                    "write weights that sum to 100",
                );
            } else if total != 100 && !negative {
                let message = format!("weights add up to {total}, not to 100");
                report.add(
                    codes::TG05,
                    &place,
                    message,
                    "write weights that sum to 100: what others mean by a weight is a percentage",
                );
            }
        }
    }
}

fn operations(headers: &At<'_>, report: &mut Report) {
    for side in ["request", "response"] {
        let Some(at) = headers.get(side) else { continue };
        for field in ["add", "set"] {
            for (name, at) in at.map(field) {
                operation(name, side == "request", &at, report);
                if let Some(fault) = at.text().and_then(header_value_fault) {
                    let message = format!("the value of the header `{}` {fault}", name.escape_debug());
                    report.add(codes::VS14, &at, message, "write a percent sign as `%%`");
                }
            }
        }
        for at in at.list("remove") {
            operation(at.text().unwrap_or_default(), false, &at, report);
        }
    }
}

fn operation(name: &str, may_be_authority: bool, at: &At<'_>, report: &mut Report) {
    let good = match name {
        "" => false,
        _ if is_authority(name) => may_be_authority,
        _ => !name.starts_with(':'),
    };
    if !good {
        let message = format!("the header `{}` cannot be changed here", name.escape_debug());
        report.add(codes::VS14, at, message, "name another: `host` can only be set, and only in requests");
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host")
}

/// Checks that one place alone says what the authority becomes.
fn authority(route: &At<'_>, report: &mut Report) {
    let mut known = route.get("rewrite").is_some_and(|rewrite| !rewrite.text_of("authority").is_empty());
    let Some(request) = route.reach(&["headers", "request"]) else { return };
    for (name, at) in request.map("set").into_iter().chain(request.map("add")).filter(|(name, _)| is_authority(name)) {
        if known {
            let message = format!("`{name}` is set although another place sets the authority");
            report.add(codes::VS14, &at, message, "keep one of them");
        }
        known |= at.text().is_some_and(|value| !value.is_empty());
    }
}

fn cors(policy: &At<'_>, report: &mut Report) {
    for origin in policy.list("allowOrigins") {
        let texts = ["regex", "prefix", "exact"].iter().filter_map(|form| origin.get(form)).next();
        if texts.is_none_or(|at| at.text() == Some("")) {
            report.add(codes::VS21, &origin, "an allowed origin is empty", "write `exact`, `prefix` or `regex`");
        } else {
            matching::expression(&origin, "allowOrigins", report);
        }
    }
    for at in policy.list("allowMethods").iter().filter(|at| !METHODS.contains(&at.text().unwrap_or_default())) {
        let message = format!("`{}` is no method of HTTP", at.text().unwrap_or_default().escape_debug());
        report.add(codes::VS21, at, message, format!("write one of {}", METHODS.join(", ")));
    }
    for at in ["allowHeaders", "exposeHeaders"].iter().flat_map(|field| policy.list(field)) {
        let name = at.text().unwrap_or_default();
        if name != "*" && !is_header(name) {
            let message = format!("`{}` is no name of a header", name.escape_debug());
            report.add(codes::VS21, &at, message, "use letters, digits and `-`, or write `*`");
        }
    }
    if let Some(at) = policy.get("maxAge") {
        let text = at.text().unwrap_or_default();
        let fraction = crate::plan::duration_ns(text).is_some_and(|ns| ns % 1_000_000_000 != 0);
        if let Some(fault) = duration_fault(text).or(fraction.then_some("has a fraction of a second")) {
            report.add(codes::VS13, &at, format!("`maxAge` {fault}"), "write whole seconds, e.g. `600s`");
        }
    }
}

fn fault(fault: &At<'_>, report: &mut Report) {
    if !fault.has("abort") && !fault.has("delay") {
        report.add(codes::VS11, fault, "`fault` has neither `abort` nor `delay`", "write one of them, or leave it out");
    }
    if let Some(abort) = fault.get("abort") {
        percentage(&abort, "abort", false, report);
        if let Some(at) = abort.get("http2Error") {
            report.add(
                codes::VS11,
                &at,
                "Istio cannot abort with an error of HTTP/2",
                "write `httpStatus` or `grpcStatus`",
            );
        } else if let Some(at) =
            abort.get("grpcStatus").filter(|at| !GRPC_STATUSES.contains(&at.text().unwrap_or_default()))
        {
            let message = format!("`{}` is no status of gRPC", at.text().unwrap_or_default().escape_debug());
            report.add(codes::VS11, &at, message, "write e.g. `UNAVAILABLE`");
        } else if !["httpStatus", "grpcStatus"].iter().any(|field| abort.has(field)) {
            report.add(
                codes::VS22,
                &abort,
                "the abort has no status: nothing is aborted",
                "write e.g. `httpStatus: 503`",
            );
        }
        status(&abort, "httpStatus", codes::VS11, report);
    }
    if let Some(delay) = fault.get("delay") {
        percentage(&delay, "delay", delay.has("percent"), report);
        names::duration(&delay, "fixedDelay", codes::VS13, report);
        if let Some(at) = delay.get("exponentialDelay") {
            report.add(codes::VS11, &at, "Istio knows no exponential delay yet", "write `fixedDelay`");
        }
    }
}

fn percentage(at: &At<'_>, what: &str, is_old: bool, report: &mut Report) {
    let hint = "write `percentage: {value: …}` below 100";
    let Some(share) = at.get("percentage") else {
        let old = at.whole_of("percent");
        if !is_old {
            report.add(codes::TG06, at, format!("the {what} has no percentage: it never comes"), hint);
        } else if old >= 100 {
            report.add(codes::TG06, at, format!("the {what} hits every request"), hint);
        }
        return;
    };
    let value = share.number_of("value").unwrap_or(0.0);
    if !(value == 0.0 || (0.0001..=100.0).contains(&value)) {
        report.add(codes::VS11, &share, format!("{value} is no percentage from 0.0001 to 100"), hint);
    } else if value >= 100.0 {
        report.add(codes::TG06, &share, format!("the {what} hits every request"), hint);
    }
}

fn status(owner: &At<'_>, field: &'static str, code: &'static str, report: &mut Report) {
    let Some(at) = owner.get(field) else { return };
    let number = at.whole().unwrap_or(0);
    if !(200..=600).contains(&number) {
        report.add(code, &at, format!("{number} is no status of HTTP from 200 to 599"), "write e.g. 503");
    }
}

fn mirrors(route: &At<'_>, namespace: &str, report: &mut Report) {
    let copies = "write the percentage of requests that are copied, `{value: …}`";
    let share = |at: &At<'_>, report: &mut Report| {
        let value = at.number_of("value").unwrap_or(0.0);
        if !(0.0..=100.0).contains(&value) {
            report.add(codes::VS10, at, format!("{value} is no percentage from 0 to 100"), copies);
        }
    };
    if let Some(at) = route.get("mirrorPercent") {
        if at.whole().is_some_and(|percent| percent > 100) {
            report.add(codes::VS10, &at, "the percentage is above 100", copies);
        }
        report.add(codes::VS20, &at, "`mirrorPercent` is of before Istio 1.5", "write `mirrorPercentage: {value: …}`");
    }
    if let Some(at) = route.get("mirrorPercentage") {
        share(&at, report);
    }
    if let Some(mirror) = route.get("mirror") {
        names::destination(&mirror, namespace, report);
        if !route.has("mirrorPercentage") && !route.has("mirrorPercent") {
            report.add(codes::TG16, &mirror, "`mirror` without `mirrorPercentage` copies every request", copies);
        }
    }
    for mirror in route.list("mirrors") {
        match mirror.get("destination") {
            None => report.add(codes::VS10, &mirror, "the mirror has no destination", "write `destination`"),
            Some(destination) => names::destination(&destination, namespace, report),
        }
        match mirror.get("percentage") {
            None => report.add(codes::TG16, &mirror, "a mirror without `percentage` copies every request", copies),
            Some(at) => share(&at, report),
        }
    }
}

fn redirect(redirect: &At<'_>, route: &At<'_>, report: &mut Report) {
    let has = |field: &str| !redirect.text_of(field).is_empty();
    let mut add = |message: &str, hint: &str| report.add(codes::VS21, redirect, message, hint);
    if has("uri") && has("prefixRewrite") {
        add("the redirect has `uri` and `prefixRewrite`", "keep one of them");
    }
    let by_other = |block: &At<'_>| block.get("uri").is_some_and(|uri| uri.has("regex") || !uri.has("prefix"));
    if has("prefixRewrite") && route.list("match").iter().any(by_other) {
        add("`prefixRewrite` needs a prefix to rewrite in each match", "match `uri` by `prefix`");
    }
    let port = redirect.get("port").or_else(|| redirect.get("derivePort"));
    if !["uri", "prefixRewrite", "authority", "scheme"].iter().any(|field| has(field)) && port.is_none() {
        add("the redirect leads nowhere", "write `uri`, `authority`, `scheme` or `port`");
    }
    let code = redirect.whole_of("redirectCode");
    if code != 0 && !(300..=399).contains(&code) {
        add(&format!("{code} is no code of a redirect"), "write one from 300 to 399");
    }
    if has("scheme") && !["http", "https"].contains(&redirect.text_of("scheme")) {
        add("the scheme is neither `http` nor `https`", "write one of them");
    }
    let port = redirect.whole_of("port");
    if port > 0 && !is_port(port) {
        add("a port is a whole number from 1 to 65535", "write e.g. 443");
    }
}

fn direct_response(at: &At<'_>, report: &mut Report) {
    status(at, "status", codes::VS21, report);
    let length = |field| at.reach(&["body", field]).and_then(|body| body.text()).map_or(0, str::len);
    if length("string").max(length("bytes")) > BODY_BYTES_MAX {
        report.add(codes::VS21, at, "the body has more than a mebibyte", "serve it from a Service");
    }
}

fn retries(retries: &At<'_>, report: &mut Report) {
    let attempts = retries.whole_of("attempts");
    if attempts < 0 {
        report.add(codes::VS12, retries, format!("{attempts} attempts are below 0"), "write 0 for no retries");
    }
    let settings = retries.has("perTryTimeout") || retries.has("retryRemoteLocalities");
    if attempts == 0 && (settings || !retries.text_of("retryOn").is_empty()) {
        let message = "retries have settings and no attempts: there are none";
        report.add(codes::VS12, retries, message, "write `attempts`, or take the settings out");
    }
    names::duration(retries, "perTryTimeout", codes::VS13, report);
    names::duration(retries, "backoff", codes::VS13, report);
    let Some(on) = retries.get("retryOn").filter(|on| on.text() != Some("")) else { return };
    for word in on.text().unwrap_or_default().split(',') {
        let named = |status: i64| NAMED_STATUSES.iter().any(|(first, last)| (*first..=*last).contains(&status));
        if !RETRY_ON.contains(&word) && !word.parse().is_ok_and(named) {
            let message = format!("`{}` is nothing to retry on", word.escape_debug());
            let hint = format!("write statuses or words, with commas and no blanks: {}", RETRY_ON.join(","));
            report.add(codes::VS12, &on, message, hint);
        }
    }
}

fn rewrite(rewrite: &At<'_>, report: &mut Report) {
    let has = |field: &str| !rewrite.text_of(field).is_empty();
    let regex = rewrite.get("uriRegexRewrite");
    if has("uri") && regex.is_some() {
        report.add(codes::VS21, rewrite, "the rewrite has `uri` and `uriRegexRewrite`", "keep one of them");
    }
    if !has("uri") && !has("authority") && regex.is_none() {
        report.add(
            codes::VS21,
            rewrite,
            "the rewrite rewrites nothing",
            "write `uri`, `uriRegexRewrite` or `authority`",
        );
    }
    let Some(regex) = regex else { return };
    let (from, to) = (regex.text_of("match"), regex.text_of("rewrite"));
    if from.is_empty() || to.is_empty() {
        report.add(codes::VS21, &regex, "`uriRegexRewrite` lacks `match` or `rewrite`", "write both");
    } else if let Some(fault) = matching::expression_fault(from) {
        let hint = "write an RE2 expression of at most 1,024 bytes";
        report.add(codes::VS21, &regex, format!("the expression of `uriRegexRewrite` {fault}"), hint);
    }
}
