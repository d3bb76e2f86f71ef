//! Process start: what must be set before any thread exists, then the runtime, then the command.

use std::{process::ExitCode, time::Duration};

use git2::ConfigLevel;
use rustix::process::{Resource, Rlimit};
use tidegate::git::Child;

/// What reads Git has to be at least this: earlier versions have known holes.
const LIBGIT2_MIN: (u32, u32, u32) = (1, 9, 7);

/// The largest object that a pack from the network may hold: a few bytes can claim any size.
const OBJECT_BYTES_MAX: usize = 256 << 20;

/// Nearly all time is spent waiting, and each thread keeps memory of its own.
const THREADS_MAX: usize = 4;

/// A burst of commits and a first listing take short-lived pieces of all sizes beside small lasting ones: the system's
/// allocator keeps the pages in between, this one gives them back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// One arena: a few threads that mostly wait do not get in each other's way, and each arena keeps half-used pages of its
/// own. The allocator reads it before anything runs.
#[allow(unsafe_code)]
// SAFETY: the symbol is a pointer to a text that ends with a zero and lives for ever, as jemalloc wants it.
#[unsafe(export_name = "_rjem_malloc_conf")]
static ALLOCATOR_SETTINGS: Option<&'static std::ffi::c_char> =
    Some(unsafe { &*c"background_thread:true,narenas:1".as_ptr() });

fn main() -> ExitCode {
    // Secrets pass through this process; a core file would keep them.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = rustix::process::setrlimit(Resource::Core, none) {
        eprintln!("error: cannot forbid core files: {error}");
        return ExitCode::from(2);
    }
    if let Some(child) = Child::asked() {
        // SAFETY: no other thread exists yet, and none is started.
        #[allow(unsafe_code)]
        let prepared = unsafe { configure().is_ok() && prepare(&child).is_ok() };
        return if prepared && child.run().is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) };
    }
    // Two providers in one process would panic at the first TLS handshake: the first one is the only one.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        eprintln!("error: a TLS provider was installed before tidegate's");
        return ExitCode::from(2);
    }
    let arguments = tidegate::cli::parse();
    // Only now: libgit2 reads every certificate of the system when it starts, and `--help` needs none.
    // SAFETY: no other thread exists yet.
    #[allow(unsafe_code)]
    if let Err(error) = unsafe { configure() } {
        eprintln!("error: cannot configure libgit2: {error}");
        return ExitCode::from(2);
    }
    // It was read with the arguments. No program that is started from here on, such as a kubeconfig's, inherits it.
    // SAFETY: no other thread exists yet.
    #[allow(unsafe_code)]
    unsafe {
        std::env::remove_var(tidegate::git::TOKEN_VARIABLE);
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build() {
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

/// Time limits, and nothing of what this machine's Git is configured with. Errs where libgit2 is too old.
///
/// # Safety
/// These are unsynchronised globals of C: no other thread may exist.
#[allow(unsafe_code)]
unsafe fn configure() -> Result<(), git2::Error> {
    let linked = git2::Version::get().libgit2_version();
    if linked < LIBGIT2_MIN {
        let old = format!("{linked:?} is linked, at least {LIBGIT2_MIN:?} is needed");
        return Err(git2::Error::from_str(&old));
    }
    // SAFETY: as above.
    unsafe {
        git2::opts::set_server_connect_timeout_in_milliseconds(10_000)?;
        git2::opts::set_server_timeout_in_milliseconds(20_000)?;
        for level in [ConfigLevel::ProgramData, ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global] {
            git2::opts::set_search_path(level, "/nonexistent")?;
        }
    }
    Ok(())
}

/// What a child needs beside that: a limit for objects, and the way to HTTP.
///
/// # Safety
/// As above.
#[allow(unsafe_code)]
unsafe fn prepare(child: &Child) -> Result<(), git2::Error> {
    let option = libgit2_sys::GIT_OPT_SET_PACK_MAX_OBJECT_SIZE as std::ffi::c_int;
    // SAFETY: as above.
    unsafe {
        if libgit2_sys::git_libgit2_opts(option, OBJECT_BYTES_MAX) < 0 {
            return Err(git2::Error::from_str("the largest object"));
        }
        git2::transport::register(Child::SCHEME, child.transport())
    }
}
