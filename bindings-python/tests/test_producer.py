"""The producer for threads and scripts."""

from __future__ import annotations

import gc
import pickle
import threading
import time

import pytest

import shardflow
from shardflow import LocalKinesis, Producer, Receipt, Record


def test_a_record_is_put_and_its_receipt_says_where(kinesis: LocalKinesis) -> None:
    with Producer("orders", linger=0, **kinesis.client) as producer:
        receipt = producer.put(b"hello", "user-1").result(timeout=10)
    [stored] = kinesis.records("orders")
    assert (stored.data, stored.partition_key) == (b"hello", "user-1")
    assert (stored.shard_id, stored.sequence_number) == (receipt.shard_id, receipt.sequence_number)
    assert (receipt.attempts, receipt.sub_sequence_number) == (1, None)


def test_data_is_any_buffer_and_is_copied(kinesis: LocalKinesis) -> None:
    changing = bytearray(b"before")
    with Producer("orders", linger=60, **kinesis.client) as producer:
        tickets = [producer.put(data, "k") for data in (b"b", changing, memoryview(b"_v_")[1:2], memoryview(b"a-b-c")[::2])]
        changing[:] = b"after!"
        producer.flush(timeout=10)
        assert all(ticket.done() for ticket in tickets)
    assert [stored.data for stored in kinesis.records("orders")] == [b"b", b"before", b"v", b"abc"]


@pytest.mark.parametrize("data", ["text", None, 7, [1, 2]])
def test_data_that_is_no_buffer_is_a_type_error(kinesis: LocalKinesis, data: object) -> None:
    with Producer("orders", **kinesis.client) as producer:
        with pytest.raises(TypeError, match="bytes, bytearray or memoryview"):
            producer.put(data, "k")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="partition key"):
            producer.put(b"x", 7)  # type: ignore[arg-type]


def test_a_key_that_kinesis_would_refuse_is_told_with_the_rule(kinesis: LocalKinesis) -> None:
    with Producer("orders", **kinesis.client) as producer:
        with pytest.raises(shardflow.InvalidError, match="1 to 256") as caught:
            producer.put(b"x", "")
        assert isinstance(caught.value, ValueError)


def test_an_explicit_hash_key_leads_to_its_shard(kinesis: LocalKinesis) -> None:
    last = kinesis.shards("orders")[-1]
    with Producer("orders", linger=0, **kinesis.client) as producer:
        receipt = producer.send(b"x", "k", explicit_hash_key=last.last_hash_key, timeout=10)
    assert receipt.shard_id == last.shard_id


def test_twenty_thousand_aggregated_records_all_lie_in_their_own_shards(kinesis: LocalKinesis) -> None:
    with Producer("orders", linger=0.02, rate_limit=1_000_000, **kinesis.client) as producer:
        tickets = producer.put_many((f"user-{n}", b"%d" % n) for n in range(20_000))
        receipts = tickets.result(timeout=60)
    assert len(receipts) == len(tickets) == 20_000
    ranges = {shard.shard_id: range(shard.first_hash_key, shard.last_hash_key + 1) for shard in kinesis.shards("orders")}
    stored = kinesis.records("orders")
    assert sorted(int(record.data) for record in stored) == list(range(20_000))
    assert all(record.record.hash_key in ranges[record.shard_id] for record in stored)
    assert kinesis.kinesis_records("orders") < 200


def test_put_many_takes_data_pairs_and_records(kinesis: LocalKinesis) -> None:
    with Producer("orders", linger=0, **kinesis.client) as producer:
        tickets = producer.put_many([b"1", ("k", b"2"), (None, bytearray(b"3")), Record(b"4", "k", 0)])
        receipts = tickets.result(timeout=10)
        assert tickets[-1].result(timeout=0) == receipts[3]
        assert [tickets[index].result() for index in range(4)] == receipts
        assert tickets.outcomes() == receipts
        with pytest.raises(IndexError):
            tickets[4]
    assert sorted(stored.data for stored in kinesis.records("orders")) == [b"1", b"2", b"3", b"4"]


def test_a_batch_that_ends_early_tells_what_was_accepted(kinesis: LocalKinesis) -> None:
    with Producer("orders", linger=0, **kinesis.client) as producer:
        with pytest.raises(shardflow.RecordTooLargeError) as caught:
            producer.put_many([("k", b"1"), ("k", b"x" * (11 << 20)), ("k", b"3")])
        assert caught.value.accepted is not None
        assert len(caught.value.accepted.result(timeout=10)) == 1
        assert len(caught.value.record.data) == 11 << 20
        with pytest.raises(TypeError):
            producer.put_many([("k", b"1", b"2")])  # type: ignore[list-item]
    assert [stored.data for stored in kinesis.records("orders")] == [b"1"]


def test_put_waits_for_room_and_other_threads_run_meanwhile(kinesis: LocalKinesis) -> None:
    kinesis.fail("PutRecords", {"delay": {"seconds": 0.3}})
    big = b"x" * 300_000
    ran = threading.Event()
    with Producer("orders", linger=0, max_buffered_bytes=1 << 20, max_record_bytes=1 << 20, **kinesis.client) as producer:
        for _ in range(3):
            producer.put(big, "a")
        with pytest.raises(shardflow.BufferFullError) as caught:
            producer.put(big, "c", timeout=0.01)
        assert isinstance(caught.value, TimeoutError)
        assert caught.value.record.partition_key == "c"
        assert caught.value.limit == 1 << 20
        threading.Thread(target=ran.set).start()
        producer.put(big, "c").result(timeout=10)
        assert ran.is_set()
    assert len(kinesis.records("orders")) == 4


def test_many_threads_put_at_once(kinesis: LocalKinesis) -> None:
    with Producer("orders", linger=0.01, rate_limit=1_000_000, **kinesis.client) as producer:
        def work(thread: int) -> None:
            for n in range(500):
                producer.put(b"x", f"{thread}-{n}")

        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        producer.flush(timeout=30)
    assert len({stored.partition_key for stored in kinesis.records("orders")}) == 4_000


def test_several_threads_wait_for_one_ticket(kinesis: LocalKinesis) -> None:
    kinesis.fail("PutRecords", {"delay": {"seconds": 0.2}}, times=1)
    receipts: list[Receipt] = []
    with Producer("orders", linger=0, **kinesis.client) as producer:
        ticket = producer.put(b"x", "k")
        assert not ticket.done()
        with pytest.raises(shardflow.WaitTimeout):
            ticket.result(timeout=0.01)
        threads = [threading.Thread(target=lambda: receipts.append(ticket.result(timeout=10))) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(receipts) == 5
    assert len(set(receipts)) == 1


def test_a_flush_in_time_and_one_that_is_not(kinesis: LocalKinesis) -> None:
    kinesis.fail("PutRecords", {"delay": {"seconds": 0.3}}, times=1)
    with Producer("orders", linger=60, **kinesis.client) as producer:
        ticket = producer.put(b"x", "k")
        with pytest.raises(shardflow.WaitTimeout):
            producer.flush(timeout=0.01)
        assert not ticket.done()
        producer.flush()
        assert ticket.done()


def test_stats_tell_what_is_held(kinesis: LocalKinesis) -> None:
    with Producer("orders", linger=60, **kinesis.client) as producer:
        assert producer.stats().buffered_records == 0
        producer.put_many([("k", b"x")] * 10)
        stats = producer.stats()
        assert stats.buffered_records == 10
        assert stats.buffered_bytes == producer.buffered_bytes > 0
        assert stats.oldest is not None
        producer.flush(timeout=10)
        assert [shard.shard_id for shard in producer.stats().shards] == [s.shard_id for s in kinesis.shards("orders")]


def test_a_reshard_is_followed(kinesis: LocalKinesis) -> None:
    with Producer("orders", linger=0, **kinesis.client) as producer:
        parent = producer.send(b"1", "k", timeout=10).shard_id
        children = kinesis.split("orders", parent)
        assert producer.send(b"2", "k", timeout=20).shard_id in children


def test_tickets_that_are_let_go_do_not_stay_in_memory(kinesis: LocalKinesis) -> None:
    """100,000 records whose failures nobody asks for, behind 60,000 that fill what is reused."""
    resource = pytest.importorskip("resource")
    kinesis.create_stream("sink", shards=1)

    def rounds(count: int) -> int:
        for _ in range(count):
            with Producer("sink", linger=0, rate_limit=1_000_000, **kinesis.client) as producer:
                kinesis.fail("PutRecords", {"refuse": {"code": "AccessDeniedException", "status": 400}}, times=1)
                tickets = [producer.put(b"x" * 10, "k") for _ in range(20_000)]
                del tickets
                try:
                    producer.flush(timeout=60)
                except shardflow.FlushError:
                    pass
        gc.collect()
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()

    try:
        before = rounds(3)
    except OSError:
        pytest.skip("only Linux tells what a process holds")
    # What the service itself keeps is ten bytes a record.
    assert rounds(5) - before < 40 << 20


def test_receipts_and_records_are_values(kinesis: LocalKinesis) -> None:
    receipt = Receipt("shardId-000000000000", "7", 3, 2)
    assert pickle.loads(pickle.dumps(receipt)) == receipt
    assert receipt != Receipt("shardId-000000000000", "7", 4, 2)
    assert hash(receipt) == hash(Receipt("shardId-000000000000", "7", 3, 2))
    record = Record(b"x", "k", 2**128 - 1)
    assert pickle.loads(pickle.dumps(record)) == record
    assert (record.data, record.partition_key, record.explicit_hash_key) == (b"x", "k", 2**128 - 1)
    keyless = pickle.loads(pickle.dumps(Record(b"x")))
    assert (keyless.partition_key, keyless.explicit_hash_key) == (None, None)
    assert "sequence_number='7'" in repr(receipt)


def test_a_close_within_its_time_loses_nothing_to_throttles(kinesis: LocalKinesis) -> None:
    """Others lose what is throttled at the end."""
    kinesis.fail("PutRecords", "throttle", times=3)
    kinesis.fail("PutRecords", "throttle_entries", times=5)
    with Producer("orders", linger=0.01, aggregation=False, **kinesis.client) as producer:
        tickets = producer.put_many((f"user-{n}", b"x") for n in range(1_000))
    receipts = tickets.result(timeout=0)
    assert len(receipts) == 1_000
    assert max(receipt.attempts for receipt in receipts) > 1
    assert len(kinesis.records("orders")) == 1_000


def test_a_close_that_runs_out_of_time_gives_everything_back(kinesis: LocalKinesis) -> None:
    kinesis.fail("PutRecords", "hang")
    producer = Producer("orders", linger=0, **kinesis.client)
    tickets = producer.put_many([("k", b"1"), ("k", b"2")])
    before = time.monotonic()
    with pytest.raises(shardflow.FlushError) as caught:
        producer.close(timeout=0.5)
    assert caught.value.failed == 2
    assert time.monotonic() - before < 30
    assert tickets.done()
    with pytest.raises(shardflow.AbandonedError):
        tickets.result()
    assert [type(outcome) for outcome in tickets.outcomes()] == [shardflow.AbandonedError] * 2
    with pytest.raises(shardflow.ClosedError) as closed:
        producer.put(b"3", "k")
    assert closed.value.record.data == b"3"
    producer.close()
