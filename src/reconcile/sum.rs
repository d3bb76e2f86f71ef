//! One report out of those of all loops of the process.

use std::{collections::BTreeMap, ops::AddAssign};

use tokio::sync::{mpsc, oneshot, watch};

use super::{Ask, ClusterReport, Durations, Report, Tally};

/// Answers questions with what all loops say together. A loop that does not answer leaves its question without an answer:
/// whoever asks notices by that.
pub(super) async fn answer(mut asks: mpsc::Receiver<Ask>, loops: watch::Receiver<Vec<mpsc::Sender<Ask>>>) {
    let mut was_ready = false;
    while let Some(Ask { whole, mut answer }) = asks.recv().await {
        let loops = loops.borrow().clone();
        let each = loops.iter().map(|asker| put(asker, whole));
        let reports = tokio::select! {
            reports = futures::future::try_join_all(each) => reports,
            () = answer.closed() => continue,
        };
        let Ok(mut reports) = reports else { continue };
        // Once ready is ready: another repository is no reason to send nobody here. Nor is one that cannot be read, where
        // others can.
        let errs = |report: &Report| report.repositories.iter().any(|repository| repository.error.is_some());
        was_ready |= reports.iter().any(|report| report.ready) && reports.iter().all(|one| one.ready || errs(one));
        reports.iter_mut().for_each(|report| report.ready |= was_ready);
        if let Some(report) = reports.into_iter().reduce(Report::with) {
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(report);
        }
    }
}

/// The loop has ended.
struct Ended;

async fn put(asker: &mpsc::Sender<Ask>, whole: bool) -> Result<Report, Ended> {
    let (answer, answered) = oneshot::channel();
    asker.send(Ask { whole, answer }).await.map_err(|_| Ended)?;
    answered.await.map_err(|_| Ended)
}

impl Report {
    /// Both together.
    fn with(mut self, other: Self) -> Self {
        self.at = self.at.max(other.at);
        self.ready &= other.ready;
        self.repositories.extend(other.repositories);
        if let (Some(lease), Some(others)) = (&mut self.lease, other.lease) {
            if !others.leads {
                lease.term = None;
            }
            lease.leads &= others.leads;
        }
        if let (Some(file), Some(others)) = (&mut self.configuration, other.configuration) {
            file.taken = file.taken.min(others.taken);
            file.error = file.error.take().or(others.error);
        }
        for cluster in other.clusters {
            match self.clusters.iter_mut().find(|known| known.name == cluster.name) {
                Some(known) => known.add(cluster),
                None => self.clusters.push(cluster),
            }
        }
        self.plans.extend(other.plans);
        self.plans.sort_by(|one, two| (&one.owner, &one.route).cmp(&(&two.owner, &two.route)));
        self.tally.add(other.tally);
        self
    }
}

impl ClusterReport {
    /// Each loop has a client of its own: the cluster answers where it answers all of them.
    fn add(&mut self, other: Self) {
        self.synced &= other.synced;
        self.away = self.away.take().or(other.away);
        self.away_since = self.away_since.into_iter().chain(other.away_since).min();
        self.answer_ms = self.answer_ms.max(other.answer_ms);
        if self.asking.istiods.is_empty() && self.asking.nobody.is_none() {
            self.asking = other.asking;
        }
        add(&mut self.requests, other.requests);
        self.events_dropped += other.events_dropped;
    }
}

impl Tally {
    fn add(&mut self, other: Self) {
        add(&mut self.transitions, other.transitions);
        add(&mut self.corrected, other.corrected);
        add(&mut self.errors, other.errors);
        add(&mut self.restores, other.restores);
        add(&mut self.notes, other.notes);
        add(&mut self.stages, other.stages);
    }
}

fn add<K: Ord, V: AddAssign + Default>(to: &mut BTreeMap<K, V>, from: BTreeMap<K, V>) {
    for (key, value) in from {
        *to.entry(key).or_default() += value;
    }
}

impl AddAssign for Durations {
    fn add_assign(&mut self, other: Self) {
        self.classes.iter_mut().zip(other.classes).for_each(|(count, more)| *count += more);
        self.longer += other.longer;
        self.sum_s += other.sum_s;
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::cluster::{Answer, Asking, Role, Verb};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn cluster(name: &str, away: Option<i64>) -> ClusterReport {
        ClusterReport {
            name: name.into(),
            labels: BTreeMap::new(),
            mesh: None,
            role: Role::Primary,
            synced: away.is_none(),
            away: away.map(|since| format!("silent since {since}")),
            away_since: away.map(at),
            answer_ms: Some(3),
            asking: Asking::default(),
            requests: BTreeMap::from([((Verb::Get, Answer::Code(200)), 2)]),
            events_dropped: 1,
        }
    }

    fn report(ready: bool, clusters: Vec<ClusterReport>) -> Report {
        let mut tally = Tally::default();
        tally.error("write_stale");
        tally.took(crate::reconcile::Stage::Write, std::time::Duration::from_millis(2));
        let (repositories, plans) = (Vec::new(), Vec::new());
        Report { at: at(9), ready, repositories, lease: None, configuration: None, clusters, plans, tally }
    }

    #[test]
    fn what_one_loop_lacks_is_lacking_and_what_all_have_counted_is_summed() {
        let one = report(true, vec![cluster("east", None), cluster("west", Some(5))]);
        let other = report(false, vec![cluster("east", Some(7)), cluster("west", Some(3)), cluster("south", None)]);
        let both = one.with(other);
        let of = |cluster: &ClusterReport| (cluster.name.clone(), cluster.synced, cluster.away_since);
        let expected =
            [("east".into(), false, Some(at(7))), ("west".into(), false, Some(at(3))), ("south".into(), true, None)];
        assert_eq!(both.clusters.iter().map(of).collect::<Vec<_>>(), expected);
        assert!(!both.ready && both.clusters[1].away.as_deref() == Some("silent since 5"));
        let counted = |at: usize| (both.clusters[at].requests.values().sum::<u64>(), both.clusters[at].events_dropped);
        assert_eq!((counted(0), counted(2)), ((4, 2), (2, 1)));
        let written = &both.tally.stages[&crate::reconcile::Stage::Write];
        assert_eq!((both.tally.errors["write_stale"], written.classes.iter().sum::<u64>()), (2, 2));
    }

    #[tokio::test]
    async fn nobody_is_answered_where_a_loop_is_silent_and_the_next_question_is_put_all_the_same() {
        let (asker, asks) = mpsc::channel(4);
        let (silent, mut heard) = mpsc::channel(4);
        let (told, loops) = watch::channel(vec![silent]);
        let answering = tokio::spawn(answer(asks, loops));
        let (sender, receiver) = oneshot::channel();
        asker.send(Ask { whole: false, answer: sender }).await.unwrap();
        let question = heard.recv().await.unwrap();
        drop(receiver);
        // The loop is another one from now on.
        let (lively, mut asked) = mpsc::channel::<Ask>(4);
        told.send_replace(vec![lively]);
        tokio::spawn(async move {
            while let Some(ask) = asked.recv().await {
                ask.answer.send(report(true, Vec::new())).unwrap();
            }
        });
        let (sender, receiver) = oneshot::channel();
        asker.send(Ask { whole: false, answer: sender }).await.unwrap();
        assert!(receiver.await.unwrap().ready);
        drop((question, asker));
        answering.await.unwrap();
    }
}
