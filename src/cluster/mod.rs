//! The clusters: a client per context, watch caches, compare-and-swap writes and events.
//!
//! ```text
//!  Access ─► Cluster ─┬─ watch ─► Seen::{Object, Endpoints, Synced, Away, Back}, Endpoints (index)
//!                     ├─ write(Edit) ─► Outcome, look ─► the live object
//!                     ├─ apply(plain Istio object) ─► Applied
//!                     ├─ watch_proxies ─► ProxyNews: whether the proxies have what was written
//!                     ├─ write_canaryplan ─► Published
//!                     ├─ elect ─► Candidate: who of many may raise
//!                     ├─ census ─► everything that rules look at, once
//!                     ├─ routes ─► the VirtualServices that are tidegate's, once
//!                     └─ Announcer ─► Kubernetes Events
//! ```
//!
//! A cluster that is away is a state of that cluster, never of the process: nothing here ends because of it.

mod announce;
mod apply;
mod canaryplan;
mod capability;
mod census;
mod connect;
mod endpoints;
mod feed;
mod kubeconfig;
mod lease;
mod member;
mod mesh_config;
mod meter;
mod namespace;
mod observe;
mod plugin;
mod pod;
mod proxies;
mod pulse;
mod routes;
mod secret;
mod snapshot;
mod turns;
mod untyped;
mod write;
mod writer;

pub use announce::{Announcement, Announcer};
pub use apply::{Applied, apply, look_plain};
pub use canaryplan::{
    CanaryPlan, Condition, Published, Written, canaryplan_definition, canaryplans, list_canaryplans, remove_canaryplan,
    write_canaryplan,
};
pub use capability::{CapabilityError, IstioVersion, istio_version};
pub use census::{Census, CensusError, census};
pub use connect::{Access, Cluster, ConnectError, Credentials, IN_CLUSTER};
pub use endpoints::Endpoints;
pub use lease::{Candidate, Fence, LeaseOptions, Own, Tenure, elect};
pub use member::{Member, Role};
pub use mesh_config::watch_cluster_local;
pub use meter::{Answer, Verb};
pub use namespace::lacks_namespace;
pub use observe::{Seen, watch, watch_endpoints};
pub use proxies::{
    Asking, Gateways, Istiods, PodSelector, Progress, ProxyAccess, ProxyNews, ProxyWatch, address, watch_proxies,
};
pub use routes::routes;
pub use secret::SecretName;
pub use snapshot::{Snapshot, SnapshotError, snapshot};
pub use turns::{TRAFFIC_MAX, Turn, Turns};
pub use write::{LookError, NO_RIGHT, Outcome, look, write};
pub use writer::other_writer;
