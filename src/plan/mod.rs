//! Turns the text of a plan file into [`Plan`]s that are valid by construction, or into findings with their place.

mod allow;
mod beside;
mod catalog;
mod chosen;
pub(crate) mod codes;
mod digest;
pub mod edit;
mod emit;
pub(crate) mod fields;
mod file;
mod finding;
mod model;
mod name;
pub(crate) mod node;
pub(crate) mod read;
mod render;
pub(crate) mod report;
mod schema;
mod span;
mod strict;
mod traffic;
mod written;
mod yaml;

pub use allow::{Allow, GatewayPattern, HostPattern, KindName, NamePattern};
pub use beside::{Around, refused_objects, value_of};
pub use catalog::{Catalog, Commit, Entry, FileAt, Touched};
pub use chosen::{Chosen, Known, Unchosen};
pub use codes::CODES;
pub use digest::Digest;
pub use emit::to_yaml;
pub use file::{parse_file, refused_file};
pub use finding::{Document, Finding, ParsedFile, Place, Severity};
pub use model::{
    DriftPolicy, ObjectSpec, OnFailure, OnPartial, Pin, PlainObject, Plan, Readiness, Route, Routing, Step, Version,
};
pub use name::{CLUSTER_DOMAIN, Host, MESH, ObjectKey, PlanKey, Revision, VersionName, gateway};
pub(crate) use read::{duration_ns, takes_everything};
pub use render::{render, shown};
pub(crate) use schema::schema_of;
pub use schema::{schema, structural_spec};
pub use span::{ParseSpanError, Span};
pub(crate) use strict::strict;
pub use traffic::{Traffic, TrafficError};
