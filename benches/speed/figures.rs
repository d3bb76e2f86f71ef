//! Medians and 99th percentiles of samples, printed beside their bounds.

use std::time::Duration;

/// What the samples are counted in.
#[derive(Clone, Copy)]
pub enum Unit {
    Milliseconds,
    Microseconds,
    Count,
    Mebibytes,
    Percent,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{value:.1} ms"),
            Self::Microseconds => format!("{value:.2} µs"),
            Self::Count => format!("{value:.2}"),
            Self::Mebibytes => format!("{value:.1} MiB"),
            Self::Percent => format!("{value:.2} %"),
        }
    }
}

/// The samples of one figure.
pub struct Samples {
    unit: Unit,
    values: Vec<f64>,
}

impl Samples {
    pub fn new(unit: Unit) -> Self {
        Self { unit, values: Vec::new() }
    }

    /// One value alone.
    pub fn of(unit: Unit, value: f64) -> Self {
        Self { unit, values: vec![value] }
    }

    pub fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    pub fn push_time(&mut self, time: Duration) {
        let factor = if matches!(self.unit, Unit::Microseconds) { 1e6 } else { 1e3 };
        self.push(time.as_secs_f64() * factor);
    }

    /// Each sample over that of the same turn.
    pub fn over<'a>(&'a self, base: &'a Self) -> impl Iterator<Item = f64> + 'a {
        self.values.iter().zip(&base.values).map(|(value, base)| value / base)
    }

    pub fn median(&self) -> f64 {
        self.at(0.5)
    }

    pub fn p99(&self) -> f64 {
        self.at(0.99)
    }

    pub fn least(&self) -> f64 {
        self.at(0.0)
    }

    pub fn most(&self) -> f64 {
        self.at(1.0)
    }

    /// The smallest sample that this part of all samples does not exceed (nearest rank).
    fn at(&self, part: f64) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (part * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

/// What a figure must not pass.
#[derive(Clone, Copy)]
pub enum Bound {
    Median(f64),
    P99(f64),
    Least(f64),
    Most(f64),
}

/// All figures of one run.
pub struct Board {
    missed: usize,
}

impl Board {
    pub fn new() -> Self {
        println!("{:52} {:>6} {:>12} {:>12}  bounds", "what", "n", "median", "p99");
        Self { missed: 0 }
    }

    /// Whether every figure kept its bounds.
    pub fn is_within(&self) -> bool {
        self.missed == 0
    }

    /// Prints a figure; one that misses a bound is marked and counts.
    pub fn show(&mut self, what: &str, samples: &Samples, bounds: &[Bound]) {
        let unit = samples.unit;
        let mut said: Vec<String> = Vec::new();
        for bound in bounds {
            let (name, sign, limit, value) = match *bound {
                Bound::Median(limit) => ("median", '≤', limit, samples.median()),
                Bound::P99(limit) => ("p99", '≤', limit, samples.p99()),
                Bound::Least(limit) => ("least", '≥', limit, samples.least()),
                Bound::Most(limit) => ("most", '≤', limit, samples.most()),
            };
            // A figure that is no number has kept nothing.
            let kept = if sign == '≤' { value <= limit } else { value >= limit };
            let shown = match bound {
                Bound::Least(_) | Bound::Most(_) => format!(" ({})", unit.show(value)),
                Bound::Median(_) | Bound::P99(_) => String::new(),
            };
            said.push(format!("{name} {sign} {}{shown}{}", unit.show(limit), if kept { "" } else { " MISSED" }));
            self.missed += usize::from(!kept);
        }
        let (median, p99) = (unit.show(samples.median()), unit.show(samples.p99()));
        let bounds = if said.is_empty() { "-".to_owned() } else { said.join(", ") };
        println!("{what:52} {:>6} {median:>12} {p99:>12}  {bounds}", samples.values.len());
    }
}
