"""The consumer as a loop, for threads."""

from __future__ import annotations

import gc
import pickle
import threading
from datetime import UTC, datetime, timedelta

import pytest

import shardflow
from conftest import eventually, fill
from shardflow import Consumer, LocalKinesis, Producer, UserRecord

FAST = {"idle_time_between_reads": 0.05}


def read(consumer: Consumer, count: int) -> list[UserRecord]:
    """So many records, each batch checkpointed."""
    records: list[UserRecord] = []
    for batch in consumer:
        records.extend(batch)
        batch.checkpoint()
        if len(records) >= count:
            consumer.stop()
    return records


def test_a_loop_reads_all_shards_and_the_next_one_goes_on(kinesis: LocalKinesis) -> None:
    data = fill(kinesis, 1000)
    with Consumer("orders", "billing", **FAST, **kinesis.client) as consumer:
        assert consumer.health().state == "new"
        records = read(consumer, 1000)
    assert sorted(record.data for record in records) == sorted(data)
    assert consumer.health().state == "stopped"
    more = [b"more %d" % number for number in range(10)]
    with Producer("orders", **kinesis.client) as producer:
        producer.put_many([(str(number), one) for number, one in enumerate(more)])
    with Consumer("orders", app="billing", **FAST, **kinesis.client) as consumer:
        assert sorted(record.data for record in read(consumer, 10)) == more, "what was checkpointed comes once"


def test_a_batch_is_a_sequence_of_records(kinesis: LocalKinesis) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    kinesis.put("orders", b"alone", "k")
    with Producer("orders", **kinesis.client) as producer:
        producer.put_many([("k", b"%d" % number) for number in range(5)]).result(timeout=30)
    batches = []
    with Consumer("orders", "billing", **FAST, **kinesis.client) as consumer:
        for batch in consumer:
            batches.append(batch)
            batch.done()
            if sum(map(len, batches)) == 6:
                consumer.stop()
    records = [record for batch in batches for record in batch]
    assert [record.data for record in records] == [b"alone", b"0", b"1", b"2", b"3", b"4"]
    assert [one for batch in batches for one in batch.data()] == [record.data for record in records]
    assert {record.partition_key for record in records} == {"k"}
    assert [record.sub_sequence_number for record in records] == [0, 0, 1, 2, 3, 4]
    assert [record.aggregated for record in records] == [False] + [True] * 5
    assert len({record.sequence_number for record in records}) == 2
    assert not any(record.out_of_range for record in records)
    at = records[0].approximate_arrival_timestamp
    assert at is not None and at.tzinfo is UTC and before < at < datetime.now(UTC) + timedelta(seconds=5)

    last = batches[-1]
    assert isinstance(last, shardflow.Batch)
    assert (last.stream, last.shard_id) == ("orders", kinesis.records("orders")[0].shard_id)
    assert last.millis_behind_latest == 0
    assert last[-1] == last[len(last) - 1] == list(last)[-1]
    assert [record.data for record in last[-2:]] == [b"3", b"4"]
    assert [record.data for record in last[::-1]] == [record.data for record in last][::-1]
    with pytest.raises(IndexError):
        last[len(last)]
    with pytest.raises(IndexError):
        last[-len(last) - 1]
    assert "records of shardId-" in repr(last) and "partition_key" in repr(last[0])


def test_a_record_can_be_viewed_pickled_compared_and_made(kinesis: LocalKinesis) -> None:
    fill(kinesis, 3)
    with Consumer("orders", "billing", **FAST, **kinesis.client) as consumer:
        for batch in consumer:
            record = batch[0]
            batch.checkpoint()
            consumer.stop()
    del batch
    view = memoryview(record)
    again = pickle.loads(pickle.dumps(record))
    assert (again, hash(again)) == (record, hash(record))
    assert again.approximate_arrival_timestamp == record.approximate_arrival_timestamp
    data = record.data
    del record
    gc.collect()
    assert view.readonly and bytes(view) == data, "a view keeps what it shows"
    with pytest.raises(TypeError):
        view[0] = 1
    made = UserRecord(b"x", "k", sequence_number="12", out_of_range=True)
    assert (made.data, made.partition_key, made.sequence_number, made.out_of_range) == (b"x", "k", "12", True)
    assert made != UserRecord(b"x", "k", sequence_number="13")
    with pytest.raises(shardflow.InvalidError):
        UserRecord(b"x", "", sequence_number="12")


def test_on_next_a_batch_is_checkpointed_when_the_next_one_is_asked_for(kinesis: LocalKinesis) -> None:
    kinesis.create_stream("one")
    for number in range(3):
        kinesis.put("one", b"%d" % number, "k")
    seen = []
    with Consumer("one", "billing", checkpoint="on_next", max_records=1, **FAST, **kinesis.client) as consumer:
        for batch in consumer:
            seen += batch.data()
            if len(seen) == 3:
                break
    assert seen == [b"0", b"1", b"2"]
    with Consumer("one", "billing", checkpoint="on_next", max_records=1, **FAST, **kinesis.client) as consumer:
        for batch in consumer:
            assert batch.data() == [b"2"], "the one that the loop was left with is not done"
            consumer.stop()


def test_a_batch_that_is_dropped_comes_again_and_one_that_is_done_does_not(kinesis: LocalKinesis) -> None:
    kinesis.create_stream("one")
    kinesis.put("one", b"0", "k")
    kinesis.put("one", b"1", "k")
    with Consumer("one", "billing", max_records=1, **FAST, **kinesis.client) as consumer:
        batches = iter(consumer)
        batch = next(batches)
        del batch
        batch = next(batches)
        assert batch.data() == [b"0"]
        batch.done()
        with pytest.raises(shardflow.CheckpointError, match="done"):
            batch.checkpoint()
        last = next(batches)
        assert last.data() == [b"1"]
    with pytest.raises(shardflow.LeaseLostError):
        last.checkpoint()
    with Consumer("one", "billing", max_records=1, **FAST, **kinesis.client) as consumer:
        for batch in consumer:
            assert batch.data() == [b"1"], "the worker has checkpointed what was done, when it stopped"
            batch.checkpoint()
            batch.checkpoint()
            consumer.stop()


def test_an_exception_leaves_the_block_and_the_batch_to_the_next_worker(kinesis: LocalKinesis) -> None:
    fill(kinesis, 100)
    with pytest.raises(ZeroDivisionError):
        with Consumer("orders", "billing", failover_time=60, **FAST, **kinesis.client) as consumer:
            for _batch in consumer:
                raise ZeroDivisionError
    with Consumer("orders", "billing", failover_time=60, **FAST, **kinesis.client) as consumer:
        assert len(read(consumer, 100)) == 100


def test_threads_can_have_loops_of_one_consumer(kinesis: LocalKinesis) -> None:
    data = fill(kinesis, 2000)
    seen: list[bytes] = []
    threads: set[int] = set()

    def loop(consumer: Consumer) -> None:
        for batch in consumer:
            seen.extend(batch.data())
            threads.add(threading.get_ident())
            batch.checkpoint()
            if len(seen) >= 2000:
                consumer.stop()

    with Consumer("orders", "billing", max_records=2, **FAST, **kinesis.client) as consumer:
        loops = [threading.Thread(target=loop, args=(consumer,)) for _ in range(3)]
        for one in loops:
            one.start()
        for one in loops:
            one.join(60)
    assert sorted(seen) == sorted(data)


def test_several_streams_are_one_loop(kinesis: LocalKinesis) -> None:
    kinesis.create_stream("refunds", shards=2)
    fill(kinesis, 50)
    fill(kinesis, 50, "refunds")
    streams: dict[str, int] = {}
    with Consumer(["orders", "refunds"], "billing", **FAST, **kinesis.client) as consumer:
        assert consumer.streams == ["orders", "refunds"]
        for batch in consumer:
            streams[batch.stream] = streams.get(batch.stream, 0) + len(batch)
            batch.checkpoint()
            if sum(streams.values()) >= 100:
                consumer.stop()
    assert streams == {"orders": 50, "refunds": 50}


def test_it_starts_where_it_is_told(kinesis: LocalKinesis) -> None:
    kinesis.create_stream("one")
    kinesis.put("one", b"old", "k")
    kinesis.advance(3600)
    kinesis.put("one", b"new", "k")
    at = datetime.now(UTC) + timedelta(seconds=1800)
    with Consumer("one", "dated", start=at, **FAST, **kinesis.client) as consumer:
        assert [record.data for record in read(consumer, 1)] == [b"new"]
    with Consumer("one", "newest", start="LATEST", **FAST, **kinesis.client) as consumer:
        got: list[bytes] = []
        thread = threading.Thread(target=lambda: got.extend(record.data for record in read(consumer, 1)))
        thread.start()
        eventually(lambda: any(shard.millis_behind_latest == 0 for shard in consumer.health().shards))
        kinesis.put("one", b"newest", "k")
        thread.join(60)
    assert got == [b"newest"]


def test_parents_come_before_their_children(kinesis: LocalKinesis) -> None:
    kinesis.create_stream("one")
    with Consumer("one", "billing", **FAST, **kinesis.client) as consumer:
        for number in range(60):
            kinesis.put("one", b"%d" % number, "the-key")
            if number in (20, 40):
                [shard] = [
                    shard.shard_id
                    for shard in kinesis.shards("one")
                    if shard.is_open and shard.shard_id == kinesis.records("one")[-1].shard_id
                ]
                kinesis.split("one", shard)
        records = read(consumer, 60)
    assert [record.data for record in records] == [b"%d" % number for number in range(60)]


def test_records_come_by_fan_out(kinesis: LocalKinesis) -> None:
    data = fill(kinesis, 100)
    with Consumer("orders", "billing", retrieval="fan_out", **kinesis.client) as consumer:
        assert sorted(record.data for record in read(consumer, 100)) == sorted(data)
    totals = kinesis.totals()
    assert totals["RegisterStreamConsumer"] == 1
    assert "GetRecords" not in totals


def test_a_stream_that_is_not_there_is_told(kinesis: LocalKinesis) -> None:
    with Consumer("nothing", "billing", **kinesis.client) as consumer:
        with pytest.raises(shardflow.ConsumerError) as raised:
            next(iter(consumer))
        assert raised.value.code == "ResourceNotFoundException"
        assert consumer.health().state == "stopped"
        assert not consumer.health().is_healthy


def test_health_says_how_each_shard_stands(kinesis: LocalKinesis) -> None:
    fill(kinesis, 100)
    with Consumer("orders", "billing", worker_id="me", **FAST, **kinesis.client) as consumer:
        batches = iter(consumer)
        batch = next(batches)
        health = consumer.health()
        assert (health.worker_id, health.state, health.leads, health.leases) == ("me", "running", True, 4)
        assert health.is_healthy and health.problems == ()
        [shard] = [shard for shard in health.shards if shard.shard_id == batch.shard_id]
        assert shard.waits_for.startswith("the handler")
        assert shard.sequence_number == "TRIM_HORIZON"
        batch.checkpoint()
        [shard] = [shard for shard in consumer.health().shards if shard.shard_id == batch.shard_id]
        assert shard.sequence_number == batch[-1].sequence_number


@pytest.mark.parametrize(
    ("keywords", "option"),
    [
        ({"start": "EARLIEST"}, "start"),
        ({"start": datetime(2026, 1, 1)}, "start"),
        ({"start": 7}, "start"),
        ({"checkpoint": "never"}, "checkpoint"),
        ({"retrieval": "push"}, "retrieval"),
        ({"failover_time": -1}, "failover_time"),
        ({"max_buffered_bytes": "many"}, "max_buffered_bytes"),
        ({"options": {"failoverTimeMillis": "soon"}}, "failoverTimeMillis"),
        ({"options": {"failoverTime": "1"}}, "failoverTime"),
    ],
)
def test_what_cannot_be_is_told_by_name(
    kinesis: LocalKinesis, keywords: dict[str, object], option: str
) -> None:
    with pytest.raises(shardflow.ConfigError) as raised:
        Consumer("orders", "billing", **keywords, **kinesis.client)  # type: ignore[arg-type]
    assert raised.value.option == option


def test_names_are_checked_and_nothing_is_asked_of_a_network(kinesis: LocalKinesis) -> None:
    for streams, app in (("a b", "billing"), ("orders", "a b"), (["orders", ""], "billing")):
        with pytest.raises(shardflow.InvalidError):
            Consumer(streams, app, **kinesis.client)
    with pytest.raises(TypeError, match="linger"):
        Consumer("orders", "billing", linger=1, **kinesis.client)  # type: ignore[call-arg]
    Consumer("orders", "billing", **kinesis.client)
    assert kinesis.calls() == []
