"""Puts from many tasks at once, and shows what becomes of records whose service fails.

    python examples/python/produce_asyncio.py
"""

import asyncio

import shardflow


async def visitor(producer: shardflow.AsyncProducer, number: int) -> str:
    for page in range(10):
        # Waits only if there is no room. Nobody asks for these.
        await producer.put(b'{"page": %d}' % page, f"user-{number}")
    # This one must have arrived before we go on.
    receipt = await producer.send(b'{"bye": true}', f"user-{number}")
    return receipt.shard_id


async def main() -> None:
    with shardflow.LocalKinesis() as kinesis:
        kinesis.create_stream("clicks", shards=4)
        async with shardflow.AsyncProducer("clicks", linger=0.02, record_ttl=1, **kinesis.client) as producer:
            kinesis.fail("PutRecords", "throttle", times=2)
            shards = await asyncio.gather(*(visitor(producer, number) for number in range(50)))
            print(f"50 visitors are in {len(set(shards))} shards, two throttled requests notwithstanding")

            kinesis.fail("PutRecords", "internal_failure")
            try:
                await producer.send(b"too late", "user-1")
            except shardflow.ExpiredError as error:
                print(f"{error.record} expired after {len(error.attempts)} attempts, the last with {error.code}")
            kinesis.clear()
        print(f"{len(kinesis.records('clicks'))} records in {kinesis.kinesis_records('clicks')} Kinesis records")


asyncio.run(main())
