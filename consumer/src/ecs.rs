//! How much processor time a container of ECS or Fargate has used, by the metadata endpoint of its task.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::time::timeout;

use crate::host::Used;

/// The endpoint. Asking it is bounded in time and memory.
#[derive(Debug)]
pub(crate) struct Ecs {
    uri: String,
    client: Client<HttpConnector, Empty<Bytes>>,
}

impl Ecs {
    /// Longest time that a sample may take: it answers from the host itself, and the row of the worker waits for it.
    const WITHIN: Duration = Duration::from_secs(1);
    /// Far more than it says of a task with many containers.
    const MOST: usize = 1 << 20;

    /// The one that the agent of ECS names to its containers, if this is one. In the KCL's order.
    pub(crate) fn of_this_container() -> Option<Self> {
        let names = ["ECS_CONTAINER_METADATA_URI_V4", "ECS_CONTAINER_METADATA_URI"];
        names.iter().find_map(|name| std::env::var(name).ok()).map(Self::new)
    }

    pub(crate) fn new(uri: String) -> Self {
        // It is asked twice a minute: connections in between are of no use.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        Self { uri, client }
    }

    /// What the container has used since it started, and how much it may. Nothing if the endpoint does not say so, as in the
    /// first seconds of a container, or takes too long.
    pub(crate) async fn used(&self) -> Option<Used> {
        let both = async { tokio::try_join!(self.get("/stats"), self.get("/task")) };
        match timeout(Self::WITHIN, both).await {
            Ok(Ok((stats, task))) => used(&stats, &task),
            Ok(Err(error)) => {
                tracing::debug!(error, "the metadata endpoint of ECS cannot be read");
                None
            }
            Err(_late) => {
                tracing::debug!("the metadata endpoint of ECS does not answer");
                None
            }
        }
    }

    async fn get(&self, path: &str) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let uri: Uri = format!("{}{path}", self.uri).parse()?;
        let answer = self.client.get(uri).await?;
        if !answer.status().is_success() {
            return Err(format!("{path} answers {}", answer.status()).into());
        }
        let body = Limited::new(answer.into_body(), Self::MOST).collect().await?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    }
}

/// Of its processors a container may use its share of what the task may use: by the shares of all containers, or all of it
/// where none has any. A task without a limit may use the host's.
fn used(stats: &Value, task: &Value) -> Option<Used> {
    let cpu = stats.get("cpu_stats")?;
    let nanos = cpu.pointer("/cpu_usage/total_usage")?.as_u64()?;
    let above_zero = |number: &f64| *number > 0.0;
    let limit = task.pointer("/Limits/CPU").and_then(Value::as_f64).filter(above_zero);
    let all = limit.or_else(|| cpu.get("online_cpus")?.as_f64()).filter(above_zero)?;
    let containers = task.get("Containers").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let shares =
        |container: &Value| container.pointer("/Limits/CPU").and_then(Value::as_f64).unwrap_or_default();
    let mine = containers.iter().find(|container| {
        let (id, own) = (container.get("DockerId"), stats.get("id"));
        id.is_some() && id == own
    });
    let mine = mine.map(shares).filter(above_zero);
    let share = mine.map_or(1.0, |mine| mine / containers.iter().map(shares).sum::<f64>());
    Some(Used { time: Duration::from_nanos(nanos), processors: all * share })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::task::JoinSet;

    fn stats(nanos: u64) -> Value {
        json!({
            "id": "a1",
            "cpu_stats": { "cpu_usage": { "total_usage": nanos }, "system_cpu_usage": 9, "online_cpus": 4 },
        })
    }

    fn task() -> Value {
        let container =
            |id: &str, shares: u32| json!({ "DockerId": id, "Limits": { "CPU": shares, "Memory": 1 } });
        json!({
            "Limits": { "CPU": 0.5, "Memory": 1024 },
            "Containers": [container("a1", 192), container("b2", 64)],
        })
    }

    /// An endpoint that answers with what the path has, and else not at all; it ends with its handle.
    async fn endpoint(answers: impl Fn(&str) -> Option<String> + Send + 'static) -> (Ecs, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let uri = format!("http://{}/v4/a1", listener.local_addr().unwrap());
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut unanswered = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                let path = String::from_utf8(request).unwrap().split(' ').nth(1).unwrap().to_owned();
                match answers(path.strip_prefix("/v4/a1").unwrap()) {
                    Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    None => unanswered.push(stream),
                }
            }
        });
        (Ecs::new(uri), serving)
    }

    fn ok(body: &Value) -> String {
        let body = body.to_string();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[tokio::test]
    async fn a_container_is_measured_by_its_share_of_the_task() {
        let (ecs, _serving) = endpoint(|path| match path {
            "/stats" => Some(ok(&stats(2_500_000_000))),
            "/task" => Some(ok(&task())),
            other => panic!("{other}"),
        })
        .await;
        let used = Used { time: Duration::from_millis(2_500), processors: 0.375 };
        assert_eq!(ecs.used().await, Some(used));
    }

    #[test]
    fn without_shares_it_is_the_task_and_without_a_limit_the_host() {
        let processors = |task: &Value| used(&stats(1), task).map(|used| used.processors);
        assert_eq!(processors(&json!({ "Limits": { "CPU": 0.25 } })), Some(0.25));
        let without_limit = json!({ "Containers": [{ "DockerId": "a1" }, { "DockerId": "b2" }] });
        assert_eq!(processors(&without_limit), Some(4.0));
        let mut other = task();
        other["Containers"][0]["DockerId"] = json!("c3");
        assert_eq!(processors(&other), Some(0.5), "it is not among the containers");
        assert_eq!(used(&Value::Null, &task()), None, "as in the first seconds");
    }

    #[tokio::test]
    async fn an_endpoint_that_fails_says_nothing() {
        let (failed, _serving) =
            endpoint(|_| Some("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n".into())).await;
        assert_eq!(failed.used().await, None);
        let (endless, _serving) = endpoint(|path| {
            let mut said = if path == "/task" { task() } else { stats(1) };
            said["padding"] = json!("x".repeat(Ecs::MOST));
            Some(ok(&said))
        })
        .await;
        assert_eq!(endless.used().await, None);
        for nowhere in ["http://127.0.0.1:1", "what?", ""] {
            assert_eq!(Ecs::new(nowhere.into()).used().await, None, "{nowhere}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_does_not_answer_is_not_waited_for() {
        let (ecs, _serving) = endpoint(|path| (path == "/task").then(|| ok(&task()))).await;
        let before = tokio::time::Instant::now();
        assert_eq!(ecs.used().await, None);
        assert_eq!(before.elapsed().as_secs(), Ecs::WITHIN.as_secs());
    }
}
