//! Runs the real binary: to its end, or until it is killed.
#![allow(dead_code, reason = "each test binary uses its part of the test bed")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test bed that fails is a failed test")]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

/// How a command ended.
#[derive(Debug)]
pub struct Answer {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The binary with these arguments, cut off from the machine's clusters; its temporary files go to `home`.
pub fn command<A: AsRef<str>>(home: &Path, arguments: &[A]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command
        .args(arguments.iter().map(AsRef::as_ref))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("TMPDIR", home)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Runs a command to its end; panics where that takes a minute.
pub async fn answer(mut command: Command) -> Answer {
    let out = tokio::time::timeout(Duration::from_secs(60), command.output()).await;
    let out = out.unwrap_or_else(|_| panic!("{command:?} did not end in a minute")).unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer { code: out.status.code().unwrap_or(-1), stdout: text(out.stdout), stderr: text(out.stderr) }
}

/// Runs the binary to its end.
pub async fn run<A: AsRef<str>>(home: &Path, arguments: &[A]) -> Answer {
    answer(command(home, arguments)).await
}

/// A binary that runs; dropped, it is killed.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the binary; what it prints is appended to `<home>/log`.
    pub fn start<A: AsRef<str>>(home: &Path, arguments: &[A]) -> Self {
        Self::start_with(home, arguments, &[])
    }

    /// The same with more variables in its environment.
    pub fn start_with<A: AsRef<str>>(home: &Path, arguments: &[A], environment: &[(String, String)]) -> Self {
        let log = home.join("log");
        let open = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = command(home, arguments);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let child = command.stdout(open.try_clone().unwrap()).stderr(open).spawn().unwrap();
        Self { child, log }
    }

    /// Kills it at once, as `kill -9` does, and waits until it is gone.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks it to end.
    pub async fn terminate(&self) {
        let sent = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.id()]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for its end and returns its exit code.
    pub async fn ended(&mut self, deadline: Duration) -> i32 {
        let Ok(status) = tokio::time::timeout(deadline, self.child.wait()).await else {
            panic!("it did not end in {deadline:?}: {}", self.log());
        };
        status.unwrap().code().unwrap_or(-1)
    }

    /// Its process id.
    pub fn id(&self) -> String {
        self.child.id().unwrap().to_string()
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Everything that was printed in this home so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}
