//! A guard sees one cluster and no repository, so it takes what the journal says for what Git asks, raises nothing, and
//! does not take what it does not see for something that is not there.

use super::{Journal, Lease, World};

/// Whether the step that stands here may stand in other clusters, too, which nobody shows this process.
pub(super) fn sees_a_part(journal: &Journal, world: &World) -> bool {
    world.lease == Lease::Guard && !journal.plan.clusters.is_one()
}
