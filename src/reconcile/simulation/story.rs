//! What happens to a route from outside, drawn from a seed before anything runs, so that acts can be left out again.

use super::{dice::Dice, document::Document};

/// How an API server treats one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 409, not done.
    Conflict,
    /// 422 for the content, not done.
    Invalid,
    /// 429, not done.
    Busy,
    /// 500, not done.
    Broken,
    /// Not done, and no answer.
    LostBefore,
    /// Done, and no answer.
    LostAfter,
    /// Done after the deadline for its answer has passed.
    Late,
}

/// How the Git server treats one push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// It refuses it.
    Refused,
    /// It takes it, and the answer is lost.
    Unanswered,
}

/// What a hand does to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    /// Sets the weights.
    Weights([u8; 3]),
    /// Deletes the VirtualService.
    DeleteRoute,
    /// Deletes the DestinationRule.
    DeleteRule,
    /// Takes the journal off.
    StripJournal,
    /// Takes label and owner off.
    StripMarks,
    /// Takes one subset away.
    DropSubset,
    /// Another controller's label, annotation and field.
    Touch,
    /// Applies the VirtualService again as it was a while ago.
    OldCopy,
    /// The stop annotation.
    Stop,
    /// Takes it off.
    Unstop,
}

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// A commit with this document.
    Commit(Document),
    /// A commit that restores the document as it was so many commits ago: a revert, also of several, also of a removal.
    Revert(usize),
    /// A commit without the document.
    Remove,
    /// A hand in a cluster.
    Hand(usize, Hand),
    /// The next write in the cluster is treated so.
    Fault(usize, Fault),
    /// The API server stops answering, or answers again.
    Away(usize, bool),
    /// A watch breaks, its events are lost, and it lists anew (410) after so many milliseconds.
    WatchDrops(usize, i64),
    /// Another process takes the lease, or this one has it again.
    Lease(bool),
    /// Whoever raises dies, and a guard of this cluster is left; none: that ends, and whoever raises is back.
    Guard(Option<usize>),
    /// Git stops answering, or answers again.
    Git(bool),
    /// The next push is treated so.
    Push(Push),
    /// The tip counts, or does not.
    Accepted(bool),
    /// Ready endpoints of a version; none: unknown.
    Ready(usize, usize, Option<u32>),
    /// The pods of a version run these images from now on, a set of two bits.
    Images(usize, usize, u8),
    /// The process dies and starts again after so many milliseconds, its wall clock so many off.
    Kill(i64, i64),
    /// It dies so once it has asked for so many more things.
    KillAfter(usize, i64, i64),
}

/// A whole story.
#[derive(Clone, Debug, PartialEq)]
pub struct Story {
    pub seed: u64,
    pub clusters: usize,
    /// Whether the process is one of several, which needs the lease.
    pub lease: bool,
    /// What happens, each so many milliseconds after the one before.
    pub acts: Vec<(i64, Act)>,
}

/// The pauses between acts in milliseconds: within a write, within a hold, and past a whole walk.
const PAUSES_MS: [i64; 12] = [0, 15, 60, 200, 1_500, 4_000, 20_000, 70_000, 200_000, 320_000, 700_000, 4_000_000];
/// How far wall clocks are off: above 5 s nothing rises.
const SKEWS_MS: [i64; 6] = [0, 0, 0, 1_500, -2_500, 7_000];
const DOWN_MS: [i64; 4] = [0, 100, 5_000, 400_000];

impl Story {
    /// The story of a seed.
    pub fn draw(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let clusters = 1 + usize::from(dice.chance(30));
        Self::drawn(seed, clusters, &mut dice)
    }

    /// A story of two to seven clusters, with plans that order them.
    pub fn fleet(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let clusters = dice.pick(&[2, 2, 3, 4, 5, 6, 7]);
        let mut story = Self::drawn(seed, clusters, &mut dice);
        let (mut last, mut keeps) = (Document::BASELINE.in_fleet(&mut dice), true);
        for (_, act) in &mut story.acts {
            if let Act::Commit(document) = act {
                // Most commits leave the order as it is.
                let drawn = document.in_fleet(&mut dice);
                last = if keeps { document.ordered_as(last) } else { drawn };
                keeps = dice.chance(75);
                *document = last;
            }
        }
        story
    }

    /// A story of a fleet that is content with a quorum of its clusters, and in which they stay away more often.
    pub fn quorum(seed: u64) -> Self {
        let mut story = Self::fleet(seed);
        let mut dice = Dice::new(seed ^ 0xBA44);
        let quorum = 1 + dice.below(story.clusters);
        for (_, act) in &mut story.acts {
            if let Act::Commit(document) = act
                && dice.chance(85)
            {
                *document = document.with_quorum(u8::try_from(quorum).unwrap());
            }
        }
        for _ in 0..3 {
            let place = 2 + dice.below(story.acts.len() - 1);
            let act = Act::Away(dice.below(story.clusters), dice.chance(60));
            story.acts.insert(place, (dice.pick(&PAUSES_MS), act));
        }
        story
    }

    fn drawn(seed: u64, clusters: usize, dice: &mut Dice) -> Self {
        let length = 3 + dice.below(14);
        let mut acts = vec![(0, Act::Commit(Document::BASELINE)), (10_000, Act::Commit(Document::draw(dice)))];
        for _ in 0..length {
            acts.push((dice.pick(&PAUSES_MS), Act::draw(dice, clusters)));
        }
        Self { seed, clusters, lease: false, acts }
    }

    /// The same story of one process of several: for a while another has the lease.
    pub fn of_several(seed: u64) -> Self {
        let mut story = Self::draw(seed);
        story.between(&mut Dice::new(seed ^ 0x1EA5E), Act::Lease(false), Act::Lease(true));
        Self { lease: true, ..story }
    }

    /// The same story where whoever raises is dead for a while, and a guard is left in one cluster.
    pub fn guarded(seed: u64) -> Self {
        let mut story = Self::draw(seed);
        let mut dice = Dice::new(seed ^ 0x6_0A2D);
        let guarded = dice.below(story.clusters);
        story.between(&mut dice, Act::Guard(Some(guarded)), Act::Guard(None));
        story
    }

    /// Puts two acts in, the second some time after the first.
    fn between(&mut self, dice: &mut Dice, first: Act, second: Act) {
        let begins = 2 + dice.below(self.acts.len() - 2);
        self.acts.insert(begins, (dice.pick(&PAUSES_MS), first));
        let ends = begins + 1 + dice.below(self.acts.len() - begins);
        self.acts.insert(ends, (dice.pick(&PAUSES_MS), second));
    }

    /// One walk in three steps that nothing disturbs.
    pub fn walk(seed: u64) -> Self {
        let acts = vec![(0, Act::Commit(Document::BASELINE)), (10_000, Act::Commit(Document::WALK))];
        Self { seed, clusters: 1, lease: false, acts }
    }
}

impl Act {
    fn draw(dice: &mut Dice, clusters: usize) -> Self {
        let cluster = dice.below(clusters);
        match dice.below(100) {
            0..=21 => Self::Commit(Document::draw(dice)),
            22..=31 => Self::Revert(1 + dice.below(3)),
            32..=34 => Self::Remove,
            35..=54 => Self::Hand(cluster, Hand::draw(dice)),
            55..=69 => {
                let lost = [Fault::LostBefore, Fault::LostAfter, Fault::Late];
                let refused = [Fault::Conflict, Fault::Invalid, Fault::Busy, Fault::Broken];
                Self::Fault(cluster, if dice.chance(50) { dice.pick(&lost) } else { dice.pick(&refused) })
            }
            70..=74 => Self::Away(cluster, dice.chance(60)),
            75..=78 => Self::WatchDrops(cluster, dice.pick(&[0, 300, 20_000])),
            79..=81 => Self::Git(dice.chance(60)),
            82 => Self::Accepted(dice.chance(50)),
            83..=84 => Self::Push(dice.pick(&[Push::Refused, Push::Unanswered])),
            85..=87 => Self::Images(cluster, dice.below(3), dice.pick(&[1, 2, 2, 3])),
            88..=91 => Self::Ready(cluster, dice.below(3), dice.pick(&[None, Some(0), Some(0), Some(2), Some(2)])),
            92..=94 => Self::Kill(dice.pick(&DOWN_MS), dice.pick(&SKEWS_MS)),
            _ => Self::KillAfter(1 + dice.below(6), dice.pick(&DOWN_MS), dice.pick(&SKEWS_MS)),
        }
    }
}

impl Hand {
    fn draw(dice: &mut Dice) -> Self {
        let weights = [[100, 0, 0], [100, 0, 0], [95, 5, 0], [40, 60, 0], [0, 100, 0], [0, 0, 100], [70, 20, 10]];
        match dice.below(20) {
            0..=6 => Self::Weights(dice.pick(&weights)),
            7 => Self::DeleteRoute,
            8 => Self::DeleteRule,
            9 => Self::StripJournal,
            10 => Self::StripMarks,
            11..=12 => Self::DropSubset,
            13..=14 => Self::Touch,
            15 => Self::OldCopy,
            16..=18 => Self::Stop,
            _ => Self::Unstop,
        }
    }
}
