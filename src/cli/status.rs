//! `tidegate status`: where every plan stands, under what is to be told of all of them.

use std::{collections::BTreeSet, time::Duration};

use clap::Args;

use crate::plan::Traffic;

use super::{
    DONE, Failure, UNREACHED, heading, matrix,
    picture::{From, Picture},
    terminal,
};

const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// Show where every plan stands
#[derive(Debug, Args)]
pub(super) struct Status {
    #[command(flatten)]
    from: From,
    /// Only plans of this namespace
    #[arg(short, long)]
    namespace: Option<String>,
    /// Format; `matrix` has a row for each plan and a column for each cluster
    #[arg(short, long, value_name = "FORMAT", value_parser = ["table", "wide", "matrix", "json", "yaml"],
          default_value = "table")]
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
                "matrix" => heading::of(&picture) + &matrix::of(&picture),
                output => heading::of(&picture) + &table(&picture, output == "wide"),
            };
            if text != shown {
                terminal::write(&text);
                shown = text;
            }
            if !self.watch {
                return Ok(if asked.has_missed(&picture) { UNREACHED } else { DONE });
            }
            tokio::select! {
                () = tokio::time::sleep(WATCH_PAUSE) => {}
                _ = tokio::signal::ctrl_c() => return Ok(DONE),
            }
        }
    }
}

fn table(picture: &Picture, wide: bool) -> String {
    let plans = &picture.plans;
    if plans.is_empty() {
        return picture.nothing();
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
