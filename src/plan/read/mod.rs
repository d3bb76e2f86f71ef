//! Reads documents: their shape by the table of fields, then the rules, so that one look finds all errors.

mod clusters;
mod document;
mod hosts;
mod http;
mod matches;
mod objects;
mod pins;
mod plain;
mod plan;
mod policy;
mod routes;
mod rules;
mod shape;
mod steps;
mod syntax;
mod traffic;
mod versions;
mod waves;

#[cfg(test)]
mod tests;

pub(crate) use clusters::labels;
pub(super) use document::{document, plan_key};
pub(super) use plain::kinds;
pub(crate) use rules::takes_everything;
pub(crate) use shape::{check, place};
pub(crate) use syntax::{duration_ns, is_dns_label, is_dns_subdomain, is_rule_name};
