//! Every option of the KCL from text.

use std::time::SystemTime;

use super::*;

fn set(key: &str, text: &str) -> Result<Config, ConfigError> {
    Config::default().set(key.parse().unwrap(), text)
}

/// What a worker makes of it, whatever was told of it and in which order.
fn meaning(config: &Config) -> String {
    format!("{:?}", Config { told: Told::default(), ..config.clone() })
}

fn own() -> impl Iterator<Item = ConfigKey> {
    ConfigKey::ALL.iter().copied().filter(|key| key.applies() == Applies::Consumer)
}

#[test]
fn every_key_sets_its_value() {
    let ms = Duration::from_millis;
    let lease = |key, text| set(key, text).unwrap().lease;
    let shard = |key, text| set(key, text).unwrap().shard;
    assert_eq!(set("workerIdentifier", "w").unwrap().worker_id.unwrap().as_str(), "w");
    let position = |key, text| lease(key, text).initial_position;
    assert_eq!(position("initialPositionInStream", " LATEST "), InitialPosition::Latest);
    let at = InitialPosition::AtTimestamp(SystemTime::UNIX_EPOCH + Duration::from_secs(9));
    assert_eq!(position("initialPositionInStreamExtended", "9"), at);
    assert_eq!(shard("maxRecords", "100").read_records, 100);
    assert_eq!(shard("idleTimeBetweenReadsInMillis", "5").idle_every, ms(5));
    assert_eq!(shard("maxPendingProcessRecordsInput", "2").read_ahead, 2);
    assert_eq!(shard("logWarningForTaskAfterMillis", "9").warn_after, Some(ms(9)));
    assert_eq!(set("kinesisRequestTimeout", "PT1M0.5S").unwrap().request_timeout, ms(60_500));
    assert_eq!(lease("failoverTimeMillis", "2000").failover, ms(2_000));
    assert_eq!(lease("leaseAssignmentIntervalMillis", "700").look_every, ms(700));
    assert_eq!(lease("dynamoDbLockBasedLeaderLeaseDurationInMillis", "9000").lock_lasts, ms(9_000));
    assert_eq!(lease("maxLeasesForWorker", "3").max_leases, 3);
    assert_eq!(lease("gracefulLeaseHandoffTimeoutMillis", "7").handoff_timeout, ms(7));
    assert!(!lease("cleanupLeasesUponShardCompletion", "false").cleans_up);
    assert_eq!(set("disableWorkerMetrics", "no").unwrap().worker_metrics, WorkerMetrics::Cpu);
    assert!(matches!(
        lease("leaseAssignmentStrategy", "WORKER_UTILIZATION_AWARE").balance,
        lease::Balance::Utilisation(Weighing { threshold: 10.0, dampening: 60.0, floor: 5.0 })
    ));
    let weighed = set("reBalanceThresholdPercentage", "25").unwrap();
    let weighed = weighed.set(ConfigKey::DampeningPercentage, "50").unwrap().told.weighing;
    assert_eq!(weighed, Weighing { threshold: 25.0, dampening: 50.0, floor: 5.0 });
    let named = FanOutConsumer::Named("billing".parse().unwrap());
    assert_eq!(set("consumerName", "billing").unwrap().told.fan_out, named);
    let arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/orders/consumer/billing:1700000000";
    let by_arn = set("consumerArn", arn).unwrap();
    assert_eq!(by_arn.told.fan_out, FanOutConsumer::Arn(arn.parse().unwrap()));
    let both = by_arn.set(ConfigKey::ConsumerName, "billing").unwrap();
    assert_eq!(both.told.fan_out, FanOutConsumer::Arn(arn.parse().unwrap()), "the ARN counts more");
    assert_eq!(set("retrievalMode", "fanout").unwrap().shard.retrieval, consume::Retrieval::FanOut);
    // Has nothing to set, but refuses fleets of the KCL 2.
    let old = set("clientVersionConfig", "CLIENT_VERSION_CONFIG_COMPATIBLE_WITH_2X").unwrap_err();
    assert_eq!(old.key(), ConfigKey::ClientVersionConfig);
    assert_eq!(own().count(), 22, "each of them is above");
}

#[test]
fn defaults_are_what_their_texts_say() {
    let (ours, kcl) = (Config::default(), Config::kcl());
    let polls_anyway = |config: Config| meaning(&config.retrieving(RetrievalMode::Polling));
    for key in own() {
        if let Some(text) = key.default_text() {
            assert_eq!(meaning(&ours.clone().set(key, text).unwrap()), meaning(&ours), "{key}");
        }
        if let Some(text) = key.kcl_default_text() {
            let set = kcl.clone().set(key, text).unwrap();
            assert_eq!(polls_anyway(set), polls_anyway(kcl.clone()), "{key}");
        }
    }
    assert_eq!(kcl.shard.retrieval, consume::Retrieval::FanOut);
    assert_ne!(meaning(&ours), meaning(&kcl));
    assert_eq!(kcl.lease.look_every, Duration::from_secs(20));
    let slower = kcl.set(ConfigKey::FailoverTimeMillis, "15000").unwrap();
    assert_eq!(slower.lease.look_every, Duration::from_secs(30), "twice the failover time, as with the KCL");
}

#[test]
fn options_may_be_set_in_any_order() {
    let options = [
        ("consumerName", "billing"),
        ("dampeningPercentage", "50"),
        ("dynamoDbLockBasedLeaderLeaseDurationInMillis", "9000"),
        ("failoverTimeMillis", "2000"),
        ("leaseAssignmentIntervalMillis", "700"),
        ("leaseAssignmentStrategy", "WORKER_UTILIZATION_AWARE"),
        ("maxPendingProcessRecordsInput", "2"),
        ("retrievalMode", "DEFAULT"),
    ];
    let all = |options: &mut dyn Iterator<Item = &(&str, &str)>| {
        options.fold(Config::default(), |config, (key, text)| config.set(key.parse().unwrap(), text).unwrap())
    };
    let forwards = all(&mut options.iter());
    assert_eq!(meaning(&forwards), meaning(&all(&mut options.iter().rev())));
    let consumer = FanOutConsumer::Named("billing".parse().unwrap());
    let typed = Config::default()
        .retrieval(Retrieval::FanOut { consumer })
        .balance(Balance::Utilisation { threshold: 10.0, dampening: 50.0, floor: 5.0 })
        .read_ahead(2)
        .lease_scan_interval(Duration::from_millis(700))
        .failover_time(Duration::from_secs(2))
        .leader_lease(Duration::from_secs(9));
    assert_eq!(meaning(&forwards), meaning(&typed));
}

#[test]
fn an_option_of_polling_makes_the_kcls_default_poll() {
    let default = set("retrievalMode", "DEFAULT").unwrap();
    assert_eq!(default.shard.retrieval, consume::Retrieval::FanOut);
    for (key, text) in [("maxRecords", "100"), ("idleTimeBetweenReadsInMillis", "1500")] {
        let polling = default.clone().set(key.parse().unwrap(), text).unwrap();
        assert_eq!(
            (polling.retrieval, polling.shard.retrieval),
            (Retrieval::Polling, consume::Retrieval::Polling)
        );
        let first = set(key, text).unwrap().set(ConfigKey::RetrievalMode, "DEFAULT").unwrap();
        assert_eq!(first.retrieval, Retrieval::Polling);
        let told = first.set(ConfigKey::RetrievalMode, "FANOUT").unwrap();
        assert_eq!(told.shard.retrieval, consume::Retrieval::FanOut);
    }
}

#[test]
fn a_wrong_value_names_key_text_and_rule() {
    for (key, text, rule) in [
        ("maxRecords", "10001", "1 to 10000 records"),
        ("failoverTimeMillis", "99", "100 or more ms"),
        ("initialPositionInStream", "AT_TIMESTAMP", "one of TRIM_HORIZON, LATEST"),
        ("initialPositionInStreamExtended", "253402300800", "0 to 253402300799 seconds since 1970"),
        ("disableWorkerMetrics", "maybe", "true or false"),
        ("maxLeasesForWorker", "0", "1 or more leases"),
        ("kinesisRequestTimeout", "30", "a duration such as PT30S or PT1M30S, above zero"),
        ("consumerName", "a b", "a consumer's name"),
        ("workerIdentifier", "Leader", "1 to 255 bytes, and none of Leader, Migration3.0, TableMigration3.5"),
    ] {
        let error = set(key, text).unwrap_err();
        assert_eq!(error.to_string(), format!("{key} cannot be {text:?}: it takes {rule}"));
    }
}

#[test]
fn durations_are_written_as_java_writes_them() {
    let seconds = |text| row::duration(text).map(|duration| duration.as_secs_f64());
    assert_eq!(seconds("PT30S"), Some(30.0));
    assert_eq!(seconds("P1DT2H3M4.5S"), Some(93_784.5));
    for text in ["", "P", "PT", "PT0S", "PT-1S", "30", "PT1S1M", "P1H", "PTS", "PT1e400S"] {
        assert_eq!(seconds(text), None, "{text}");
    }
}

#[test]
fn what_is_not_the_consumers_is_refused_with_its_place() {
    let error = set("streamName", "orders").unwrap_err();
    assert_eq!(error.to_string(), "streamName is not set here, but set in code: `Consumer::new`");
    for &key in ConfigKey::ALL.iter().filter(|key| key.applies() != Applies::Consumer) {
        let error = ConfigError::Elsewhere { key, applies: key.applies() };
        assert_eq!(Config::default().set(key, "1").unwrap_err(), error);
    }
}

#[test]
fn names_are_the_kcls() {
    for &key in ConfigKey::ALL {
        assert_eq!(key.name().parse(), Ok(key));
    }
    for (alias, key) in [
        ("workerId", ConfigKey::WorkerIdentifier),
        ("fanoutConfig.consumerArn", ConfigKey::ConsumerArn),
        ("pollingConfig.maxRecords", ConfigKey::MaxRecords),
        ("AWSCredentialsProvider", ConfigKey::AwsCredentialsProvider),
        ("AwsCredentialsProviderDynamoDB", ConfigKey::AwsCredentialsProviderDynamoDb),
    ] {
        assert_eq!(alias.parse(), Ok(key));
    }
    assert!("FailoverTimeMillis".parse::<ConfigKey>().is_err());
}

#[test]
fn the_page_on_options_has_all_of_them() {
    let page = include_str!("../../../docs/kcl-options.md");
    for &key in ConfigKey::ALL {
        let or_none = |text: Option<&'static str>| text.unwrap_or("none");
        let kcl = or_none(key.kcl_default_text());
        let line = match key.applies() {
            Applies::Consumer | Applies::Table => {
                format!("| `{key}` | {kcl} | {} | {} |", or_none(key.default_text()), key.accepts())
            }
            applies => format!("| `{key}` | {kcl} | {applies} |"),
        };
        assert!(page.lines().any(|there| there.starts_with(&line)), "{line}");
    }
}

#[test]
fn a_time_to_start_at_is_kept_for_rows_that_do_not_store_it() {
    let at = SystemTime::UNIX_EPOCH;
    let config = Config::default().initial_position(InitialPosition::AtTimestamp(at));
    assert_eq!(config.shard.timestamp, Some(at));
}
