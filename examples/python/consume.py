"""Counts the clicks of each page, as a loop and with handlers.

    python examples/python/consume.py                   # on a Kinesis within this process
    STREAM=clicks python examples/python/consume.py     # on AWS, until Ctrl-C
"""

import json
import os
import threading
from collections import Counter

import shardflow

pages: Counter[str] = Counter()
lock = threading.Lock()


def count(batch: shardflow.Batch) -> None:
    """Called for one batch of a shard at a time, for those of different shards in threads of their own."""
    with lock:
        pages.update(json.loads(record.data)["page"] for record in batch)
    # Returning checkpoints the batch; raising brings it again.


def local() -> None:
    with shardflow.LocalKinesis() as kinesis:
        kinesis.create_stream("clicks", shards=4)
        with shardflow.Producer("clicks", **kinesis.client) as producer:
            producer.put_many([(f"user-{n}", b'{"page": "/%d"}' % (n % 10)) for n in range(1_000)])

        # As a loop: the batches of all shards.
        with shardflow.Consumer("clicks", app="counter", **kinesis.client) as consumer:
            for batch in consumer:
                count(batch)
                batch.checkpoint()
                if pages.total() == 1_000:
                    consumer.stop()
        print(f"{pages.total()} clicks on {len(pages)} pages")

        # With a handler: another application, which reads everything, too.
        pages.clear()
        consumer = shardflow.Consumer("clicks", app="other", **kinesis.client)

        def count_and_stop(batch: shardflow.Batch) -> None:
            count(batch)
            if pages.total() == 1_000:
                consumer.stop()

        consumer.run(count_and_stop)
        print(f"{pages.total()} clicks, {pages['/7']} of them on one page")


if stream := os.environ.get("STREAM"):
    # The lease table "counter" is created; start more of these, and they share the shards.
    shardflow.Consumer(stream, app="counter").run(count)
    print(pages.most_common(10))
else:
    local()
