//! Tags of streams and consumers.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_kinesis::types::Tag;

use super::Context;
use super::harness::{ensure, refused, same, told, topic};

topic! { "tags", Kinesis;
    "AddTagsToStream adds and overwrites, RemoveTagsFromStream removes, ListTagsForStream lists" => of_stream,
    "ListTagsForStream gives tags page by page, in the order of their keys" => in_pages,
    "TagResource, UntagResource and ListTagsForResource do the same to a stream by ARN" => of_resource,
    "a stream can be created with tags" => from_the_start,
    "a consumer has tags of its own" => of_consumer,
    "a fifty-first tag is refused" => too_many,
    "a tag's key has 1 to 128 characters and its value at most 256" => too_long,
}

async fn of_stream(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let list = async || {
        let answer = context.kinesis.list_tags_for_stream().stream_name(&stream.name).send().await;
        answer.map(|answer| sorted(&answer.tags)).map_err(told)
    };
    let add = context.kinesis.add_tags_to_stream().stream_name(&stream.name);
    add.tags("a", "1").tags("b", "").send().await.map_err(told)?;
    same("tags", list().await?, pairs(&[("a", "1"), ("b", "")]))?;
    let add = context.kinesis.add_tags_to_stream().stream_name(&stream.name);
    add.tags("a", "2").tags("c", "3").send().await.map_err(told)?;
    same("tags", list().await?, pairs(&[("a", "2"), ("b", ""), ("c", "3")]))?;
    let remove = context.kinesis.remove_tags_from_stream().stream_name(&stream.name);
    remove.tag_keys("a").tag_keys("no such tag").send().await.map_err(told)?;
    same("tags", list().await?, pairs(&[("b", ""), ("c", "3")]))
}

async fn in_pages(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let tags: HashMap<_, _> = (0..5).map(|number| (format!("key-{number}"), "x".to_owned())).collect();
    let add = context.kinesis.add_tags_to_stream().stream_name(&stream.name).set_tags(Some(tags));
    add.send().await.map_err(told)?;
    let (mut pages, mut keys, mut after) = (Vec::new(), Vec::new(), None);
    loop {
        let list = context.kinesis.list_tags_for_stream().stream_name(&stream.name).limit(2);
        let page = list.set_exclusive_start_tag_key(after).send().await.map_err(told)?;
        pages.push(page.tags.len());
        keys.extend(page.tags.iter().map(|tag| tag.key.clone()));
        ensure!(pages.len() <= 3, "more than three pages of two tags of five");
        if !page.has_more_tags {
            break;
        }
        after = keys.last().cloned();
    }
    same("tags of each page", pages, [2, 2, 1])?;
    same("keys", keys, (0..5).map(|number| format!("key-{number}")).collect::<Vec<_>>())
}

async fn of_resource(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    tag_and_untag(context, &stream.arn).await
}

async fn of_consumer(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let consumer = stream.consumer().await?;
    tag_and_untag(context, &consumer.arn).await?;
    let tags =
        context.kinesis.list_tags_for_resource().resource_arn(&stream.arn).send().await.map_err(told)?;
    same("tags of its stream", tags.tags().len(), 0)
}

async fn tag_and_untag(context: &Context, arn: &str) -> Result<(), String> {
    let list = async || {
        let answer = context.kinesis.list_tags_for_resource().resource_arn(arn).send().await;
        answer.map(|answer| sorted(answer.tags())).map_err(told)
    };
    let tag = context.kinesis.tag_resource().resource_arn(arn).tags("c", "1").tags("d", "2");
    tag.send().await.map_err(told)?;
    same("tags", list().await?, pairs(&[("c", "1"), ("d", "2")]))?;
    context.kinesis.untag_resource().resource_arn(arn).tag_keys("c").send().await.map_err(told)?;
    same("tags", list().await?, pairs(&[("d", "2")]))
}

async fn from_the_start(context: &Context) -> Result<(), String> {
    let stream = context.stream_with(|create| create.shard_count(1).tags("team", "blue")).await?;
    let answer =
        context.kinesis.list_tags_for_stream().stream_name(&stream.name).send().await.map_err(told)?;
    same("tags", sorted(&answer.tags), pairs(&[("team", "blue")]))
}

async fn too_many(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    // Ten at a time: more are not added in one call.
    for tens in 0..5 {
        let tags: HashMap<_, _> = (0..10).map(|one| (format!("key-{tens}{one}"), "x".to_owned())).collect();
        let add = context.kinesis.add_tags_to_stream().stream_name(&stream.name).set_tags(Some(tags));
        add.send().await.map_err(told)?;
    }
    let add = context.kinesis.add_tags_to_stream().stream_name(&stream.name).tags("one-more", "x");
    let codes = &["InvalidArgumentException", "LimitExceededException", "ValidationException"];
    refused(add.send().await, codes).map(drop)
}

async fn too_long(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let add = |key: String, value: String| {
        context.kinesis.add_tags_to_stream().stream_name(&stream.name).tags(key, value).send()
    };
    let codes = &["InvalidArgumentException", "ValidationException"];
    add("k".repeat(128), "v".repeat(256)).await.map_err(told)?;
    refused(add("k".repeat(129), "v".to_owned()).await, codes)?;
    refused(add(String::new(), "v".to_owned()).await, codes)?;
    refused(add("k".to_owned(), "v".repeat(257)).await, codes).map(drop)
}

fn sorted(tags: &[Tag]) -> BTreeMap<String, String> {
    tags.iter().map(|tag| (tag.key.clone(), tag.value.clone().unwrap_or_default())).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
