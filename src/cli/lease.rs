//! Flags for several replicas of one tidegate.

use std::time::Duration;

use clap::{Args, builder::NonEmptyStringValueParser};

use crate::cluster::LeaseOptions;

use super::access::duration;

/// The shortest duration: it is renewed four times in that.
const SHORTEST: Duration = Duration::from_secs(2);

/// Whether this is one of several, and which lease decides among them.
#[derive(Clone, Debug, Args)]
pub(super) struct LeaseArgs {
    /// Be one of several replicas: nothing rises but by the one that holds the Lease, going back needs none
    #[arg(long, conflicts_with = "once")]
    leader_elect: bool,
    /// The Lease's name, another one for each plan repository
    #[arg(long, value_name = "NAME", default_value = "tidegate", requires = "leader_elect",
          value_parser = NonEmptyStringValueParser::new())]
    lease_name: String,
    /// The Lease's namespace, in the first cluster that is named; without it that of the context, in a pod the pod's
    #[arg(long, value_name = "NAMESPACE", requires = "leader_elect", value_parser = NonEmptyStringValueParser::new())]
    lease_namespace: Option<String>,
    /// How long the Lease stands without being renewed, in whole seconds: so late another replica takes over at most
    #[arg(long, value_name = "DURATION", default_value = "4s", requires = "leader_elect", value_parser = whole_seconds)]
    lease_duration: Duration,
}

impl LeaseArgs {
    /// The lease; none where this process is the only one.
    pub(super) fn options(&self) -> Option<LeaseOptions> {
        let called = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME"));
        self.leader_elect.then(|| LeaseOptions {
            namespace: self.lease_namespace.clone(),
            name: self.lease_name.clone(),
            called: called.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "tidegate".to_owned()),
            duration: self.lease_duration,
        })
    }
}

fn whole_seconds(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        short if short < SHORTEST => {
            Err(format!("`{text}` is too short: it is renewed four times in that, so 2s at least"))
        }
        odd if odd.subsec_nanos() != 0 => Err(format!("`{text}` is not a whole number of seconds")),
        whole => Ok(whole),
    }
}
