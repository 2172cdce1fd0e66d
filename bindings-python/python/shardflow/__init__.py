"""Amazon Kinesis Data Streams, in one process: a producer as the KPL, a consumer as the KCL, and a Kinesis for tests.

>>> import shardflow
>>> with shardflow.LocalKinesis() as kinesis:
...     _ = kinesis.create_stream("orders", shards=2)
...     with shardflow.Producer("orders", **kinesis.client) as producer:
...         receipt = producer.put(b"hello", "user-1").result(timeout=10)
>>> receipt.attempts
1
"""

from ._aggregation import Aggregate, aggregate, deaggregate
from ._consumer import AsyncConsumer, Consumer
from ._handlers import AsyncRecordProcessor, DeadLetter, RecordProcessor, Retry
from ._local import LocalKinesis, Shard, StoredRecord
from ._native import (
    Aggregator,
    AsyncCheckpointer,
    AsyncDelivery,
    AsyncProducer,
    Batch,
    Checkpointer,
    Delivery,
    Producer,
    Receipt,
    Record,
    ShardInfo,
    Ticket,
    Tickets,
    UserRecord,
    __version__,
    is_aggregate,
)
from .errors import (
    AbandonedError,
    Attempt,
    BufferFullError,
    CheckpointError,
    ClosedError,
    ConfigError,
    ConsumerError,
    ExpiredError,
    FlushError,
    ForkedError,
    InvalidError,
    LeaseLostError,
    PutError,
    RecordError,
    RecordTooLargeError,
    RefusedError,
    ServiceError,
    ShardflowError,
    WaitTimeout,
)
from .health import Health, ShardHealth
from .statistics import ShardStats, Stats

__all__ = [
    "AbandonedError",
    "Aggregate",
    "Aggregator",
    "AsyncCheckpointer",
    "AsyncConsumer",
    "AsyncDelivery",
    "AsyncProducer",
    "AsyncRecordProcessor",
    "Attempt",
    "Batch",
    "BufferFullError",
    "CheckpointError",
    "Checkpointer",
    "ClosedError",
    "ConfigError",
    "Consumer",
    "ConsumerError",
    "DeadLetter",
    "Delivery",
    "ExpiredError",
    "FlushError",
    "ForkedError",
    "Health",
    "InvalidError",
    "LeaseLostError",
    "LocalKinesis",
    "Producer",
    "PutError",
    "Receipt",
    "Record",
    "RecordError",
    "RecordProcessor",
    "RecordTooLargeError",
    "RefusedError",
    "Retry",
    "ServiceError",
    "Shard",
    "ShardHealth",
    "ShardInfo",
    "ShardStats",
    "ShardflowError",
    "Stats",
    "StoredRecord",
    "Ticket",
    "Tickets",
    "UserRecord",
    "WaitTimeout",
    "__version__",
    "aggregate",
    "deaggregate",
    "is_aggregate",
]
