//! `tidegate status`: where every plan stands, and what is wrong with the repositories.

use std::{collections::BTreeSet, time::Duration};

use clap::Args;
use serde_json::Value;

use crate::plan::Traffic;

use super::{
    DONE, Failure,
    picture::{From, Item, Picture},
    terminal,
};

const WATCH_PAUSE: Duration = Duration::from_secs(1);
/// More findings than this are counted; `-o json` has them all.
const FINDINGS_MAX: usize = 5;

/// Show where every plan stands
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    from: From,
    /// Only plans of this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Format
    #[arg(short, long, value_name = "FORMAT", value_parser = ["table", "wide", "json", "yaml"], default_value = "table")]
    output: String,
    /// Show it again whenever it changes, until interrupted
    #[arg(short, long)]
    watch: bool,
}

impl Status {
    pub(super) async fn run(self) -> Result<u8, Failure> {
        let asked = self.from.connect().await?;
        let mut shown = String::new();
        loop {
            let mut picture = asked.picture().await?;
            if let Some(namespace) = &self.namespace {
                picture = picture.of_namespace(namespace);
            }
            let text = match self.output.as_str() {
                "json" => format!("{:#}\n", picture.document),
                "yaml" => crate::plan::to_yaml(&picture.document),
                output => repositories(&picture) + &table(&picture.plans, output == "wide"),
            };
            if text != shown {
                terminal::write(&text);
                shown = text;
            }
            if !self.watch {
                return Ok(DONE);
            }
            tokio::select! {
                () = tokio::time::sleep(WATCH_PAUSE) => {}
                _ = tokio::signal::ctrl_c() => return Ok(DONE),
            }
        }
    }
}

/// What is wrong with the configuration and the repositories; nothing where nothing is.
fn repositories(picture: &Picture) -> String {
    let mut text = String::new();
    let mut say = |line: &str| text.push_str(&(terminal::plain(line) + "\n"));
    if let Some(error) = picture.document.pointer("/configuration/error").and_then(Value::as_str) {
        say(&format!("configuration: what the file says is not in force: {error}"));
    }
    for repository in picture.document.get("repositories").and_then(Value::as_array).into_iter().flatten() {
        let field = |name: &str| repository.get(name).and_then(Value::as_str).unwrap_or_default();
        let of = format!("repository {} ({})", field("name"), field("branch"));
        if !field("error").is_empty() {
            say(&format!("{of}: {}", field("error")));
        }
        let findings = repository.get("findings").and_then(Value::as_array);
        let errors: Vec<&Value> = findings
            .into_iter()
            .flatten()
            .filter(|finding| finding.get("severity").and_then(Value::as_str) == Some("error"))
            .collect();
        for error in errors.iter().take(FINDINGS_MAX) {
            let field = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
            say(&format!("{of}: error[{}] in {}: {}", field("code"), field("file"), field("message")));
        }
        if errors.len() > FINDINGS_MAX {
            say(&format!("{of}: {} more errors", errors.len() - FINDINGS_MAX));
        }
    }
    if text.is_empty() { text } else { text + "\n" }
}

fn table(plans: &[Item], wide: bool) -> String {
    if plans.is_empty() {
        return "no plan is applied in this cluster\n".to_owned();
    }
    // Of one cluster the name says nothing; of several it is what tells the lines of a plan apart.
    let several = plans.iter().map(|plan| &plan.cluster).collect::<BTreeSet<_>>().len() > 1;
    let mut head = vec!["NAMESPACE", "NAME"];
    head.extend(several.then_some("CLUSTER"));
    head.extend(["PHASE", "STEP", "TARGET", "LIVE", "NEXT"]);
    head.extend(if wide { vec!["REVISION", "REASON"] } else { vec!["REASON"] });
    let mut rows = vec![head.into_iter().map(str::to_owned).collect()];
    for plan in plans {
        // Without a journal nothing is live of the plan, or it cannot be told what.
        let none = if plan.phase == "Unknown" { "-" } else { "?" };
        let text = |traffic: &Option<Traffic>| traffic.as_ref().map_or_else(|| none.to_owned(), Traffic::to_string);
        let step = plan.step.as_ref().map_or_else(
            || "-".to_owned(),
            |step| match &step.name {
                Some(name) => format!("{} {name}", step.weight),
                None => step.weight.to_string(),
            },
        );
        let wave = plan.wave.as_ref().map(|wave| {
            let here = if wave.here { "" } else { ", not here" };
            format!(" (wave {} of {}{here})", wave.reached, wave.of)
        });
        let step = step + &wave.unwrap_or_default();
        let mut row = vec![plan.namespace.clone(), plan.name.clone()];
        row.extend(several.then(|| plan.cluster.clone()));
        row.extend([
            plan.phase.clone(),
            step,
            text(&plan.target),
            text(&plan.live),
            plan.next.map_or_else(|| "-".to_owned(), |at| at.strftime("%H:%M:%SZ").to_string()),
        ]);
        let reason = plan.reason.as_ref();
        if wide {
            row.push(plan.revision.clone().unwrap_or_else(|| "?".to_owned()));
            row.push(reason.map_or_else(|| "?".to_owned(), |reason| reason.message.clone()));
        } else {
            row.push(reason.map_or_else(|| "?".to_owned(), |reason| reason.name.clone()));
        }
        rows.push(row.iter().map(|cell| terminal::plain(cell)).collect());
    }
    terminal::table(&rows)
}
