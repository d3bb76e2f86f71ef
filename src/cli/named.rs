//! Plans by the names that people give them: `namespace/name`, or a name that only one plan has.

use anyhow::anyhow;

use super::Failure;

/// Whether a plan is called so.
pub(super) fn is_called(wanted: &str, namespace: &str, name: &str) -> bool {
    match wanted.split_once('/') {
        Some(whole) => whole == (namespace, name),
        None => name == wanted,
    }
}

/// The clusters in which plans are looked for, for people.
pub(super) fn place(several: bool) -> &'static str {
    if several { "these clusters" } else { "this cluster" }
}

/// No plan is called so. `unread` says of each cluster that did not answer why: it may have the plan.
pub(super) fn nobody(wanted: &str, several: bool, unread: &[String]) -> Failure {
    if !unread.is_empty() {
        let rest = if several {
            format!("no plan `{wanted}` is applied in the clusters that answer; ")
        } else {
            String::new()
        };
        return Failure::unreached(anyhow!("{rest}{}", super::terminal::plain(&unread.join("; "))));
    }
    Failure::usage(
        anyhow!("no plan `{wanted}` is applied in {}", place(several)),
        "`tidegate status` lists the plans; what keeps another one out is said by `tidegate run --once`",
    )
}

/// Several are.
pub(super) fn ambiguous(wanted: &str, names: &[String]) -> Failure {
    Failure::usage(
        anyhow!("`{wanted}` is the name of {} plans", names.len()),
        format!("write one as namespace/name: {}", names.join(", ")),
    )
}
