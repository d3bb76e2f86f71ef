//! Process start: what must be set before any thread exists, then the runtime, then the command.

use std::{process::ExitCode, time::Duration};

/// The system's allocator keeps what a burst of commits once needed: short-lived large pieces, such as the state of a
/// compressor, leave holes that small lasting ones break up. This one gives it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // SAFETY: these are unsynchronised C globals of libgit2; no other thread exists yet.
    #[allow(unsafe_code)]
    let limits = unsafe {
        git2::opts::set_server_connect_timeout_in_milliseconds(10_000)
            .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(20_000))
    };
    if let Err(error) = limits {
        eprintln!("error: cannot set the time limits of libgit2: {error}");
        return ExitCode::from(2);
    }
    // Two providers in one process would panic at the first TLS handshake: the first one is the only one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("error: a TLS provider was installed before tidegate's");
        return ExitCode::from(2);
    }
    let arguments = tidegate::cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            return ExitCode::from(2);
        }
    };
    let code = runtime.block_on(tidegate::cli::run(arguments));
    // A thread that is stuck in libgit2 cannot be cancelled; it is not waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    ExitCode::from(code)
}
