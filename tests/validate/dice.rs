//! Chance from a seed: the same seed throws the same dice.

use serde_json::Value;

pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number (SplitMix64).
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Whether it happens, in so many of a hundred cases.
    pub fn happens(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }

    /// From `least` to `most` different ones of these, in their order.
    pub fn some(&mut self, of: &[&str], least: usize, most: usize) -> Vec<String> {
        let wanted = least + self.below(most - least + 1);
        let mut left: Vec<&str> = of.to_vec();
        while left.len() > wanted {
            left.remove(self.below(left.len()));
        }
        left.into_iter().map(str::to_owned).collect()
    }

    /// So many weights above 0 that sum to 100.
    pub fn weights(&mut self, count: usize) -> Vec<u64> {
        let mut left = 100;
        let mut weights: Vec<u64> = (1..count)
            .map(|at| {
                let weight = 1 + self.below(left as usize - (count - at)) as u64;
                left -= weight;
                weight
            })
            .collect();
        weights.push(left);
        weights
    }

    /// The place of a random value within this one, itself included.
    pub fn place(&mut self, value: &Value) -> String {
        let mut all = vec![String::new()];
        places(value, "", &mut all);
        self.one(&all)
    }
}

fn places(value: &Value, way: &str, all: &mut Vec<String>) {
    let mut add = |key: &str, value: &Value| {
        let way = format!("{way}/{}", key.replace('~', "~0").replace('/', "~1"));
        all.push(way.clone());
        places(value, &way, all);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| add(key, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| add(&at.to_string(), value)),
        _ => {}
    }
}
