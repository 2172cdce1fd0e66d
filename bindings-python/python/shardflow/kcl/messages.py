"""What a processor of `amazon_kclpy` is called with."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from .._native import Batch, ShardInfo, UserRecord

if TYPE_CHECKING:
    from . import Checkpointer

__all__ = [
    "InitializeInput",
    "LeaseLostInput",
    "ProcessRecordsInput",
    "Record",
    "ShardEndedInput",
    "ShutdownRequestedInput",
]


class Record:
    """A record, taken out of its aggregate."""

    def __init__(self, record: UserRecord) -> None:
        self._record = record

    @property
    def binary_data(self) -> bytes:
        """Its data."""
        return self._record.data

    @property
    def data(self) -> str:
        """Its data in base 64, as it came over the pipe."""
        return base64.b64encode(self._record).decode()

    @property
    def partition_key(self) -> str:
        """Its partition key; empty where the stream distributes records by itself."""
        return self._record.partition_key or ""

    @property
    def sequence_number(self) -> str:
        """The place of the Kinesis record that carried it."""
        return self._record.sequence_number

    @property
    def sub_sequence_number(self) -> int:
        """Its place in that, 0 if it travelled alone."""
        return self._record.sub_sequence_number

    @property
    def timestamp_millis(self) -> int:
        """When the service took it, in milliseconds since 1970."""
        at = self._record.approximate_arrival_timestamp
        return 0 if at is None else round(at.timestamp() * 1000)

    @property
    def approximate_arrival_timestamp(self) -> datetime:
        """The same in local time without a zone, as `amazon_kclpy` has it."""
        return datetime.fromtimestamp(self.timestamp_millis / 1000)

    def get(self, field: str) -> object:
        """A field by its name on the pipe, such as `partitionKey`."""
        return _FIELDS[field](self)


_FIELDS: dict[str, Callable[[Record], object]] = {
    "action": lambda record: "record",
    "approximateArrivalTimestamp": lambda record: record.timestamp_millis,
    "data": lambda record: record.data,
    "partitionKey": lambda record: record.partition_key,
    "sequenceNumber": lambda record: record.sequence_number,
    "subSequenceNumber": lambda record: record.sub_sequence_number,
}


class InitializeInput:
    """For which shard, and from where on."""

    action = "initialize"

    def __init__(self, shard: ShardInfo) -> None:
        self.shard_id = shard.shard_id
        """The shard."""
        self.sequence_number = shard.sequence_number
        """Everything up to here is done; `TRIM_HORIZON`, `LATEST` or `AT_TIMESTAMP` where nothing is."""
        self.sub_sequence_number = shard.sub_sequence_number
        """The place in the aggregate there, or 0."""


class ProcessRecordsInput:
    """Records, and how to say that they are done."""

    action = "processRecords"

    def __init__(self, batch: Batch, checkpointer: Checkpointer) -> None:
        self.records = [Record(record) for record in batch]
        """The records, in order; at least one."""
        self.checkpointer = checkpointer
        """Stores how far the shard is processed."""
        self.millis_behind_latest = batch.millis_behind_latest
        """How far behind the newest record of the shard they are."""


class LeaseLostInput:
    """Another worker has the shard: too late for a checkpoint."""

    action = "leaseLost"


class ShardEndedInput:
    """The shard has no more records."""

    action = "shardEnded"

    def __init__(self, checkpointer: Checkpointer) -> None:
        self.checkpointer = checkpointer
        """For the shard's end."""


class ShutdownRequestedInput:
    """The worker stops, or hands the shard over."""

    action = "shutdownRequested"

    def __init__(self, checkpointer: Checkpointer) -> None:
        self.checkpointer = checkpointer
        """For a last checkpoint."""
