//! The CanaryPlan custom resource: what `kubectl get canaryplans` shows of a plan, written and never read for decisions.

mod definition;

pub use definition::canaryplan_definition;

const GROUP: &str = "tidegate.dev";
const VERSION: &str = "v1alpha1";
const KIND: &str = "CanaryPlan";
const PLURAL: &str = "canaryplans";
