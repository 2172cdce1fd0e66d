"""Aggregates by themselves, and the names of `aws_kinesis_agg`."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import threading
from typing import Any

import pytest

import shardflow
from shardflow import Aggregator, LocalKinesis, Record, compat

HALVES = [(0, 2**127 - 1), (2**127, 2**128 - 1)]
needs_model = pytest.mark.skipif(
    importlib.util.find_spec("aws_kinesis_agg") is None, reason="aws-kinesis-agg is not installed"
)


def packed(*records: Record) -> bytes:
    packer = Aggregator()
    assert all(packer.add(r.data, r.partition_key, r.explicit_hash_key) for r in records)
    done = packer.finish()
    assert done is not None
    return done[2]


def event(data: bytes) -> dict[str, Any]:
    """As Lambda gives it."""
    return {
        "eventID": "shardId-000000000000:7",
        "eventSource": "aws:kinesis",
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": "a",
            "sequenceNumber": "7",
            "approximateArrivalTimestamp": 1.5,
            "data": base64.b64encode(data).decode(),
        },
    }


def test_an_aggregate_is_what_its_format_says() -> None:
    data = packed(Record(b"1", "k"), Record(b"2", "k", 7))
    assert data[:4] == compat.MAGIC
    assert data[-16:] == hashlib.md5(data[4:-16]).digest()
    assert shardflow.is_aggregate(data)
    assert not shardflow.is_aggregate(data[:-1] + b"?")
    assert shardflow.deaggregate(data) == [Record(b"1", "k"), Record(b"2", "k", 7)]
    assert shardflow.deaggregate(memoryview(data)) == shardflow.deaggregate(data)


def test_what_is_no_aggregate_comes_out_as_it_is() -> None:
    assert shardflow.deaggregate(b"plain") == [Record(b"plain")]
    plain = event(b"plain")
    assert shardflow.deaggregate([plain]) == [plain]
    damaged = event(packed(Record(b"1", "k"), Record(b"2", "k"))[:-1] + b"?")
    assert shardflow.deaggregate(damaged) == [damaged]


def test_a_packer_is_full_at_its_size_and_empty_when_it_is_finished() -> None:
    packer = Aggregator(64)
    assert packer.add(b"x" * 20, "k")
    size = packer.size
    assert not packer.add(b"x" * 20, "k")
    assert (len(packer), packer.size) == (1, size)
    assert packer.finish() == ("k", Record(b"", "k").hash_key, b"x" * 20, 1)
    assert (len(packer), packer.finish()) == (0, None)
    with pytest.raises(shardflow.InvalidError):
        Aggregator(63)


def test_records_are_packed_by_shard() -> None:
    records = [Record(b"%d" % n, f"user-{n}") for n in range(1_000)] + [Record(b"large" * 1_000, "user-1")]
    aggregates = list(shardflow.aggregate(records, shards=HALVES, max_size=2_000))
    assert sum(aggregate.count for aggregate in aggregates) == 1_001
    for aggregate in aggregates:
        half = aggregate.explicit_hash_key >> 127
        if aggregate.count > 1:
            assert len(aggregate.data) <= 2_000
            assert {record.hash_key >> 127 for record in shardflow.deaggregate(aggregate.data)} == {half}
    with pytest.raises(ValueError, match="no shard"):
        list(shardflow.aggregate(records, shards=HALVES[:0]))


def test_what_is_packed_here_is_read_by_a_kcl_and_what_a_producer_packs_here(kinesis: LocalKinesis) -> None:
    boto3 = pytest.importorskip("boto3")
    client = boto3.client(
        "kinesis", region_name="us-east-1", endpoint_url=kinesis.endpoint_url, aws_access_key_id="a", aws_secret_access_key="b"
    )
    shards = [(shard.first_hash_key, shard.last_hash_key) for shard in kinesis.shards("orders")]
    records = [Record(b"%d" % n, f"user-{n}") for n in range(100)]
    entries = [
        {"PartitionKey": a.partition_key, "ExplicitHashKey": str(a.explicit_hash_key), "Data": a.data}
        for a in shardflow.aggregate(records, shards=shards)
    ]
    assert client.put_records(StreamName="orders", Records=entries)["FailedRecordCount"] == 0
    stored = kinesis.records("orders")
    assert sorted(int(one.data) for one in stored) == list(range(100))
    iterator = client.get_shard_iterator(
        StreamName="orders", ShardId=stored[0].shard_id, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    read = client.get_records(ShardIterator=iterator)["Records"]
    users = shardflow.deaggregate(read)
    assert [user["kinesis"]["data"] for user in users] == [one.data for one in stored if one.shard_id == stored[0].shard_id]
    assert list(compat.iter_deaggregate_records(read, data_format="Boto3")) == users


def test_an_aggregator_of_the_old_name_calls_back_with_what_is_full() -> None:
    aggregator = compat.RecordAggregator(max_size=200)
    full: list[compat.AggRecord] = []
    called = threading.Event()
    aggregator.on_record_complete(full.append, execute_on_new_thread=False)
    aggregator.on_record_complete(lambda _: called.set())
    returned = [aggregator.add_user_record("k", f"{n:050}") for n in range(4)]
    assert [record is not None for record in returned] == [False, False, False, True] or full
    assert called.wait(30)
    assert full[0].get_num_user_records() + aggregator.get_num_user_records() == 4
    rest = aggregator.clear_and_get()
    assert rest is not None
    assert aggregator.clear_and_get() is None
    key, hash_key, data = rest.get_contents()
    assert rest.get_contents() == (key, hash_key, data), "it keeps its records"
    assert (key, hash_key) == ("k", str(Record(b"", "k").hash_key))
    with pytest.raises(ValueError):
        compat.RecordAggregator(max_size=compat.MAX_BYTES_PER_RECORD + 1)
    with pytest.raises(ValueError):
        compat.AggRecord(64).add_user_record("k", b"x" * 64)


@needs_model
def test_the_model_reads_what_we_write() -> None:
    from aws_kinesis_agg import deaggregator

    ours = compat.RecordAggregator()
    for n in range(50):
        ours.add_user_record(f"user-{n % 7}", b"%d" % n, str(n) if n % 2 else None)
    record = ours.clear_and_get()
    assert record is not None
    given = event(record.get_contents()[2])
    theirs = deaggregator.deaggregate_records([given])
    assert [base64.b64decode(user["kinesis"]["data"]) for user in theirs] == [b"%d" % n for n in range(50)]
    assert [user["kinesis"]["partitionKey"] for user in theirs] == [f"user-{n % 7}" for n in range(50)]


@needs_model
@pytest.mark.parametrize("explicit", [False, True])
def test_what_the_model_writes_comes_out_as_with_the_model(explicit: bool) -> None:
    from aws_kinesis_agg import aggregator, deaggregator

    theirs = aggregator.RecordAggregator()
    for n in range(50):
        # Without a hash key of its own, the model gives a record that of the first one: compare what it gets right.
        theirs.add_user_record(f"user-{n % 7}", b"%d" % n, str(n) if explicit else None)
    contents = theirs.clear_and_get().get_contents()[2]
    plain = event(b"plain")
    for given in ([event(contents), plain], event(contents)):
        ours = compat.deaggregate_records(given)
        model = deaggregator.deaggregate_records(given)
        assert ours == model
    firehose = {
        "recordId": "r",
        "data": base64.b64encode(contents).decode(),
        "kinesisRecordMetadata": {
            "sequenceNumber": "7",
            "partitionKey": "a",
            "approximateArrivalTimestamp": 1,
            "shardId": "shardId-000000000000",
        },
    }
    assert compat.deaggregate_records([firehose]) == deaggregator.deaggregate_records([dict(firehose)])
    analytics = {**firehose, "kinesisStreamRecordMetadata": firehose["kinesisRecordMetadata"]}
    del analytics["kinesisRecordMetadata"]
    assert compat.deaggregate_records([analytics]) == deaggregator.deaggregate_records([dict(analytics)])
