//! The workers against a model world: histories as a table, laws as properties, and an exhaustive model.

mod around;
mod draft;
mod drift;
mod early;
mod failures;
mod faults;
mod histories;
mod images;
mod journals;
mod late;
mod laws;
mod leaving;
mod loops;
mod model;
mod newcomers;
mod notes;
mod pair;
mod proxies;
mod readiness;
mod refused;
mod resource;
mod restores;
mod seeds;
mod simulation;
mod stops;
mod way_back;
