"""Puts a thousand clicks and says where they went.

    python examples/python/produce.py                   # on a Kinesis within this process
    STREAM=clicks python examples/python/produce.py     # on AWS, as region and credentials of the environment lead there
"""

import os
from contextlib import ExitStack

import shardflow


def failed(error: shardflow.RecordError) -> None:
    """Called for what nobody asks for: here is the place for a dead-letter queue."""
    print(f"lost {error.record} after {len(error.attempts)} attempts: {error}")


with ExitStack() as stack:
    stream, client = os.environ.get("STREAM"), {}
    if stream is None:
        kinesis = stack.enter_context(shardflow.LocalKinesis())
        kinesis.create_stream(stream := "clicks", shards=4)
        client = kinesis.client

    producer = stack.enter_context(shardflow.Producer(stream, on_failure=failed, **client))

    # One record: the ticket tells what became of it, if you ask.
    receipt = producer.put(b'{"page": "/"}', "user-1").result(timeout=30)
    print(f"one record is in {receipt.shard_id} at {receipt.sequence_number}")

    # Many: one call, one handle, and no object for any of them.
    clicks = [(f"user-{n % 100}", b'{"page": "/%d"}' % n) for n in range(1_000)]
    receipts = producer.put_many(clicks).result(timeout=30)
    print(f"{len(receipts)} records are in {len({r.shard_id for r in receipts})} shards")
# Leaving the block sends what is left.
