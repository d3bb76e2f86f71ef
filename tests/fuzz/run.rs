//! Runs one target: its corpus as it stands, then mutations of whatever behaved in a new way.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::mutate::{Mutator, Rng};

/// The seed of the runs that are the same each time.
const FIXED_SEED: u64 = 0x7469_6465_6761_7465;
/// How many of those there are, and how long they may take on a slow machine.
const FIXED_RUNS: u64 = 4_000;
const FIXED_MAX: Duration = Duration::from_secs(12);
/// How long the runs with a fresh seed take.
const FRESH: Duration = Duration::from_secs(4);
/// No single input may take longer, in a debug build on a busy machine.
const INPUT_MAX: Duration = Duration::from_secs(5);
/// Inputs that are kept because they behaved in a new way.
const POOL_MAX: usize = 4_000;

/// What is fuzzed.
pub struct Target {
    /// The folder of its corpus.
    pub name: &'static str,
    /// Words that mean something to the parser.
    pub words: &'static [&'static str],
    /// A mutation that knows the format, for a third of the inputs; none where the input is not of the format.
    pub reshape: fn(&[u8], &mut Mutator) -> Option<Vec<u8>>,
    /// Panics where a law is broken, else tells how the input behaved, in words of which there are few.
    pub check: fn(&[u8]) -> String,
}

/// For targets whose bytes are all there is to know.
pub fn no_reshape(_: &[u8], _: &mut Mutator) -> Option<Vec<u8>> {
    None
}

/// Runs a target and prints how often.
pub fn fuzz(target: &Target) {
    let corpus = corpus(target.name);
    assert!(!corpus.is_empty(), "tests/fuzz/corpus/{} is empty", target.name);
    let fixed = series(target, &corpus, FIXED_SEED, |runs, took| runs < FIXED_RUNS && took < FIXED_MAX);
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let clock = || std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos().to_le_bytes()[..8].try_into().unwrap();
    let seed = number("TIDEGATE_FUZZ_SEED").unwrap_or_else(|| u64::from_le_bytes(clock()));
    let limit = number("TIDEGATE_FUZZ_SECONDS").map_or(FRESH, Duration::from_secs);
    let fresh = series(target, &corpus, seed, |_, took| took < limit);
    println!(
        "{}: {} inputs in the corpus; {} runs in {} ways with the fixed seed, {} in {} with seed {seed}",
        target.name,
        corpus.len(),
        fixed.0,
        fixed.1,
        fresh.0,
        fresh.1
    );
}

/// Runs until `goes_on` says no more; returns how many runs there were, and in how many ways inputs behaved.
fn series(target: &Target, corpus: &[Vec<u8>], seed: u64, goes_on: impl Fn(u64, Duration) -> bool) -> (u64, usize) {
    let begin = Instant::now();
    let mut pool = corpus.to_vec();
    let mut ways: HashSet<String> = corpus.iter().map(|input| guarded(target, input, seed)).collect();
    let mut mutator = Mutator::new(Rng::new(seed), target.words);
    let mut runs = 0;
    while goes_on(runs, begin.elapsed()) {
        let base = mutator.pick(&pool).clone();
        let reshaped = if mutator.one_in(3) { (target.reshape)(&base, &mut mutator) } else { None };
        let input = reshaped.unwrap_or_else(|| mutator.mutate(&base, &pool));
        if ways.insert(guarded(target, &input, seed)) && pool.len() < POOL_MAX {
            pool.push(input);
        }
        runs += 1;
    }
    (runs, ways.len())
}

/// Checks one input; what breaks a law is written down with its seed.
fn guarded(target: &Target, input: &[u8], seed: u64) -> String {
    let begin = Instant::now();
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let way = (target.check)(input);
        let took = begin.elapsed();
        assert!(took < INPUT_MAX, "{} bytes took {took:?}", input.len());
        way
    }));
    checked.unwrap_or_else(|panic| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz");
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join(format!("{}-{seed:x}-{}", target.name, input.len()));
        std::fs::write(&path, input).unwrap();
        eprintln!("the input that broke a law of {} with seed {seed} is kept in {}", target.name, path.display());
        resume_unwind(panic)
    })
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    // The order of a folder is not the same everywhere, and the fixed seed has to be.
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}
