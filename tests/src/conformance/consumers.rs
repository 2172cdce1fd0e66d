//! Registering, describing and listing consumers.

use std::collections::BTreeSet;

use aws_sdk_kinesis::types::ConsumerStatus;

use super::harness::{ensure, refused, same, told, topic};
use super::{Context, Need};

topic! { "consumers", Kinesis;
    "a consumer is CREATING, then ACTIVE" [Need::FanOut] => registered,
    "a consumer is described by its ARN, or by its name and its stream's" [Need::FanOut] => described,
    "a consumer's ARN is made of its stream's, its name and the time" [Need::FanOut] => arn,
    "consumers of a stream are listed and counted" [Need::FanOut] => listed,
    "consumers are listed page by page" [Need::FanOut] => listed_in_pages,
    "a name is a consumer's own among those of its stream" [Need::FanOut] => name_taken,
    "a consumer that is deregistered is gone" [Need::FanOut] => deregistered,
    "a consumer can be deregistered by its name" [Need::FanOut] => deregistered_by_name,
    "a consumer that does not exist is not described" [Need::FanOut] => missing,
    "a consumer of a stream that does not exist is not registered" [Need::FanOut] => no_stream,
    "a twenty-first consumer is refused" [Need::FanOut] => too_many,
}

async fn registered(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let name = context.name();
    let register = context.kinesis.register_stream_consumer().stream_arn(&stream.arn).consumer_name(&name);
    let consumer = register.send().await.map_err(told)?.consumer.ok_or("no consumer")?;
    same("name", consumer.consumer_name, name)?;
    same("status", consumer.consumer_status, ConsumerStatus::Creating)?;
    let mut tries = context.tries("the consumer to be ACTIVE");
    loop {
        let describe = context.kinesis.describe_stream_consumer().consumer_arn(&consumer.consumer_arn);
        let described = describe.send().await.map_err(told)?.consumer_description.ok_or("no consumer")?;
        if described.consumer_status == ConsumerStatus::Active {
            return Ok(());
        }
        tries.again().await?;
    }
}

async fn described(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    let by_arn = context.kinesis.describe_stream_consumer().consumer_arn(&consumer.arn);
    let by_name = context.kinesis.describe_stream_consumer().stream_arn(&stream.arn);
    for describe in [by_arn, by_name.consumer_name(&consumer.name)] {
        let described = describe.send().await.map_err(told)?.consumer_description.ok_or("no consumer")?;
        same("name", described.consumer_name, consumer.name.clone())?;
        same("ARN", described.consumer_arn, consumer.arn.clone())?;
        same("stream's ARN", described.stream_arn, stream.arn.clone())?;
        same("status", described.consumer_status, ConsumerStatus::Active)?;
        ensure!(described.consumer_creation_timestamp.secs() > 1_500_000_000, "it was created long ago");
    }
    Ok(())
}

async fn arn(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    let start = format!("{}/consumer/{}:", stream.arn, consumer.name);
    let time = consumer.arn.strip_prefix(&start).unwrap_or_default();
    ensure!(
        !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit()),
        "{} is not {start} and a time",
        consumer.arn
    );
    Ok(())
}

async fn listed(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    let list = context.kinesis.list_stream_consumers().stream_arn(&stream.arn);
    let answer = list.send().await.map_err(told)?;
    let [listed] = answer.consumers() else { return Err(format!("{} consumers", answer.consumers().len())) };
    same("ARN", listed.consumer_arn.as_str(), consumer.arn.as_str())?;
    same("ConsumerCount", stream.summary().await?.consumer_count, Some(1))
}

async fn listed_in_pages(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let mut names = BTreeSet::new();
    for _ in 0..3 {
        names.insert(stream.consumer().await?.name);
    }
    let (mut pages, mut seen) = (Vec::new(), BTreeSet::new());
    let mut token = None;
    loop {
        let list = context.kinesis.list_stream_consumers().stream_arn(&stream.arn).max_results(2);
        let page = list.set_next_token(token).send().await.map_err(told)?;
        pages.push(page.consumers().len());
        seen.extend(page.consumers().iter().map(|consumer| consumer.consumer_name.clone()));
        ensure!(pages.len() <= 2, "more than two pages of two consumers of three");
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    same("consumers of each page", pages, [2, 1])?;
    same("consumers", seen, names)
}

async fn name_taken(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    let register = context.kinesis.register_stream_consumer().stream_arn(&stream.arn);
    refused(register.consumer_name(&consumer.name).send().await, &["ResourceInUseException"])?;
    let other = context.stream(1).await?;
    let register = context.kinesis.register_stream_consumer().stream_arn(&other.arn);
    register.consumer_name(&consumer.name).send().await.map(drop).map_err(told)
}

async fn deregistered(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    let deregister = context.kinesis.deregister_stream_consumer().consumer_arn(&consumer.arn);
    deregister.send().await.map_err(told)?;
    gone(context, &consumer.arn).await?;
    let list = context.kinesis.list_stream_consumers().stream_arn(&stream.arn);
    same("consumers", list.send().await.map_err(told)?.consumers().len(), 0)
}

async fn deregistered_by_name(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    let deregister = context.kinesis.deregister_stream_consumer().stream_arn(&stream.arn);
    deregister.consumer_name(&consumer.name).send().await.map_err(told)?;
    gone(context, &consumer.arn).await
}

async fn gone(context: &Context, arn: &str) -> Result<(), String> {
    let mut tries = context.tries("the consumer to be gone");
    loop {
        let describe = context.kinesis.describe_stream_consumer().consumer_arn(arn);
        match describe.send().await {
            Ok(answer) => {
                let status = answer.consumer_description.map(|consumer| consumer.consumer_status);
                same("status", status, Some(ConsumerStatus::Deleting))?;
            }
            refusal => return refused(refusal, &["ResourceNotFoundException"]).map(drop),
        }
        tries.again().await?;
    }
}

async fn missing(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let describe = context.kinesis.describe_stream_consumer().stream_arn(&stream.arn);
    refused(describe.consumer_name("nobody").send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn no_stream(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let arn = stream.arn.replace(&stream.name, &context.name());
    let register = context.kinesis.register_stream_consumer().stream_arn(arn).consumer_name("reports");
    refused(register.send().await, &["ResourceNotFoundException"]).map(drop)
}

async fn too_many(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    for _ in 0..20 {
        // One after the other: no more than five may be CREATING at once.
        stream.consumer().await?;
    }
    let register = context.kinesis.register_stream_consumer().stream_arn(&stream.arn);
    refused(register.consumer_name("one-more").send().await, &["LimitExceededException"]).map(drop)
}
