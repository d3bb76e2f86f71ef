//! A cluster as the configuration has it, before anything is known of it.

use std::collections::BTreeMap;

use super::{Access, Cluster, ConnectError, ProxyAccess, TRAFFIC_MAX, Turns};

/// What a cluster is to the istiods of its mesh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// An istiod reads Istio's objects there: plans go to it.
    #[default]
    Primary,
    /// Only its endpoints are read: nothing is ever written there.
    Remote,
}

impl Role {
    /// As the configuration and the status call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Remote => "remote",
        }
    }
}

/// One cluster that plans may go to.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What plans may choose it by.
    pub labels: BTreeMap<String, String>,
    /// How its API server is reached.
    pub access: Access,
    /// The mesh of several clusters that it shares its endpoints in; none: it shares them with no other.
    pub mesh: Option<String>,
    /// What it is there.
    pub role: Role,
    /// How many writes of routes, and of rules, are under way there at once; none: [`TRAFFIC_MAX`].
    pub writes_max: Option<usize>,
    /// Who is asked about its proxies; none: nobody, and a stated wait stands in.
    pub proxies: Option<ProxyAccess>,
}

impl Member {
    /// Whether another configuration of it changes nothing of what is read there, and how.
    pub fn is_reached_as(&self, other: &Self) -> bool {
        let (asked, role) = (self.mesh.is_some() == other.mesh.is_some(), self.role == other.role);
        let limits = self.writes_max == other.writes_max;
        self.access == other.access && self.proxies == other.proxies && asked && role && limits
    }

    /// Builds a client of it, which keeps to its limits; the API server is not asked anything.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn connect(&self) -> Result<Cluster, ConnectError> {
        let cluster = Cluster::connect(&self.name, &self.access).await?;
        Ok(cluster.writing_in(Turns::of(self.writes_max.unwrap_or(TRAFFIC_MAX))))
    }
}
