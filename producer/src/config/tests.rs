//! Every option of the KPL from text.

use super::*;

fn set(key: &str, text: &str) -> Result<Config, ConfigError> {
    Config::default().set(key.parse().unwrap(), text)
}

fn settings(key: &str, text: &str) -> Settings {
    set(key, text).unwrap().settings
}

fn own() -> impl Iterator<Item = (ConfigKey, &'static str)> {
    ConfigKey::ALL.iter().filter_map(|&key| Some((key, key.default_text()?)))
}

#[test]
fn every_key_sets_its_value() {
    let ms = Duration::from_millis;
    assert_eq!(settings("AggregationEnabled", "false").aggregate, None);
    assert_eq!(settings("AggregationEnabled", "TRUE").aggregate, Some(AggregateSize::default()));
    assert_eq!(settings("AggregationMaxCount", "7").aggregate_records, 7);
    assert_eq!(settings("AggregationMaxCount", "18446744073709551615").aggregate_records, usize::MAX);
    assert_eq!(settings("AggregationMaxSize", "64").aggregate, Some(AggregateSize::MIN));
    assert_eq!(settings("CollectionMaxCount", "1").request_entries, 1);
    assert_eq!(settings("CollectionMaxSize", "52224").request_bytes, 52_224);
    assert_eq!(settings("CollectionMaxSize", "9223372036854775807").request_bytes, 10 << 20);
    assert_eq!(settings("DescribeStreamSummaryIntervalMs", "1").description_age, ms(1));
    assert!(settings("FailIfThrottled", "true").fail_if_throttled);
    assert_eq!(settings("MaxConnections", "256").requests_in_flight, 256);
    assert_eq!(settings("MaxUserRecordSize", "2097152").record_bytes, 2 << 20);
    assert_eq!(settings("RateLimit", "100").shard_share.to_bits(), 1.0_f64.to_bits());
    assert_eq!(settings("RateLimit", "9223372036854775807").shard_share.to_bits(), 10_000.0_f64.to_bits());
    assert_eq!(settings("RecordMaxBufferedTime", " 50 ").linger, ms(50));
    assert_eq!(settings("RecordTtl", "18446744073709551615").record_ttl, ms(u64::MAX));
    let distribution = |text| settings("RecordDistributionStrategyDefault", text).distribution;
    assert_eq!(distribution("UNSET"), None);
    assert_eq!(distribution("AUTO"), Some(RecordDistribution::Auto));
    assert_eq!(distribution("USER_PARTITION_KEY"), Some(RecordDistribution::UserPartitionKey));
    assert_eq!(set("RequestTimeout", "100").unwrap().request_timeout, ms(100));
    assert_eq!(set("ConnectTimeout", "300000").unwrap().connect_timeout.0, ms(300_000));
    assert_eq!(set("MetricsLevel", "summary").unwrap().metrics_level, MetricsLevel::Summary);
    let granularity = set("MetricsGranularity", "stream").unwrap().metrics_granularity;
    assert_eq!(granularity, MetricsGranularity::Stream);
}

#[test]
fn a_default_is_what_its_text_says() {
    let default = format!("{:?}", Config::default());
    for (key, text) in own() {
        let config = Config::default().set(key, text).unwrap();
        assert_eq!(format!("{config:?}"), default, "{key}");
    }
    assert_eq!(own().count(), 17);
}

#[test]
fn setters_and_text_agree() {
    let typed = Config::default()
        .rate_limit(80.try_into().unwrap())
        .request_entries(9.try_into().unwrap())
        .request_bytes(60_000.try_into().unwrap())
        .aggregate_records(NonZeroUsize::new(3).unwrap())
        .fail_if_throttled(true)
        .connect_timeout(Duration::from_secs(2).try_into().unwrap())
        .description_age(Duration::from_secs(9))
        .record_distribution_default(RecordDistribution::Auto);
    let text = [
        ("RateLimit", "80"),
        ("CollectionMaxCount", "9"),
        ("CollectionMaxSize", "60000"),
        ("AggregationMaxCount", "3"),
        ("FailIfThrottled", "true"),
        ("ConnectTimeout", "2000"),
        ("DescribeStreamSummaryIntervalMs", "9000"),
        ("RecordDistributionStrategyDefault", "AUTO"),
    ];
    let text = text
        .into_iter()
        .fold(Config::default(), |config, (key, text)| config.set(key.parse().unwrap(), text).unwrap());
    assert_eq!(format!("{typed:?}"), format!("{text:?}"));
}

#[test]
fn aggregation_and_its_size_can_be_set_in_any_order() {
    let off = set("AggregationEnabled", "false").unwrap();
    let off = off.set(ConfigKey::AggregationMaxSize, "1000").unwrap();
    assert_eq!(off.settings.aggregate, None);
    let on = off.set(ConfigKey::AggregationEnabled, "true").unwrap();
    assert_eq!(on.settings.aggregate.map(AggregateSize::bytes), Some(1_000));
    let typed = Config::default().aggregate(AggregateSize::MIN).aggregate(None);
    let on = typed.set(ConfigKey::AggregationEnabled, "true").unwrap();
    assert_eq!(on.settings.aggregate, Some(AggregateSize::MIN));
}

#[test]
fn a_wrong_value_names_key_text_and_bounds() {
    for (key, text, error) in [
        ("AggregationMaxSize", "12", r#"AggregationMaxSize cannot be "12": it takes 64 to 10485760 bytes"#),
        ("RecordTtl", "99", r#"RecordTtl cannot be "99": it takes 100 or more ms"#),
        ("FailIfThrottled", "yes", r#"FailIfThrottled cannot be "yes": it takes true or false"#),
        (
            "MetricsLevel",
            "DETAILED",
            r#"MetricsLevel cannot be "DETAILED": it takes one of none, summary, detailed"#,
        ),
    ] {
        assert_eq!(set(key, text).unwrap_err().to_string(), error);
    }
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    for (key, texts) in [
        ("AggregationMaxCount", ["0", "-1"]),
        ("AggregationMaxSize", ["63", "10485761"]),
        ("CollectionMaxCount", ["0", "501"]),
        ("CollectionMaxSize", ["52223", ""]),
        ("ConnectTimeout", ["99", "300001"]),
        ("DescribeStreamSummaryIntervalMs", ["0", "1.5"]),
        ("MaxConnections", ["0", "257"]),
        ("MaxUserRecordSize", ["63", "10485761"]),
        ("MetricsGranularity", ["", "SHARD"]),
        ("RateLimit", ["0", "18446744073709551616"]),
        ("RecordDistributionStrategyDefault", ["auto", ""]),
        ("RecordMaxBufferedTime", ["-1", "1s"]),
        ("RequestTimeout", ["99", "600001"]),
    ] {
        for text in texts {
            let error = ConfigError::Invalid { key: key.parse().unwrap(), text: text.into() };
            assert_eq!(set(key, text).unwrap_err(), error);
        }
    }
}

#[test]
fn what_is_not_the_producers_is_refused_with_its_place() {
    let error = set("Region", "eu-west-1").unwrap_err();
    assert_eq!(
        error.to_string(),
        "Region is not the producer's, but set on the SDK's client: `region` of `aws_config`"
    );
    for &key in ConfigKey::ALL.iter().filter(|key| key.applies() != Applies::Producer) {
        let error = ConfigError::Elsewhere { key, applies: key.applies() };
        assert_eq!(Config::default().set(key, "1").unwrap_err(), error);
        assert_eq!((error.key(), key.default_text()), (key, None));
    }
}

#[test]
fn names_are_the_kpls() {
    for &key in ConfigKey::ALL {
        assert_eq!(key.name().parse(), Ok(key));
    }
    let unknown = "recordTtl".parse::<ConfigKey>().unwrap_err();
    assert_eq!(unknown.to_string(), r#"no setting is called "recordTtl""#);
}

#[test]
fn the_page_on_options_has_all_of_them() {
    let page = include_str!("../../../docs/kpl-options.md");
    for &key in ConfigKey::ALL {
        let line = match key.applies() {
            Applies::Producer => {
                format!("| `{key}` | {} | {} |", key.default_text().unwrap(), key.accepts())
            }
            applies => format!("| `{key}` | {applies} |"),
        };
        assert!(page.lines().any(|there| there.starts_with(&line)), "{line}");
    }
}
