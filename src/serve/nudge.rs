//! Passes hints on: the repository is looked at now, and again soon where nothing new was found.
//!
//! Forges send a webhook when the push was accepted; a replica that answers the fetch may know of it a moment later.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::plan::Revision;

use super::desk::Desk;

/// When to look again after a hint, while the branch stands where it stood.
const AGAIN: [Duration; 3] = [Duration::from_millis(300), Duration::from_secs(1), Duration::from_secs(3)];

/// Where hints go. However many come, one look follows another, never two at once.
#[derive(Clone)]
pub(super) struct Nudge {
    counter: Arc<watch::Sender<u64>>,
    given: Arc<Notify>,
}

impl Nudge {
    /// Starts the task that looks again; it ends with the receiver of the counter.
    pub(super) fn start(counter: watch::Sender<u64>, desk: Desk) -> Self {
        let nudge = Self { counter: Arc::new(counter), given: Arc::default() };
        let (counter, given) = (nudge.counter.clone(), nudge.given.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = counter.closed() => {}
                () = look_again(&counter, &given, &desk) => {}
            }
        });
        nudge
    }

    /// Something was pushed: look.
    pub(super) fn give(&self) {
        raise(&self.counter);
        self.given.notify_one();
    }
}

fn raise(counter: &watch::Sender<u64>) {
    counter.send_modify(|count| *count = count.wrapping_add(1));
}

async fn look_again(counter: &watch::Sender<u64>, given: &Notify, desk: &Desk) {
    loop {
        given.notified().await;
        let (mut since, mut before) = (Instant::now(), tips(desk).await);
        let mut pauses = AGAIN.iter();
        while let Some(pause) = pauses.next() {
            tokio::select! {
                () = given.notified() => {
                    (since, before) = (Instant::now(), tips(desk).await);
                    pauses = AGAIN.iter();
                    continue;
                }
                () = tokio::time::sleep_until(since + *pause) => {}
            }
            if tips(desk).await != before {
                break;
            }
            raise(counter);
        }
    }
}

async fn tips(desk: &Desk) -> Vec<Option<Revision>> {
    let report = desk.brief().await;
    report.into_iter().flat_map(|report| report.repositories).map(|repository| repository.revision).collect()
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::reconcile::{Report, RepositoryReport};

    /// A loop whose tip is what the cell says.
    fn desk(tip: watch::Receiver<String>) -> Desk {
        let (asker, mut asks) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Some(ask) = asks.recv().await {
                let ask: crate::reconcile::Ask = ask;
                let repository = RepositoryReport {
                    name: "plans".into(),
                    branch: "main".into(),
                    revision: Some(Revision { branch: "main".into(), commit: tip.borrow().clone() }),
                    last_look: None,
                    error: None,
                    findings: vec![],
                    looks: Default::default(),
                    requests: vec![],
                };
                let at = jiff::Timestamp::UNIX_EPOCH;
                let repositories = vec![repository];
                let report = Report {
                    at,
                    ready: true,
                    repositories,
                    lease: None,
                    configuration: None,
                    clusters: vec![],
                    plans: vec![],
                    tally: Default::default(),
                };
                ask.answer.send(report).unwrap();
            }
        });
        Desk::new(asker)
    }

    async fn until(asked: &mut watch::Receiver<u64>, count: u64) {
        let reached = tokio::time::timeout(Duration::from_secs(20), asked.wait_for(|now| *now >= count));
        reached.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_hint_looks_at_once_and_thrice_again_while_nothing_is_new() {
        let (tip, told) = watch::channel("a".to_owned());
        let (counter, mut asked) = watch::channel(0);
        let nudge = Nudge::start(counter, desk(told));
        let begun = Instant::now();
        nudge.give();
        assert_eq!(*asked.borrow(), 1);
        for (at, count) in AGAIN.into_iter().zip(2..) {
            until(&mut asked, count).await;
            assert!(begun.elapsed() >= at);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(*asked.borrow(), 4, "three times, not for ever");
        nudge.give();
        tokio::time::sleep(Duration::from_millis(100)).await;
        tip.send_replace("b".to_owned());
        tokio::time::sleep(AGAIN[2] + Duration::from_secs(1)).await;
        assert_eq!(*asked.borrow(), 5, "what was found is not looked for again");
    }
}
