//! Why traffic went back without a commit, in words.

use super::Cause;

impl Cause {
    /// A stable name for machines.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Stop(_) => "Stop",
            Self::LoweredByHand(_) => "LoweredByHand",
            Self::Rejected(_) => "Rejected",
            Self::FailedBefore => "FailedBefore",
            Self::EndpointsGone(_) => "EndpointsGone",
            Self::ProxyRefused(_) => "ProxyRefused",
            Self::Deadline(_) => "Deadline",
        }
    }

    /// Whether what was written was refused, by the API server or by a proxy: it says nothing of how a version serves.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self, Self::Rejected(_) | Self::ProxyRefused(_))
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stop(text) => write!(f, "stopped by annotation: {text}"),
            Self::LoweredByHand(what) => write!(f, "weights were lowered by hand: {what}"),
            Self::Rejected(message) => write!(f, "the API server refused a write: {message}"),
            Self::FailedBefore => write!(f, "this content has failed before"),
            Self::EndpointsGone(version) => write!(f, "version {version} had no ready endpoint"),
            Self::ProxyRefused(why) => write!(f, "a proxy refused the configuration: {why}"),
            Self::Deadline(version) => {
                write!(f, "version {version} got no ready endpoint within the progress deadline")
            }
        }
    }
}
