"""Aggregates without a producer: packing records, and taking apart what was read."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

from ._native import Aggregator, Record, split

__all__ = ["Aggregate", "aggregate", "deaggregate"]


@dataclass(frozen=True)
class Aggregate:
    """What one Kinesis record is to have, for PutRecords."""

    partition_key: str
    """Its partition key."""
    explicit_hash_key: int
    """Its explicit hash key, which leads to the shard of its records."""
    data: bytes
    """An aggregate, or the data of the one record that it would have had."""
    count: int
    """How many records it has."""


def aggregate(
    records: Iterable[Record],
    *,
    shards: Sequence[tuple[int, int]],
    max_size: int = 51_200,
) -> Iterator[Aggregate]:
    """Packs records into aggregates of up to `max_size` bytes, each with the records of one shard.

    `shards` are the first and last hash keys of the stream's open shards: a KCL drops a whole aggregate if a record in
    it belongs to another shard. `Producer` does all this by itself, and follows reshards.
    """
    open_ones = [(first, last, Aggregator(max_size)) for first, last in shards]
    for record in records:
        found = next((one for one in open_ones if one[0] <= record.hash_key <= one[1]), None)
        if found is None:
            raise ValueError(f"no shard has the hash key {record.hash_key} of {record!r}")
        packer = found[2]
        if not _add(packer, record):
            yield from _finish(packer)
            if not _add(packer, record):
                # Too large for any aggregate: it travels alone.
                key = record.partition_key if record.partition_key is not None else "-"
                yield Aggregate(key, record.hash_key, record.data, 1)
    for _, _, packer in open_ones:
        yield from _finish(packer)


def _add(packer: Aggregator, record: Record) -> bool:
    return packer.add(record.data, record.partition_key, record.explicit_hash_key)


def _finish(packer: Aggregator) -> Iterator[Aggregate]:
    packed = packer.finish()
    if packed is not None:
        yield Aggregate(*packed)


@overload
def deaggregate(source: bytes | bytearray | memoryview) -> list[Record]: ...
@overload
def deaggregate(source: Mapping[str, Any] | Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]: ...
def deaggregate(
    source: bytes | bytearray | memoryview | Mapping[str, Any] | Iterable[Mapping[str, Any]],
) -> list[Record] | list[dict[str, Any]]:
    """The user records in what was read. What is no aggregate comes out as it is: nothing is dropped.

    Of the data of one Kinesis record: its records, without a key if it is no aggregate. Of records of a Lambda event
    (of Kinesis, Firehose or Kinesis Analytics) or of boto3's `get_records`: records of the same shape, as
    `aws_kinesis_agg` makes them, with data in base64 where it was so.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        records = split(source)
        return [Record(source)] if records is None else records
    return list(each_of_events(source))


def each_of_events(
    records: Mapping[str, Any] | Iterable[Mapping[str, Any]], data_format: str | None = None
) -> Iterator[dict[str, Any]]:
    """`deaggregate` of records of events or of boto3, one by one."""
    if isinstance(records, Mapping):
        records = [records]
    for given in records:
        plain = data_format == "Boto3" or ("Data" in given and "kinesis" not in given)
        event = _as_event(given)
        kinesis = event["kinesis"]
        data = kinesis["data"] if plain else base64.b64decode(kinesis["data"])
        parts = split(data)
        if parts is None:
            yield event
            continue
        # What a record of boto3's has besides is not of an event.
        others = {key: value for key, value in event.items() if key not in ("kinesis", "data")}
        for number, part in enumerate(parts):
            hash_key = part.explicit_hash_key
            new = {
                "kinesisSchemaVersion": kinesis["kinesisSchemaVersion"],
                "sequenceNumber": kinesis["sequenceNumber"],
                "approximateArrivalTimestamp": kinesis["approximateArrivalTimestamp"],
                "explicitHashKey": None if hash_key is None else str(hash_key),
                "partitionKey": part.partition_key,
                "subSequenceNumber": number,
                "aggregated": True,
                "data": part.data if plain else base64.b64encode(part.data),
            }
            if "recordId" in kinesis:
                new["recordId"] = kinesis["recordId"]
            yield {"kinesis": new, **others}


def _as_event(given: Mapping[str, Any]) -> dict[str, Any]:
    """A record in the shape of a Lambda event of Kinesis, from wherever it is."""
    if "kinesis" in given:
        return dict(given)
    for metadata in ("kinesisStreamRecordMetadata", "kinesisRecordMetadata"):
        if metadata in given:
            return {
                "kinesis": {
                    # Neither says which; there is but one.
                    "kinesisSchemaVersion": "1.0",
                    **{name: given[metadata][name] for name in _METADATA},
                    "data": given["data"],
                    "recordId": given["recordId"],
                }
            }
    if "Data" in given:
        return {
            "kinesis": {
                "kinesisSchemaVersion": "1.0",
                "sequenceNumber": given["SequenceNumber"],
                "partitionKey": given["PartitionKey"],
                "approximateArrivalTimestamp": given["ApproximateArrivalTimestamp"],
                "data": given["Data"],
            }
        }
    raise ValueError("neither a record of a Lambda event nor one of boto3's get_records")


_METADATA = ("sequenceNumber", "partitionKey", "approximateArrivalTimestamp", "shardId")
