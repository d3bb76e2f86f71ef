//! `tidegate why`: one sentence on why a plan stands where it stands.

use clap::Args;

use crate::rollout::ImageChange;

use super::{DONE, FINDINGS, Failure, picture::From, terminal, terminal::say};

/// Say in one sentence why a plan stands where it stands
#[derive(Debug, Args)]
pub(super) struct Why {
    /// The plan: `namespace/name`, or a name that only one plan has
    plan: String,
    #[command(flatten)]
    from: From,
}

impl Why {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let asked = self.from.connect().await?;
        let picture = asked.picture().await?;
        let found = asked.find(&picture, &self.plan)?;
        let reason = found.reason.as_ref();
        let mut message = reason.map_or("nothing was decided yet", |reason| &reason.message).to_owned();
        // Where that is the reason, it says so itself.
        let told = |change: &ImageChange| message.contains(&change.to_string());
        let changes = found.images_changed.iter().flatten().filter(|(_, change)| !told(change));
        let changes: Vec<String> =
            changes.map(|(version, change)| format!("; the images of version {version} changed {change}")).collect();
        message.extend(changes);
        say!("{}/{}: {}", found.namespace, found.name, terminal::plain(&message));
        Ok(if reason.is_some_and(|reason| reason.needs_a_person) { FINDINGS } else { DONE })
    }
}
