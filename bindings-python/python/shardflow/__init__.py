"""Amazon Kinesis Data Streams, in one process: a producer that aggregates as the KPL does, and a Kinesis for tests.

>>> import shardflow
>>> with shardflow.LocalKinesis() as kinesis:
...     _ = kinesis.create_stream("orders", shards=2)
...     with shardflow.Producer("orders", **kinesis.client) as producer:
...         receipt = producer.put(b"hello", "user-1").result(timeout=10)
>>> receipt.attempts
1
"""

from ._aggregation import Aggregate, aggregate, deaggregate
from ._local import LocalKinesis, Shard, StoredRecord
from ._native import (
    Aggregator,
    AsyncProducer,
    Producer,
    Receipt,
    Record,
    Ticket,
    Tickets,
    __version__,
    is_aggregate,
)
from .errors import (
    AbandonedError,
    Attempt,
    BufferFullError,
    ClosedError,
    ConfigError,
    ExpiredError,
    FlushError,
    ForkedError,
    InvalidError,
    PutError,
    RecordError,
    RecordTooLargeError,
    RefusedError,
    ServiceError,
    ShardflowError,
    WaitTimeout,
)
from .statistics import ShardStats, Stats

__all__ = [
    "AbandonedError",
    "Aggregate",
    "Aggregator",
    "AsyncProducer",
    "Attempt",
    "BufferFullError",
    "ClosedError",
    "ConfigError",
    "ExpiredError",
    "FlushError",
    "ForkedError",
    "InvalidError",
    "LocalKinesis",
    "Producer",
    "PutError",
    "Receipt",
    "Record",
    "RecordError",
    "RecordTooLargeError",
    "RefusedError",
    "ServiceError",
    "Shard",
    "ShardStats",
    "ShardflowError",
    "Stats",
    "StoredRecord",
    "Ticket",
    "Tickets",
    "WaitTimeout",
    "__version__",
    "aggregate",
    "deaggregate",
    "is_aggregate",
]
