//! Simulated worlds: the first twenty, and all that once broke a promise. `cargo xtask test` runs three hundred in an
//! optimised build.
#![expect(clippy::expect_used, reason = "what is not as expected fails the test")]

use shardflow_tests::sim;

fn all_hold(seeds: impl Iterator<Item = u64>) -> usize {
    let outcomes: Vec<_> = seeds.map(sim::run).collect();
    let broken: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
    assert!(broken.is_empty(), "{} of {} worlds broke a promise: {broken:#?}", broken.len(), outcomes.len());
    outcomes.len()
}

#[test]
fn twenty_worlds_hold_every_promise() {
    // Two tests share them, so that two processors can.
    assert_eq!(all_hold(0..10), 10);
}

#[test]
fn twenty_worlds_hold_every_promise_second_half() {
    assert_eq!(all_hold(10..20), 10);
}

#[test]
fn worlds_that_once_broke_a_promise_hold_it() {
    let lines = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let seeds = lines.map(|line| line.split_whitespace().next().and_then(|seed| seed.parse().ok()));
    assert!(all_hold(seeds.map(|seed| seed.expect("a line begins with a seed"))) > 0);
}

#[test]
fn a_world_repeats_itself_exactly() {
    for seed in 0..4 {
        assert_eq!(sim::run(seed), sim::run(seed));
    }
}
