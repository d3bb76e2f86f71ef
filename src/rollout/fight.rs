//! A fight over an object: somebody else sets it back after each correction. Who that is, and what ends it.

use jiff::Timestamp;

use crate::{
    istio::{ObjectKind, Writer},
    plan::ObjectKey,
};

/// Corrections of one object that make a fight of it, when no more than [`FIGHT_WINDOW_S`] lies between them.
pub const FIGHT_CORRECTIONS: usize = 5;
/// The time in which they are counted, in seconds.
pub const FIGHT_WINDOW_S: i64 = 3_600;
/// How long an object must have been left alone for its fight to end, in seconds: whoever writes more rarely makes no
/// fight either.
pub const FIGHT_QUIET_S: i64 = 900;

/// A fight that was established and is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fight {
    /// The object's kind.
    pub kind: ObjectKind,
    /// The object.
    pub object: ObjectKey,
    /// How often it was put back since it began.
    pub corrections: u32,
    /// Who wrote it last; none where no other field manager is filed.
    pub by: Option<Writer>,
    /// When it is over if nobody writes again, and before when drift that exposes nobody is left as it stands.
    pub until: Timestamp,
}

impl std::fmt::Display for Fight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (kind, object) = (self.kind.kind(), &self.object);
        write!(f, "{kind} {object} was put back {} times and is changed again, ", self.corrections)?;
        match &self.by {
            Some(Writer { manager, operation, at }) => {
                write!(f, "last by field manager {manager:?} ({operation}")?;
                at.map_or(Ok(()), |at| write!(f, " at {at}"))?;
                write!(f, ")")?;
            }
            None => write!(f, "by nobody that its managedFields name")?,
        }
        write!(f, "; nothing rises until {} at the earliest; to end it: ", self.until)?;
        write!(f, "{}", remedy(self.by.as_ref().map(|by| by.manager.as_str()), self.kind, object))
    }
}

/// A tool by the field managers that it writes as, with what makes it leave an object alone.
struct Tool {
    is: fn(&str) -> bool,
    remedy: fn(kind: ObjectKind, object: &ObjectKey) -> String,
}

/// The tools that are known, in the order in which they are tried. `docs/operations.md` has the same in long.
const TOOLS: &[Tool] = &[
    // Flux, Kustomization.
    Tool {
        is: |manager| manager == "kustomize-controller",
        remedy: |kind, object| annotate(kind, object, "kustomize.toolkit.fluxcd.io/reconcile=disabled"),
    },
    // Flux, HelmRelease.
    Tool {
        is: |manager| manager == "helm-controller",
        remedy: |kind, object| annotate(kind, object, "helm.toolkit.fluxcd.io/driftDetection=disabled"),
    },
    // Argo CD.
    Tool {
        is: |manager| manager.starts_with("argocd"),
        remedy: |kind, ObjectKey { namespace, name }| {
            format!(
                "in the Argo CD Application set spec.ignoreDifferences: [{{group: networking.istio.io, kind: {}, \
                 namespace: {namespace}, name: {name}, jsonPointers: [/spec]}}] and spec.syncPolicy.syncOptions: \
                 [RespectIgnoreDifferences=true]",
                kind.kind()
            )
        },
    },
    // Other canary controllers.
    Tool {
        is: |manager| manager == "flagger" || manager == "rollouts-controller",
        remedy: |_, _| {
            "two canary controllers move one route: delete the Canary or Rollout of it, or this plan".to_owned()
        },
    },
    // People and scripts.
    Tool {
        is: |manager| manager.starts_with("kubectl") || manager == "helm",
        remedy: |_, _| "commit the change to the plan, or take the object out of what is applied there".to_owned(),
    },
];

/// What ends a fight with this field manager.
fn remedy(manager: Option<&str>, kind: ObjectKind, object: &ObjectKey) -> String {
    let known = manager.and_then(|manager| TOOLS.iter().find(|tool| (tool.is)(manager)));
    known.map_or_else(
        || "take the object out of whatever else writes it, or commit the change to the plan".to_owned(),
        |tool| (tool.remedy)(kind, object),
    )
}

fn annotate(kind: ObjectKind, ObjectKey { namespace, name }: &ObjectKey, annotation: &str) -> String {
    let kind = kind.kind().to_lowercase();
    format!("`kubectl -n {namespace} annotate {kind} {name} {annotation}`, or take it out of the Flux repository")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(manager: Option<&str>) -> String {
        let by = manager.map(|manager| Writer {
            manager: manager.into(),
            operation: "Apply".into(),
            at: Some("2026-11-21T09:00:00Z".parse().unwrap()),
        });
        let object = ObjectKey { namespace: "shop".into(), name: "web".into() };
        let until = "2026-11-21T09:15:00Z".parse().unwrap();
        Fight { kind: ObjectKind::VirtualService, object, corrections: 5, by, until }.to_string()
    }

    #[test]
    fn a_fight_names_the_object_the_other_side_the_time_and_what_ends_it() {
        insta::assert_snapshot!(told(Some("kustomize-controller")), @r#"VirtualService shop/web was put back 5 times and is changed again, last by field manager "kustomize-controller" (Apply at 2026-11-21T09:00:00Z); nothing rises until 2026-11-21T09:15:00Z at the earliest; to end it: `kubectl -n shop annotate virtualservice web kustomize.toolkit.fluxcd.io/reconcile=disabled`, or take it out of the Flux repository"#);
    }

    #[test]
    fn each_tool_is_told_the_setting_that_ends_the_fight() {
        let remedy = |manager| told(manager).split("to end it: ").last().unwrap().to_owned();
        for (manager, setting) in [
            (
                "kustomize-controller",
                "kubectl -n shop annotate virtualservice web kustomize.toolkit.fluxcd.io/reconcile=disabled",
            ),
            (
                "helm-controller",
                "kubectl -n shop annotate virtualservice web helm.toolkit.fluxcd.io/driftDetection=disabled",
            ),
            (
                "argocd-controller",
                "spec.ignoreDifferences: [{group: networking.istio.io, kind: VirtualService, namespace: shop, name: web, \
                 jsonPointers: [/spec]}] and spec.syncPolicy.syncOptions: [RespectIgnoreDifferences=true]",
            ),
            ("flagger", "delete the Canary or Rollout"),
            ("kubectl-edit", "commit the change to the plan"),
            ("homegrown", "whatever else writes it"),
        ] {
            assert!(remedy(Some(manager)).contains(setting), "{manager}: {}", remedy(Some(manager)));
        }
        assert!(told(None).contains("by nobody that its managedFields name"), "{}", told(None));
    }

    #[test]
    fn a_name_of_somebody_elses_choosing_is_escaped_and_the_whole_fits_an_event() {
        let text = told(Some("evil\n\u{1b}[31m"));
        assert!(text.contains(r#""evil\n\u{1b}[31m""#), "{text}");
        assert!(told(Some("argocd-controller")).len() < 700);
    }
}
