"""Consumes with coroutines while a shard is split, and puts what comes out into another stream.

    python examples/python/consume_asyncio.py
"""

import asyncio

import shardflow


class Forward(shardflow.AsyncRecordProcessor):
    """One for each shard, on this program's loop."""

    producer: shardflow.AsyncProducer
    forwarded = 0

    async def initialize(self, shard: shardflow.ShardInfo) -> None:
        print(f"{shard.shard_id} begins")

    async def process_records(self, batch: shardflow.Batch, checkpointer: shardflow.AsyncCheckpointer) -> None:
        await (await self.producer.put_many([(record.partition_key, record.data.upper()) for record in batch]))
        # Not before they have arrived: after a crash they come again.
        await checkpointer.checkpoint()
        Forward.forwarded += len(batch)


async def main() -> None:
    with shardflow.LocalKinesis() as kinesis:
        kinesis.create_stream("words")
        kinesis.create_stream("loud", shards=2)
        async with (
            shardflow.AsyncProducer("words", linger=0.01, **kinesis.client) as words,
            shardflow.AsyncProducer("loud", linger=0.01, **kinesis.client) as Forward.producer,
        ):
            await (await words.put_many([(f"key-{n}", b"word %d" % n) for n in range(100)]))
            kinesis.split("words", 0)
            for n in range(100):
                kinesis.put("words", b"more %d" % n, f"key-{n}")

            consumer = shardflow.AsyncConsumer("words", "loudener", idle_time_between_reads=0.1, **kinesis.client)
            running = asyncio.create_task(consumer.run(Forward))
            while Forward.forwarded < 200:
                await asyncio.sleep(0.01)
            consumer.stop()
            await running
        print(f"{len(kinesis.records('loud'))} records are in the other stream")


asyncio.run(main())
