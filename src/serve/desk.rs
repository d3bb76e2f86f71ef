//! Puts questions to the loop, and keeps a crowd of askers from holding it up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, mpsc, oneshot};

use crate::reconcile::{Ask, Report};

/// How long the loop may take to answer before it counts as hung.
pub(super) const ALIVE_WITHIN: Duration = Duration::from_secs(2);
/// How long a whole report may take: with many plans it costs more, and it waits its turn.
const WHOLE_WITHIN: Duration = Duration::from_secs(10);
/// How old a whole report may be: however many ask, the loop is asked twice a second at most.
const FRESH: Duration = Duration::from_millis(500);

/// A whole report, and when it was made.
type Last = (Instant, Arc<Report>);

/// The one who asks the loop.
#[derive(Clone)]
pub(super) struct Desk {
    asker: mpsc::Sender<Ask>,
    last: Arc<Mutex<Option<Last>>>,
}

impl Desk {
    pub(super) fn new(asker: mpsc::Sender<Ask>) -> Self {
        Self { asker, last: Arc::default() }
    }

    /// What costs next to nothing to know: no plans, no tally. None where the loop does not answer in time.
    pub(super) async fn brief(&self) -> Option<Report> {
        tokio::time::timeout(ALIVE_WITHIN, self.ask(false)).await.ok().flatten()
    }

    /// Everything, at most half a second old.
    pub(super) async fn whole(&self) -> Option<Arc<Report>> {
        let asking = async {
            let mut last = self.last.lock().await;
            if let Some((at, report)) = &*last
                && at.elapsed() < FRESH
            {
                return Some(report.clone());
            }
            let report = Arc::new(self.ask(true).await?);
            *last = Some((Instant::now(), report.clone()));
            // Kept no longer than it is of use: it holds on to every plan.
            let kept = self.last.clone();
            tokio::spawn(async move {
                tokio::time::sleep(FRESH).await;
                let mut last = kept.lock().await;
                if last.as_ref().is_some_and(|(at, _)| at.elapsed() >= FRESH) {
                    *last = None;
                }
            });
            Some(report)
        };
        tokio::time::timeout(WHOLE_WITHIN, asking).await.ok().flatten()
    }

    async fn ask(&self, whole: bool) -> Option<Report> {
        let (answer, answered) = oneshot::channel();
        self.asker.send(Ask { whole, answer }).await.ok()?;
        answered.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let at = jiff::Timestamp::UNIX_EPOCH;
        Report {
            at,
            ready: true,
            repositories: vec![],
            lease: None,
            configuration: None,
            clusters: vec![],
            plans: vec![],
            tally: Default::default(),
        }
    }

    #[tokio::test]
    async fn a_loop_that_hangs_is_found_out() {
        let (asker, _asks) = mpsc::channel(1);
        let desk = Desk::new(asker);
        let begun = Instant::now();
        assert!(desk.brief().await.is_none());
        assert!(begun.elapsed() >= ALIVE_WITHIN && begun.elapsed() < ALIVE_WITHIN * 3);
    }

    #[tokio::test]
    async fn a_crowd_shares_one_report() {
        let (asker, mut asks) = mpsc::channel(16);
        let desk = Desk::new(asker);
        let counted = tokio::spawn(async move {
            let mut count = 0;
            while let Some(ask) = asks.recv().await {
                count += 1;
                ask.answer.send(report()).unwrap();
            }
            count
        });
        let crowd: Vec<_> = (0..50).map(|_| desk.whole()).collect();
        assert!(futures::future::join_all(crowd).await.iter().all(Option::is_some));
        tokio::time::sleep(FRESH * 2).await;
        assert!(desk.last.lock().await.is_none(), "nothing is held for nobody");
        drop(desk);
        assert_eq!(counted.await.unwrap(), 1);
    }
}
