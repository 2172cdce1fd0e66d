"""The names of the package `aws_kinesis_agg`, over Shardflow's own reader and writer of aggregates.

`from shardflow.compat import RecordAggregator, deaggregate_records` instead of importing these from
`aws_kinesis_agg.aggregator` and `aws_kinesis_agg.deaggregator`.

A `RecordAggregator` packs whatever it is given, as its model does: **whoever uses one for keys of several shards loses
records** in every application of the KCL, which drops an aggregate with a record of another shard. `Producer` and
`shardflow.aggregate` pack by shard.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ._aggregation import each_of_events
from ._native import Aggregator, Record

__all__ = [
    "DIGEST_SIZE",
    "MAGIC",
    "MAX_BYTES_PER_RECORD",
    "AggRecord",
    "RecordAggregator",
    "deaggregate_records",
    "iter_deaggregate_records",
]

MAGIC = b"\xf3\x89\x9a\xc2"
"""What an aggregate starts with."""
DIGEST_SIZE = 16
"""Bytes of the digest that it ends with."""
MAX_BYTES_PER_RECORD = 1024 * 1024
"""The most bytes of an aggregate."""


class AggRecord:
    """One aggregate that is being packed. Not for several threads at once."""

    def __init__(self, max_size: int = MAX_BYTES_PER_RECORD) -> None:
        self.max_size = max_size
        self._packer = Aggregator(max_size)
        self._records: list[Record] = []

    def get_num_user_records(self) -> int:
        """How many records it has."""
        return len(self._records)

    def get_size_bytes(self) -> int:
        """Its size as it stands."""
        return self._packer.size

    def get_contents(self) -> tuple[str, str, bytes]:
        """Partition key, explicit hash key and data for PutRecord or PutRecords. It keeps its records."""
        packed = self._packer.finish()
        if packed is None:
            return "", "", b""
        for record in self._records:
            self._packer.add(record.data, record.partition_key, record.explicit_hash_key)
        return self.get_partition_key() or "", self.get_explicit_hash_key() or "", packed[2]

    def get_partition_key(self) -> str | None:
        """The key of its first record."""
        return self._records[0].partition_key if self._records else None

    def get_explicit_hash_key(self) -> str | None:
        """The hash key of its first record, in decimal."""
        return str(self._records[0].hash_key) if self._records else None

    def add_user_record(
        self, partition_key: str | bytes, data: str | bytes, explicit_hash_key: str | bytes | None = None
    ) -> bool:
        """Adds a record; False if there is no room for it."""
        record = Record(_bytes(data), _text(partition_key), _hash_key(explicit_hash_key))
        if self._packer.add(record.data, record.partition_key, record.explicit_hash_key):
            self._records.append(record)
            return True
        if not self._records:
            raise ValueError(f"a record of {len(record.data)} bytes does not fit into {self.max_size}")
        return False

    def clear(self) -> None:
        """Forgets its records."""
        self._packer = Aggregator(self.max_size)
        self._records = []


class RecordAggregator:
    """Packs records one aggregate after the other. Not for several threads at once."""

    def __init__(self, max_size: int = MAX_BYTES_PER_RECORD) -> None:
        if max_size > MAX_BYTES_PER_RECORD:
            raise ValueError(f"Invalid max_size {max_size} exceeds maximum value {MAX_BYTES_PER_RECORD}")
        self.max_size = max_size
        self.current_record = AggRecord(max_size)
        self.callbacks: list[tuple[Callable[[AggRecord], object], bool]] = []

    def on_record_complete(
        self, callback: Callable[[AggRecord], object], execute_on_new_thread: bool = True
    ) -> None:
        """Has a function called with each aggregate that is full, on a thread of its own if that is wanted."""
        self.callbacks.append((callback, execute_on_new_thread))

    def get_num_user_records(self) -> int:
        """How many records the present aggregate has."""
        return self.current_record.get_num_user_records()

    def get_size_bytes(self) -> int:
        """The size of the present aggregate."""
        return self.current_record.get_size_bytes()

    def clear_record(self) -> None:
        """Forgets the present aggregate."""
        self.current_record = AggRecord(self.max_size)

    def clear_callbacks(self) -> None:
        """Forgets who is to be called."""
        self.callbacks.clear()

    def clear_and_get(self) -> AggRecord | None:
        """Gives the present aggregate, full or not, and begins another; None if it is empty."""
        if self.get_num_user_records() == 0:
            return None
        done = self.current_record
        self.clear_record()
        return done

    def add_user_record(
        self, partition_key: str | bytes, data: str | bytes, explicit_hash_key: str | bytes | None = None
    ) -> AggRecord | None:
        """Adds a record; if there was no room for it, gives the aggregate that is full."""
        if self.current_record.add_user_record(partition_key, data, explicit_hash_key):
            return None
        full = self.current_record
        for callback, on_new_thread in self.callbacks:
            if on_new_thread:
                threading.Thread(target=callback, args=(full,)).start()
            else:
                callback(full)
        self.clear_record()
        self.current_record.add_user_record(partition_key, data, explicit_hash_key)
        return full


def deaggregate_records(records: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The user records in records of a Lambda event, in the same shape."""
    return list(each_of_events(records))


def iter_deaggregate_records(
    records: Mapping[str, Any] | Iterable[Mapping[str, Any]], data_format: str | None = None
) -> Iterator[dict[str, Any]]:
    """The same one by one; `data_format="Boto3"` for records of boto3's `get_records`."""
    return each_of_events(records, data_format)


def _bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


def _text(text: str | bytes) -> str:
    return text.decode() if isinstance(text, bytes) else text


def _hash_key(key: str | bytes | None) -> int | None:
    return None if key is None else int(key)
