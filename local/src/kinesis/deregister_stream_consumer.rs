//! DeregisterStreamConsumer.

use std::time::SystemTime;

use super::Kinesis;
use super::describe_stream_consumer::ConsumerRef;
use super::error::KinesisError;
use super::shapes::Empty;
use super::stamp::Stamp;

impl Kinesis {
    pub(crate) fn deregister_stream_consumer(
        &mut self,
        now: SystemTime,
        deregister: ConsumerRef,
    ) -> Result<Empty, KinesisError> {
        let now = Stamp::of(now);
        let due = now.plus(self.transition);
        let (stream, name) = self.named_consumer(now, &deregister)?;
        if let Some(consumer) = stream.consumers.get_mut(&name) {
            consumer.delete(due);
        }
        stream.settle(now);
        Ok(Empty {})
    }
}
