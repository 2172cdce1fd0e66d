//! How calls are refused: codes, words and the shape of requests.

use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::RequestId;
use aws_sdk_kinesis::operation::list_streams::{ListStreamsError, ListStreamsOutput};
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::ShardIteratorType;
use aws_smithy_types::body::SdkBody;

use super::Context;
use super::harness::{ensure, refused, same, topic};

topic! { "errors", Kinesis;
    "an operation that does not exist is refused" => unknown_operation,
    "a body that is not JSON is refused" => no_json,
    "a member of the wrong type is refused" => wrong_type,
    "data that is not base64 is refused" => no_base64,
    "a word that is none of several is refused" => unknown_word,
    "a refusal has the status 400, and its words name the stream" => words,
    "every answer and every refusal has a request id" => request_id,
    "a member that nobody knows is ignored" => unknown_member,
}

async fn unknown_operation(context: &Context) -> Result<(), String> {
    let answer = raw(context, "DoSomething", "{}").await;
    refused(answer, &["UnknownOperationException"]).map(drop)
}

async fn no_json(context: &Context) -> Result<(), String> {
    let answer = raw(context, "ListStreams", "{\"Limit\": 1").await;
    refused(answer, &["SerializationException"]).map(drop)
}

async fn wrong_type(context: &Context) -> Result<(), String> {
    let answer = raw(context, "ListStreams", "{\"Limit\": \"many\"}").await;
    refused(answer, &["SerializationException"]).map(drop)
}

async fn no_base64(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let body = format!(r#"{{"StreamName":"{}","PartitionKey":"a","Data":"not base64!"}}"#, stream.name);
    refused(raw(context, "PutRecord", &body).await, &["SerializationException"]).map(drop)
}

async fn unknown_word(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let shard = stream.only_shard().await?;
    let call = context.kinesis.get_shard_iterator().stream_name(&stream.name).shard_id(shard.as_str());
    let call = call.shard_iterator_type(ShardIteratorType::from("SIDEWAYS"));
    refused(call.send().await, &["ValidationException", "InvalidArgumentException"]).map(drop)
}

async fn words(context: &Context) -> Result<(), String> {
    let name = context.name();
    let put = context.kinesis.put_record().stream_name(&name).partition_key("a").data(Blob::new("x"));
    let Err(error) = put.send().await else {
        return Err("a stream that does not exist takes records".to_owned());
    };
    same("status", error.raw_response().map(|response| response.status().as_u16()), Some(400))?;
    let message = error.as_service_error().and_then(ProvideErrorMetadata::message).unwrap_or_default();
    ensure!(message.contains(&name), "its words are {message:?}");
    Ok(())
}

async fn request_id(context: &Context) -> Result<(), String> {
    let stream = context.stream(1).await?;
    let describe = |name: &str| context.kinesis.describe_stream_summary().stream_name(name).send();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = describe(&stream.name).await.map_err(super::harness::told)?;
        ids.extend(answer.request_id().map(str::to_owned));
        match describe("no-such-stream").await {
            Ok(_) => return Err("a stream that does not exist is described".to_owned()),
            Err(error) => ids.extend(error.request_id().map(str::to_owned)),
        }
    }
    same("request ids of four calls", ids.len(), 4)?;
    ids.sort_unstable();
    ids.dedup();
    same("different ones", ids.len(), 4)
}

async fn unknown_member(context: &Context) -> Result<(), String> {
    let answer = raw(context, "ListStreams", r#"{"Limit": 1, "Colour": "blue"}"#).await;
    answer.map(drop).map_err(super::harness::told)
}

/// A call with this body. It goes the way of a call that the SDK makes, and is rewritten before it is signed: so it
/// reaches any server that the others reach.
async fn raw(
    context: &Context,
    operation: &str,
    body: &str,
) -> Result<ListStreamsOutput, SdkError<ListStreamsError>> {
    let (target, body) = (format!("Kinesis_20131202.{operation}"), body.to_owned());
    let call = context.kinesis.list_streams().customize().mutate_request(move |request| {
        request.headers_mut().insert("x-amz-target", target.clone());
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body.as_str());
    });
    call.send().await
}
