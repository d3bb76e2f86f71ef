//! What objects say of one another: gateways, hosts and subsets that are not there, or that two of them claim.
//!
//! Only what the caller's own objects do wrong is found; the others are what they are looked at beside. What is not
//! known completely is not missed: a Service that nobody showed may well be there.

mod beyond;
mod certificates;
mod control_plane;
mod destinations;
mod gateways;
mod injection;
mod policies;
mod rules;
mod shared;
mod sidecars;
#[cfg(test)]
mod tests;
mod view;
mod workloads;

use serde_json::Value;

pub use beyond::{Beyond, check_beyond};

use self::view::View;
use super::{
    at::At,
    report::{Found, Report},
};

/// One object of a mesh: those of Istio, Services, Namespaces, Pods of which metadata and the names of containers are
/// enough, and Istio's own settings as the `spec` of a `MeshConfig`.
#[derive(Clone, Copy, Debug)]
pub struct Member<'v> {
    /// The object.
    pub object: &'v Value,
    /// Whose it is.
    pub whose: Whose,
}

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The caller's, as it is written.
    Written,
    /// The caller's, made from a plan.
    Rendered,
    /// Somebody else's.
    Other,
}

/// The kinds of which every object is among the members.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// VirtualServices.
    pub routes: bool,
    /// DestinationRules.
    pub rules: bool,
    /// Gateways.
    pub gateways: bool,
    /// Services and ServiceEntries.
    pub hosts: bool,
    /// Pods and WorkloadEntries.
    pub workloads: bool,
}

/// What is wrong between the members, each with the position of the member that it is about.
pub fn check_across(members: &[Member<'_>], known: Known) -> Vec<(usize, Found)> {
    let view = View::new(members, known);
    let mut findings = Findings::default();
    destinations::check(&view, &mut findings);
    gateways::check(&view, &mut findings);
    rules::check(&view, &mut findings);
    shared::check(&view, &mut findings);
    certificates::check(&view, &mut findings);
    sidecars::check(&view, &mut findings);
    policies::check(&view, &mut findings);
    injection::check(&view, &mut findings);
    control_plane::check(&view, &mut findings);
    findings.found
}

/// What was found, by member.
#[derive(Default)]
struct Findings {
    found: Vec<(usize, Found)>,
}

impl Findings {
    fn add(
        &mut self,
        member: usize,
        code: &'static str,
        at: &At<'_>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let mut report = Report::default();
        report.add(code, at, message, hint);
        self.found.extend(report.into_found().into_iter().map(|found| (member, found)));
    }
}
