//! Reads the steps on the way up.

use super::super::{Span, Step, Traffic, Version, codes, node::Node, report::Report};
use super::{shape::place, syntax::is_rule_name};

/// The largest last jump, in percent of all requests, that passes without a word.
const LAST_JUMP_MAX: u8 = 50;

/// The steps in order.
pub(super) fn read(spec: &Node, report: &mut Report<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for node in spec.get("steps").map_or(&[][..], Node::items) {
        if !node.is_map() {
            continue;
        }
        if node.get("hold").is_none() {
            let message = "the step has no gate: nothing is waited for before the next";
            report.hint(
                codes::PL09,
                place(node),
                message,
                "write e.g. `hold: 10m`, or `hold: 0s` to say so on purpose",
            );
        }
        let name = node.get("name").and_then(|name| Some((name, name.text()?)));
        if let Some((at, name)) = name.filter(|(_, name)| !is_rule_name(name)) {
            report.add(codes::PL06, &at.span, format!("`{name}` is no name of a step"));
        }
        let Some(weight) = weight(node) else { continue };
        if let Some(last) = steps.last().filter(|last| last.weight >= weight) {
            let at = node.get("weight").map_or(place(node), |weight| &weight.span);
            let message = format!("a step of weight {weight} stands after one of {}", last.weight);
            report.hint(codes::PL08, at, message, "weights of steps rise from one to the next");
        }
        let name = name.map(|(_, name)| name.to_owned());
        steps.push(Step { name, weight, hold: hold(node).unwrap_or(Span::ZERO) });
    }
    steps
}

/// The hold of a step or of `settle`.
pub(super) fn hold(node: &Node) -> Option<Span> {
    node.get("hold")?.text()?.parse().ok()
}

fn weight(step: &Node) -> Option<u8> {
    step.get("weight")?.whole().and_then(|weight| u8::try_from(weight).ok()).filter(|weight| *weight < 100)
}

/// Warns about a last jump of more than 50. Which versions rise is known for sure only at run time: here it is those
/// that get more than in `from`, without it all but the first version with traffic.
pub(super) fn check_last_jump(
    spec: &Node,
    target: Option<&Traffic>,
    from: Option<&Traffic>,
    versions: &[Version],
    report: &mut Report<'_>,
) {
    let Some(target) = target else { return };
    let weights =
        versions.iter().map(|version| (version, target.weight(&version.name))).filter(|(_, weight)| *weight > 0);
    let rising: u8 = match from {
        Some(from) => {
            weights.filter(|(version, weight)| from.weight(&version.name) < *weight).map(|(_, weight)| weight).sum()
        }
        None => match weights.skip(1).map(|(_, weight)| weight).sum() {
            0 => 100,
            rising => rising,
        },
    };
    let steps = spec.get("steps").map_or(&[][..], Node::items);
    // Steps that do not rise are an error of their own, and which is the last one is open.
    if !steps.iter().filter_map(weight).is_sorted() {
        return;
    }
    let walked = steps.iter().filter_map(|step| Some((step.get("weight")?, weight(step)?)));
    let Some((at, last)) = walked.rev().find(|(_, weight)| *weight < rising) else { return };
    if rising - last > LAST_JUMP_MAX {
        let message = format!("the last jump is from {last} to {rising} percent");
        report.hint(codes::TG13, &at.span, message, "add a step between");
    }
}
