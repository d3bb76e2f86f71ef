//! Runs the tests of this binary one after another on one mesh, and tells their ends in the words of Rust's own runner,
//! which cannot skip a test for what turns out at run time.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use crate::bed::Mesh;
use crate::support::{envoy, istiod};

/// One test.
pub type Test = fn(Arc<Mesh>) -> Pin<Box<dyn Future<Output = ()>>>;

/// Runs the tests that the arguments name: parts of names, `--exact`, `--skip PART` and `--list` are what Rust's own runner
/// knows, too; its other flags change nothing here.
pub fn main(tests: &[(&'static str, Test)]) -> ExitCode {
    let chosen = chosen(tests);
    if std::env::args().any(|argument| argument == "--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    println!("\nrunning {} tests", chosen.len());
    let missing = istiod::binary().and_then(|_| envoy::binary()).err();
    let begun = Instant::now();
    let (mut passed, mut failed) = (0, Vec::new());
    if let Some(missing) = missing.as_ref().filter(|_| !chosen.is_empty()) {
        chosen
            .iter()
            .for_each(|(name, _)| println!("test {name} ... ignored, {}", missing.lines().next().unwrap_or("")));
    } else if !chosen.is_empty() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mesh = Arc::new(Mesh::start());
        for (name, test) in &chosen {
            let begun = Instant::now();
            let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(test(Arc::clone(&mesh)))));
            let word = if ended.is_ok() { "ok" } else { "FAILED" };
            println!("test {name} ... {word} in {:.1}s", begun.elapsed().as_secs_f64());
            match ended {
                Ok(()) => passed += 1,
                Err(_) => failed.push(*name),
            }
        }
    }
    let (ignored, filtered) = (chosen.len() - passed - failed.len(), tests.len() - chosen.len());
    println!(
        "\ntest result: {}. {passed} passed; {} failed; {ignored} ignored; 0 measured; {filtered} filtered out; finished in {:.2}s\n",
        if failed.is_empty() { "ok" } else { "FAILED" },
        failed.len(),
        begun.elapsed().as_secs_f64(),
    );
    failed.iter().for_each(|name| println!("failed: {name}"));
    if let Some(missing) = missing.filter(|_| ignored > 0) {
        println!("THE MESH TESTS WERE SKIPPED, NOT PASSED: {missing}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(101) }
}

fn chosen(tests: &[(&'static str, Test)]) -> Vec<(&'static str, Test)> {
    let (mut wanted, mut unwanted, mut exact) = (Vec::new(), Vec::new(), false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--exact" => exact = true,
            "--skip" => unwanted.extend(arguments.next()),
            "--test-threads" | "--format" | "--color" | "-Z" => drop(arguments.next()),
            flag if flag.starts_with('-') => {}
            _ => wanted.push(argument),
        }
    }
    let fits = |name: &str, part: &String| if exact { name == part } else { name.contains(part.as_str()) };
    let mut chosen = tests.to_vec();
    chosen.retain(|(name, _)| wanted.is_empty() || wanted.iter().any(|part| fits(name, part)));
    chosen.retain(|(name, _)| !unwanted.iter().any(|part| fits(name, part)));
    chosen
}
