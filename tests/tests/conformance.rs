//! The conformance suite against our own service in the same process, a test a topic.
//!
//! The clock is tokio's, and paused: what takes five minutes or a day takes no time here.
#![expect(clippy::unwrap_used, reason = "what is not as expected fails the test")]

use std::collections::BTreeSet;

use shardflow_tests::conformance::{Deviations, TOPICS, Target, Verdict, run};

/// Runs a topic's checks: those that need throttles on a service that throttles, all others on one that does not.
async fn holds(topic: &str) {
    let known = Deviations::known().unwrap();
    let targets = [Target::in_process(false).unwrap(), Target::in_process(true).unwrap()];
    let topic = TOPICS.iter().find(|found| found.name == topic).unwrap();
    let mut wrong = Vec::new();
    for check in topic.checks {
        let line = run(topic, check, &targets, &known).await;
        match line.verdict {
            Verdict::Passed | Verdict::Deviates { .. } => {}
            // Our own service can do everything that a check may need.
            Verdict::Failed { .. } | Verdict::LeftOut { .. } => wrong.push(line.to_string()),
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), topic.checks.len(), wrong.join("\n"));
}

/// A test for each topic, and one that none is missing.
macro_rules! topics {
    ($($test:ident: $topic:literal,)+) => {
        $(
            #[tokio::test(start_paused = true)]
            async fn $test() {
                holds($topic).await;
            }
        )+

        #[test]
        fn every_topic_has_a_test() {
            let tested = BTreeSet::from([$($topic),+]);
            assert_eq!(tested, TOPICS.iter().map(|topic| topic.name).collect());
        }
    };
}

topics! {
    streams_are_created_described_and_deleted_as_at_aws: "streams",
    streams_are_set_as_at_aws: "settings",
    streams_and_consumers_are_tagged_as_at_aws: "tags",
    records_are_put_as_at_aws: "put",
    records_are_distributed_as_at_aws: "record distribution",
    requests_are_as_large_as_at_aws: "limits",
    iterators_stand_where_they_do_at_aws: "iterators",
    records_are_read_as_at_aws: "get records",
    records_are_kept_as_long_as_at_aws: "retention",
    shards_are_listed_as_at_aws: "list shards",
    shards_are_split_and_merged_as_at_aws: "reshard",
    shards_are_counted_as_at_aws: "update shard count",
    records_are_in_order_as_at_aws: "order",
    consumers_are_registered_as_at_aws: "consumers",
    subscriptions_are_sent_what_aws_sends: "subscribe",
    subscriptions_live_as_at_aws: "subscriptions",
    shards_are_throttled_as_at_aws: "throttles",
    calls_are_refused_as_at_aws: "errors",
    tables_are_created_and_changed_as_at_aws: "dynamodb tables",
    items_are_written_and_read_as_at_aws: "dynamodb items",
    conditions_are_kept_as_at_aws: "dynamodb conditions",
    transactions_are_carried_out_as_at_aws: "dynamodb transactions",
    metrics_are_taken_as_at_aws: "cloudwatch",
}

#[test]
fn every_check_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for check in TOPICS.iter().flat_map(|topic| topic.checks) {
        assert!(names.insert(check.name), "there are two of: {}", check.name);
        assert!(!check.name.contains('\t'), "{} does not fit the table", check.name);
    }
}

#[test]
fn the_table_of_deviations_speaks_of_checks_and_servers_that_there_are() {
    let checks: BTreeSet<_> = TOPICS.iter().flat_map(|topic| topic.checks).map(|check| check.name).collect();
    for (server, check) in Deviations::known().unwrap().lines() {
        assert!(Target::KNOWN.contains(&server), "{server} is no server that was tried");
        assert!(checks.contains(check), "{server}: there is no check: {check}");
    }
}
