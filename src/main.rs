//! Process start of tidegate.

fn main() {}
