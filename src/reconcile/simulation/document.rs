//! Plan documents of several shapes, as text that the real reader turns into plans.

use std::{cell::RefCell, collections::HashMap, fmt::Write as _, sync::Arc};

use tidegate::plan::{self, Plan};

use super::dice::Dice;

/// The clusters that a story may have, as many of them as it has.
pub const CLUSTERS: [&str; 7] = ["east", "west", "north", "south", "upper", "lower", "middle"];

/// Targets, as percent of v1, v2 and v3.
const TARGETS: [[u8; 3]; 9] = [
    [100, 0, 0],
    [100, 0, 0],
    [0, 100, 0],
    [0, 100, 0],
    [0, 0, 100],
    [75, 25, 0],
    [90, 10, 0],
    [50, 0, 50],
    [80, 10, 10],
];

/// Steps as weight and hold in seconds.
const STEPS: [&[(u8, u32)]; 7] = [
    &[(10, 300), (25, 600), (50, 600)],
    &[(10, 300), (25, 600), (50, 600)],
    &[(5, 60), (20, 180)],
    &[(2, 60), (30, 120)],
    &[(0, 60), (10, 60), (40, 0)],
    &[(25, 120)],
    &[],
];

/// What is drawn of one document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Document {
    pub target: [u8; 3],
    steps: usize,
    /// Seconds; none: the last step's hold.
    settle: Option<u32>,
    /// What runs behind v2's labels.
    build: u8,
    pinned: bool,
    timeout: bool,
    pause: bool,
    prune: bool,
    /// A failure stays where it is.
    holds: bool,
    /// Versions that nothing is to reach are not declared.
    lean: bool,
    order: Order,
    partial: Partial,
    /// How many clusters have to answer; 0: all.
    quorum: u8,
}

/// In which order the clusters of a story go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    Together,
    /// One after the other.
    Each,
    /// The first of them, then all others.
    FirstAlone,
    /// The last of them, then all others.
    LastAlone,
}

/// What becomes of a failure in some clusters alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Partial {
    All,
    Failed,
    Hold,
}

impl Document {
    /// All requests to v1, in steps: what every story begins with.
    pub const BASELINE: Self = Self {
        target: [100, 0, 0],
        steps: 0,
        settle: None,
        build: 0,
        pinned: false,
        timeout: false,
        pause: false,
        prune: false,
        holds: false,
        lean: false,
        order: Order::Together,
        partial: Partial::All,
        quorum: 0,
    };

    /// All requests to v2 in three steps: the walk that the benchmark counts.
    pub const WALK: Self = Self { target: [0, 100, 0], ..Self::BASELINE };

    pub fn draw(dice: &mut Dice) -> Self {
        Self {
            target: dice.pick(&TARGETS),
            steps: dice.below(STEPS.len()),
            settle: dice.chance(25).then(|| dice.pick(&[0, 60])),
            build: u8::from(dice.chance(15)),
            pinned: dice.chance(15),
            timeout: dice.chance(10),
            pause: dice.chance(5),
            prune: dice.chance(10),
            holds: dice.chance(10),
            lean: dice.chance(30),
            order: Order::Together,
            partial: Partial::All,
            quorum: 0,
        }
    }

    /// The same for several clusters.
    pub fn in_fleet(self, dice: &mut Dice) -> Self {
        let order = dice.pick(&[Order::Together, Order::Each, Order::Each, Order::FirstAlone, Order::LastAlone]);
        Self { order, partial: dice.pick(&[Partial::All, Partial::All, Partial::Failed, Partial::Hold]), ..self }
    }

    /// The same, with the order of another.
    pub const fn ordered_as(self, other: Self) -> Self {
        Self { order: other.order, partial: other.partial, ..self }
    }

    /// The same, content with so many clusters.
    pub const fn with_quorum(self, quorum: u8) -> Self {
        Self { quorum, ..self }
    }

    /// Whether a failure in some clusters alone moves no other.
    pub fn may_part(self) -> bool {
        self.partial != Partial::All
    }

    /// The same with other traffic.
    pub const fn with_target(self, target: [u8; 3]) -> Self {
        Self { target, ..self }
    }

    /// Whether a failure stays where it is.
    pub const fn holds(self) -> bool {
        self.holds
    }

    /// Whether it says that nothing rises.
    pub const fn pauses(self) -> bool {
        self.pause
    }

    fn text(self) -> String {
        let mut text = String::from(
            "apiVersion: tidegate.dev/v1alpha1\nkind: CanaryPlan\nmetadata: {name: web, namespace: shop}\n\
             spec:\n  service: web\n  from: {v1: 100}\n  versions:\n    v1: {labels: {version: v1}}\n",
        );
        let build = if self.build == 0 { String::new() } else { format!(", build: b{}", self.build) };
        if !self.lean || self.target[1] > 0 || self.pinned {
            let _ = writeln!(text, "    v2: {{labels: {{version: v2}}{build}}}");
        }
        if !self.lean || self.target[2] > 0 {
            text.push_str("    v3: {labels: {version: v3}}\n");
        }
        let legs = ["v1", "v2", "v3"].into_iter().zip(self.target).filter(|(_, weight)| *weight > 0);
        let legs: Vec<String> = legs.map(|(name, weight)| format!("{name}: {weight}")).collect();
        let _ = writeln!(text, "  traffic: {{{}}}", legs.join(", "));
        if self.pinned {
            text.push_str("  pins: [{name: qa, match: [{headers: {qa: {exact: \"yes\"}}}], to: v2}]\n");
        }
        if self.timeout {
            text.push_str("  http: {timeout: 5s}\n");
        }
        let steps = STEPS[self.steps].iter().map(|(weight, hold)| format!("{{weight: {weight}, hold: {hold}s}}"));
        let steps: Vec<String> = steps.collect();
        if !steps.is_empty() {
            let _ = writeln!(text, "  steps: [{}]", steps.join(", "));
        }
        if let Some(settle) = self.settle {
            let _ = writeln!(text, "  settle: {{hold: {settle}s}}");
        }
        let each: Vec<String> = CLUSTERS.iter().map(|name| format!("[{name}]")).collect();
        let (first, last) = (CLUSTERS[0], CLUSTERS[1]);
        let waves = match self.order {
            Order::Together => None,
            Order::Each => Some(each.join(", ")),
            // What no wave names is of the last.
            Order::FirstAlone => Some(format!("[{first}], [{last}]")),
            Order::LastAlone => Some(format!("[{last}], [{first}]")),
        };
        if let Some(waves) = waves {
            let _ = writeln!(text, "  waves: [{waves}]");
        }
        if self.quorum > 0 {
            let _ = writeln!(text, "  barrier: {{quorum: {}}}", self.quorum);
        }
        match self.partial {
            Partial::All => {}
            Partial::Failed => text.push_str("  onPartial: rollback-failed\n"),
            Partial::Hold => text.push_str("  onPartial: hold\n"),
        }
        if self.holds {
            text.push_str("  onFailure: hold\n");
        }
        for (field, set) in [("pause", self.pause), ("prune", self.prune)] {
            if set {
                let _ = writeln!(text, "  {field}: true");
            }
        }
        text
    }

    /// The plan that the document is read as. Reading is what most of a story would cost, so each is read once.
    pub fn plan(self) -> Arc<Plan> {
        thread_local!(static READ: RefCell<HashMap<Document, Arc<Plan>>> = RefCell::default());
        READ.with_borrow_mut(|read| {
            let plan = read.entry(self).or_insert_with(|| {
                let file = plan::parse_file("plans/web.yaml", self.text().as_bytes());
                match file.documents.into_iter().next() {
                    Some((plan::Document::Plan(plan), _)) => plan,
                    _ => panic!("{self:?} is refused: {:?}", file.findings),
                }
            });
            plan.clone()
        })
    }
}
