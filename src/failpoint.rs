//! Named points at which a test lets the process die as by `kill -9`; builds without debug assertions have none.
//!
//! `TIDEGATE_FAILPOINT=name:3` kills it at the third passing of a point; `TIDEGATE_FAILPOINTS=FILE` appends the name of
//! every point that is passed, a line each.

#[cfg(debug_assertions)]
pub use armed::pass;

/// Passes a point.
#[cfg(not(debug_assertions))]
pub const fn pass(_: &str) {}

#[cfg(debug_assertions)]
mod armed {
    use std::{
        io::Write as _,
        path::PathBuf,
        sync::{
            OnceLock,
            atomic::{AtomicU64, Ordering},
        },
    };

    #[derive(Default)]
    struct Orders {
        /// The point to die at, and the passing of it.
        death: Option<(String, u64)>,
        record: Option<PathBuf>,
    }

    static ORDERS: OnceLock<Orders> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    fn orders() -> Orders {
        let death = std::env::var("TIDEGATE_FAILPOINT").ok();
        let death = death.as_deref().and_then(|text| text.rsplit_once(':'));
        Orders {
            death: death.and_then(|(name, passing)| Some((name.to_owned(), passing.parse().ok()?))),
            record: std::env::var_os("TIDEGATE_FAILPOINTS").map(PathBuf::from),
        }
    }

    /// Passes a point.
    pub fn pass(name: &str) {
        let orders = ORDERS.get_or_init(orders);
        if let Some(record) = &orders.record {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(record);
            if let Err(error) = file.and_then(|mut file| writeln!(file, "{name}")) {
                tracing::warn!(%error, "cannot record failpoint {name}");
            }
        }
        let dies = orders
            .death
            .as_ref()
            .is_some_and(|(point, passing)| point == name && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *passing);
        if dies {
            // Nothing is left to do where the system refuses that.
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}
