//! The wall clock as it was at start, carried on by the monotonic one: a correction while running moves no hold.

use std::time::{Duration, Instant};

use jiff::Timestamp;

/// Wall time that never jumps within a process, in whole milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    started: Instant,
}

impl Clock {
    /// A clock that starts at the present wall time.
    pub fn start() -> Self {
        Self { wall: Timestamp::now(), started: Instant::now() }
    }

    /// The present instant.
    pub fn now(&self) -> Timestamp {
        self.at(Instant::now())
    }

    /// The wall time of a monotonic instant.
    pub fn at(&self, instant: Instant) -> Timestamp {
        let since = instant.saturating_duration_since(self.started);
        let ms = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(self.wall.as_millisecond().saturating_add(ms)).unwrap_or(Timestamp::MAX)
    }

    /// The monotonic instant of a wall time; the present one for what has passed. The worker's instants are whole
    /// milliseconds, so the answer is never early.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let ms = at.as_millisecond().saturating_sub(self.wall.as_millisecond());
        self.started + Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_asked_for_is_reached_when_it_comes() {
        let clock = Clock::start();
        let at = clock.now() + jiff::SignedDuration::from_millis(1500);
        assert_eq!(clock.at(clock.instant(at)), at);
        assert!(clock.at(clock.instant(at) + Duration::from_millis(1)) > at);
    }
}
