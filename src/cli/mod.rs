//! The command line: one file a command. It prints; the rooms decide.
//!
//! Exit codes are an interface: 0 done or no difference, 1 findings or a difference, 2 usage or configuration,
//! 3 could not reach something.

mod access;
mod advance;
mod check;
mod commit;
mod completions;
mod configuration;
mod demo;
mod diff;
mod fleet;
mod following;
mod git_access;
mod guard;
mod heading;
mod history;
mod journal;
mod lease;
mod listed;
mod log;
mod matrix;
mod named;
#[cfg(feature = "otlp")]
mod otlp;
mod pause;
mod picture;
mod proxies;
mod push_args;
mod reading;
mod rollback;
mod run;
mod schema;
mod serving;
mod status;
mod stop;
mod surroundings;
mod terminal;
mod why;

use clap::{Parser, Subcommand};

/// Done, or nothing differs.
pub const DONE: u8 = 0;
/// Findings, or a difference.
pub const FINDINGS: u8 = 1;
/// Usage or configuration.
pub const USAGE: u8 = 2;
/// Something could not be reached.
pub const UNREACHED: u8 = 3;

/// Syncs canary plans from a Git repository into Istio, step by step, and reverts by commit.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100, arg_required_else_help = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(Box<run::Run>),
    Check(check::Check),
    Diff(diff::Diff),
    Status(status::Status),
    Why(why::Why),
    History(history::History),
    Rollback(rollback::Rollback),
    Advance(advance::Advance),
    Pause(pause::Pause),
    Resume(pause::Resume),
    Stop(stop::Stop),
    Schema(schema::Schema),
    Demo(demo::Demo),
    Completions(completions::Completions),
}

/// Reads the command line; ends the process with code 2 where it can't be read, with 0 for help and version.
pub fn parse() -> Arguments {
    Arguments::parse()
}

/// The command line as clap knows it, for completions.
fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// Runs a command and returns the exit code.
pub async fn run(arguments: Arguments) -> u8 {
    let result = match arguments.command {
        Command::Run(run) => Box::pin(run.run()).await,
        Command::Check(check) => check.run().await,
        Command::Diff(diff) => diff.run().await,
        Command::Status(status) => status.run().await,
        Command::Why(why) => why.run().await,
        Command::History(history) => history.run().await,
        Command::Rollback(rollback) => rollback.run().await,
        Command::Advance(advance) => advance.run().await,
        Command::Pause(pause) => pause.run().await,
        Command::Resume(resume) => resume.run().await,
        Command::Stop(stop) => stop.run().await,
        Command::Schema(schema) => schema.run(),
        Command::Demo(demo) => demo.run().await,
        Command::Completions(completions) => completions.run(),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {:#}", failure.error);
            if let Some(hint) = &failure.hint {
                eprintln!("hint: {hint}");
            }
            failure.code
        }
    }
}

/// Why a command ended without doing its work.
struct Failure {
    code: u8,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    fn usage(error: impl Into<anyhow::Error>, hint: impl Into<String>) -> Self {
        Self { code: USAGE, error: error.into(), hint: Some(hint.into()) }
    }

    fn unreached(error: impl Into<anyhow::Error>) -> Self {
        Self { code: UNREACHED, error: error.into(), hint: None }
    }

    /// All of it in one line.
    fn sentence(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{:#}{hint}", self.error)
    }

    /// A repository that gave nothing.
    fn unread(error: crate::git::GitError) -> Self {
        let hint = error.hint();
        Self { code: UNREACHED, error: error.into(), hint: Some(hint) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self { code: USAGE, error: error.into(), hint: None }
    }
}
