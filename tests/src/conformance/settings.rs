//! What else can be set on a stream: its mode, encryption, metrics, policy and largest record.

use aws_sdk_kinesis::types::{EncryptionType, MetricsName, StreamMode, StreamModeDetails};

use super::Context;
use super::harness::{ensure, refused, same, told, topic};

topic! { "settings", Kinesis;
    "a stream's mode can be changed to on demand and back, and its shards stay" => mode,
    "encryption with a key can be switched on, is told with each record, and can be switched off" => encryption,
    "shard-level metrics can be switched on and off, one by one or all" => monitoring,
    "a resource policy is kept until it is deleted" => policy,
    "a stream's largest record is told, and can be set from 1024 to 10240 KiB" => largest_record,
}

async fn mode(context: &Context) -> Result<(), String> {
    let stream = context.stream(2).await?;
    for mode in [StreamMode::OnDemand, StreamMode::Provisioned] {
        let details = StreamModeDetails::builder().stream_mode(mode.clone()).build();
        let details = details.map_err(|error| error.to_string())?;
        let update =
            context.kinesis.update_stream_mode().stream_arn(&stream.arn).stream_mode_details(details);
        update.send().await.map_err(told)?;
        let summary = stream.active().await?;
        same("mode", summary.stream_mode_details.map(|mode| mode.stream_mode), Some(mode))?;
        same("open shards", summary.open_shard_count, 2)?;
    }
    Ok(())
}

async fn encryption(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let key = "alias/aws/kinesis";
    let start = context.kinesis.start_stream_encryption().stream_name(&stream.name).key_id(key);
    start.encryption_type(EncryptionType::Kms).send().await.map_err(told)?;
    let summary = stream.active().await?;
    same("encryption", summary.encryption_type, Some(EncryptionType::Kms))?;
    same("key", summary.key_id.as_deref(), Some(key))?;
    let put = context.kinesis.put_record().stream_name(&stream.name).partition_key("a");
    let answer = put.data(aws_sdk_kinesis::primitives::Blob::new("x")).send().await.map_err(told)?;
    same("encryption of a record that was put", answer.encryption_type, Some(EncryptionType::Kms))?;
    let shard = stream.only_shard().await?;
    let records = stream.read(&shard, shardflow_core::ShardPosition::TrimHorizon).await?;
    let encryption = records.first().and_then(|record| record.encryption_type.clone());
    same("encryption of a record that was read", encryption, Some(EncryptionType::Kms))?;
    let stop = context.kinesis.stop_stream_encryption().stream_name(&stream.name).key_id(key);
    stop.encryption_type(EncryptionType::Kms).send().await.map_err(told)?;
    same("encryption", stream.active().await?.encryption_type, Some(EncryptionType::None))
}

async fn monitoring(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shown = async || {
        let summary = stream.summary().await?;
        let mut metrics: Vec<_> =
            summary.enhanced_monitoring.iter().flat_map(|set| set.shard_level_metrics().to_vec()).collect();
        metrics.sort_unstable();
        Ok::<_, String>(metrics)
    };
    let enable = context.kinesis.enable_enhanced_monitoring().stream_name(&stream.name);
    let enable = enable.shard_level_metrics(MetricsName::IncomingBytes);
    let answer = enable.shard_level_metrics(MetricsName::OutgoingBytes).send().await.map_err(told)?;
    same("metrics before", answer.current_shard_level_metrics().len(), 0)?;
    same("metrics after", answer.desired_shard_level_metrics().len(), 2)?;
    stream.active().await?;
    same("metrics", shown().await?, [MetricsName::IncomingBytes, MetricsName::OutgoingBytes])?;
    let disable = context.kinesis.disable_enhanced_monitoring().stream_name(&stream.name);
    disable.shard_level_metrics(MetricsName::IncomingBytes).send().await.map_err(told)?;
    stream.active().await?;
    same("metrics", shown().await?, [MetricsName::OutgoingBytes])?;
    let enable = context.kinesis.enable_enhanced_monitoring().stream_name(&stream.name);
    enable.shard_level_metrics(MetricsName::All).send().await.map_err(told)?;
    stream.active().await?;
    ensure!(shown().await?.len() >= 7, "ALL switches {:?} on", shown().await?);
    let disable = context.kinesis.disable_enhanced_monitoring().stream_name(&stream.name);
    disable.shard_level_metrics(MetricsName::All).send().await.map_err(told)?;
    stream.active().await?;
    same("metrics", shown().await?, Vec::<MetricsName>::new())
}

async fn policy(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Sid":"Write","Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::111111111111:root"}},"Action":["kinesis:DescribeStreamSummary","kinesis:ListShards","kinesis:PutRecord","kinesis:PutRecords"],"Resource":"{}"}}]}}"#,
        stream.arn
    );
    let put = context.kinesis.put_resource_policy().resource_arn(&stream.arn).policy(&policy);
    put.send().await.map_err(told)?;
    let get = context.kinesis.get_resource_policy().resource_arn(&stream.arn);
    let kept = get.send().await.map_err(told)?.policy;
    ensure!(kept.contains("arn:aws:iam::111111111111:root"), "it is {kept}");
    context.kinesis.delete_resource_policy().resource_arn(&stream.arn).send().await.map_err(told)?;
    let get = context.kinesis.get_resource_policy().resource_arn(&stream.arn).send().await;
    // The reference does not say which: an empty policy, or no such resource.
    let gone = get.as_ref().map_or(true, |answer| answer.policy.is_empty() || answer.policy == "{}");
    ensure!(gone, "it is still there");
    Ok(())
}

async fn largest_record(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    same("KiB at first", stream.summary().await?.max_record_size_in_kib, Some(1024))?;
    let update =
        |kib| context.kinesis.update_max_record_size().stream_arn(&stream.arn).max_record_size_in_kib(kib);
    update(10240).send().await.map_err(told)?;
    same("KiB", stream.active().await?.max_record_size_in_kib, Some(10240))?;
    for kib in [0, 1023, 10241] {
        refused(update(kib).send().await, &["ValidationException"])
            .map_err(|why| format!("{kib} KiB: {why}"))?;
    }
    let large = context.stream_with(|create| create.shard_count(1).max_record_size_in_kib(2048)).await?;
    same("KiB from the start", large.summary().await?.max_record_size_in_kib, Some(2048))
}
