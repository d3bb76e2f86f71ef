//! `tidegate completions`: prints completions for a shell.

use clap::Args;

use super::{DONE, Failure, terminal};

/// Print completions for a shell
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// Which shell
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<u8, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "tidegate", &mut script);
        terminal::write(&String::from_utf8_lossy(&script));
        Ok(DONE)
    }
}
