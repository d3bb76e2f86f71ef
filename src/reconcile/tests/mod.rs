//! The workers against a model world: histories as a table, laws as properties, and an exhaustive model.

mod draft;
mod drift;
mod faults;
mod histories;
mod journals;
mod laws;
mod model;
mod pair;
mod resource;
mod seeds;
mod simulation;
