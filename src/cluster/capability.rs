//! Asks a cluster which version of Istio's API it serves.

use serde::{Deserialize, Serialize};

use super::Cluster;
use super::write::DEADLINE;
use crate::istio::ObjectKind;

const GROUP: &str = "networking.istio.io";

/// A version of `networking.istio.io` that carries VirtualServices; their schemas are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum IstioVersion {
    /// `v1`, served since Istio 1.22.
    #[default]
    V1,
    /// `v1beta1`, for older installations.
    V1Beta1,
}

impl IstioVersion {
    /// The version as in API paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1Beta1 => "v1beta1",
        }
    }

    /// The version as in an object's `apiVersion`.
    pub const fn api_version(self) -> &'static str {
        match self {
            Self::V1 => "networking.istio.io/v1",
            Self::V1Beta1 => "networking.istio.io/v1beta1",
        }
    }
}

/// Why a cluster can't be used for plans now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapabilityError {
    /// The API server answers and has no such kinds.
    #[error("cluster {cluster} serves no {kind} of {GROUP}")]
    Missing {
        /// The cluster's name.
        cluster: String,
        /// The kind that is missing.
        kind: &'static str,
    },
    /// The API server answers and refuses these credentials.
    #[error("cluster {cluster} refuses to tell its API to these credentials: {message}")]
    Forbidden {
        /// The cluster's name.
        cluster: String,
        /// The server's words.
        message: String,
    },
    /// The API server does not answer.
    #[error("cluster {cluster} can't be reached at {url}: {message}")]
    Away {
        /// The cluster's name.
        cluster: String,
        /// The server's address.
        url: String,
        /// What was tried and how it failed.
        message: String,
    },
}

impl CapabilityError {
    /// What to do about it.
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "install Istio or its CRDs in this cluster",
            Self::Forbidden { .. } => "give tidegate's account the role of deploy/, or fix the kubeconfig's user",
            Self::Away { .. } => "check the address, the network, and that the API server runs",
        }
    }
}

/// The newest version of Istio's API that serves both kinds of a plan; remembered by the cluster for its writes.
///
/// Errs as [`CapabilityError`], within 15 s a request.
pub async fn istio_version(cluster: &Cluster) -> Result<IstioVersion, CapabilityError> {
    let mut missing = ObjectKind::VirtualService.kind();
    for version in [IstioVersion::V1, IstioVersion::V1Beta1] {
        let kinds = served(cluster, version).await?;
        let wanted = [ObjectKind::VirtualService.kind(), ObjectKind::DestinationRule.kind()];
        match wanted.into_iter().find(|kind| !kinds.iter().any(|served| served == kind)) {
            None => {
                cluster.remember_istio_version(version);
                return Ok(version);
            }
            Some(kind) => missing = kind,
        }
    }
    Err(CapabilityError::Missing { cluster: cluster.name().to_owned(), kind: missing })
}

/// The kinds that one version serves; none where the server has no such version.
async fn served(cluster: &Cluster, version: IstioVersion) -> Result<Vec<String>, CapabilityError> {
    let name = cluster.name().to_owned();
    let client = cluster.client();
    let away = |message| CapabilityError::Away { cluster: name.clone(), url: cluster.url().to_owned(), message };
    let asked = client.list_api_group_resources(version.api_version());
    match tokio::time::timeout(DEADLINE, asked).await {
        Ok(Ok(list)) => Ok(list.resources.into_iter().map(|resource| resource.kind).collect()),
        Ok(Err(kube::Error::Api(status))) => match status.code {
            404 => Ok(Vec::new()),
            401 | 403 => Err(CapabilityError::Forbidden { cluster: name, message: status.message }),
            _ => Err(away(status.message)),
        },
        Ok(Err(error)) => Err(away(super::write::words(&error))),
        Err(_) => Err(away(format!("no answer in {DEADLINE:?}"))),
    }
}
