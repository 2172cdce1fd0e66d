"""The consumer with handlers: functions, processors, what becomes of errors, threads and loops."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import time
from collections.abc import Callable

import pytest

import shardflow
from conftest import eventually, fill
from shardflow import (
    AsyncCheckpointer,
    AsyncConsumer,
    AsyncRecordProcessor,
    Batch,
    Checkpointer,
    Consumer,
    DeadLetter,
    LocalKinesis,
    Producer,
    RecordProcessor,
    Retry,
    ShardInfo,
)

FAST = {"idle_time_between_reads": 0.05}


class Running:
    """A consumer whose `run` is in a thread."""

    def __init__(self, consumer: Consumer, handler: object, on_error: Retry | None = None) -> None:
        self.consumer = consumer
        self.raised: BaseException | None = None
        self.thread = threading.Thread(target=self._run, args=(handler, on_error))
        self.thread.start()

    def _run(self, handler: object, on_error: Retry | None) -> None:
        try:
            self.consumer.run(handler, on_error=on_error)  # type: ignore[arg-type]
        except BaseException as raised:
            self.raised = raised

    def stop(self) -> None:
        self.consumer.stop()
        self.thread.join(60)
        assert not self.thread.is_alive()
        assert self.raised is None

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.consumer.stop()
        self.thread.join(60)


def collects(into: list[bytes]) -> Callable[[Batch], None]:
    return lambda batch: into.extend(batch.data())


def test_a_function_gets_every_record_and_what_it_returns_from_is_checkpointed(kinesis: LocalKinesis) -> None:
    data = fill(kinesis, 1000)
    seen: list[bytes] = []
    with Running(Consumer("orders", "billing", **FAST, **kinesis.client), collects(seen)) as running:
        eventually(lambda: len(seen) >= 1000)
        running.stop()
    assert sorted(seen) == sorted(data)
    kinesis.put("orders", b"more", "k")
    seen.clear()
    with Running(Consumer("orders", "billing", **FAST, **kinesis.client), collects(seen)) as running:
        eventually(lambda: seen)
        running.stop()
    assert seen == [b"more"]


def test_a_processor_has_the_callbacks_of_the_kcl_on_a_thread_of_its_own(kinesis: LocalKinesis) -> None:
    kinesis.create_stream("one")
    kinesis.put("one", b"0", "k")
    calls: list[tuple[str, str, str]] = []
    local = threading.local()

    class Processor(RecordProcessor):
        shard_id = ""

        def note(self, what: str) -> None:
            calls.append((self.shard_id, what, threading.current_thread().name))

        def initialize(self, shard: ShardInfo) -> None:
            self.shard_id = shard.shard_id
            local.shard = shard.shard_id
            assert threading.current_thread().name == f"shardflow-{shard.shard_id}"
            self.note(f"initialize {shard.sequence_number}")

        def process_records(self, batch: Batch, checkpointer: Checkpointer) -> None:
            assert local.shard == batch.shard_id, "what is kept for a thread stays"
            self.note(f"process {len(batch)}")
            checkpointer.checkpoint(batch[0])
            checkpointer.checkpoint()

        def shard_ended(self, checkpointer: Checkpointer) -> None:
            self.note("ended")

        def shutdown_requested(self, checkpointer: Checkpointer) -> None:
            checkpointer.checkpoint()
            self.note("requested")

    with Running(Consumer("one", "billing", **FAST, **kinesis.client), Processor) as running:
        eventually(lambda: len(calls) == 2)
        parent = calls[0][0]
        children = kinesis.split("one", 0)
        eventually(lambda: len(calls) == 5)
        running.stop()
    assert [what for _, what, _ in calls[:3]] == ["initialize TRIM_HORIZON", "process 1", "ended"]
    assert {shard for shard, what, _ in calls[3:5]} == set(children)
    assert [what for _, what, _ in calls[3:]] == ["initialize TRIM_HORIZON"] * 2 + ["requested"] * 2
    for shard in (parent, *children):
        assert len({thread for one, _, thread in calls if one == shard}) == 1
    assert len({thread for _, _, thread in calls}) == 3


def test_shards_are_processed_at_the_same_time(kinesis: LocalKinesis) -> None:
    fill(kinesis, 100)
    together = threading.Barrier(4)
    passed: list[int] = []

    def handler(batch: Batch) -> None:
        if len(passed) < 4:
            passed.append(together.wait(60))

    with Running(Consumer("orders", "billing", **FAST, **kinesis.client), handler) as running:
        eventually(lambda: len(passed) == 4)
        running.stop()


def test_a_handler_that_raises_loses_nothing_and_is_in_the_log(
    kinesis: LocalKinesis, caplog: pytest.LogCaptureFixture
) -> None:
    """What another library loses there: 800 of 800."""
    data = fill(kinesis, 800)
    failures: dict[str, int] = {}
    seen: list[bytes] = []

    class Processor(RecordProcessor):
        def process_records(self, batch: Batch, checkpointer: Checkpointer) -> None:
            failures[batch.shard_id] = failures.get(batch.shard_id, 0) + 1
            if failures[batch.shard_id] <= 2:
                raise LookupError(f"try {failures[batch.shard_id]} of {batch.shard_id}")
            seen.extend(batch.data())
            checkpointer.checkpoint()

    on_error = Retry(backoff=(0.01, 0.05))
    with caplog.at_level(logging.WARNING, "shardflow"):
        with Running(Consumer("orders", "billing", **FAST, **kinesis.client), Processor, on_error) as running:
            eventually(lambda: len(seen) >= 800)
            running.stop()
    assert sorted(seen) == sorted(data)
    raised = [record for record in caplog.records if record.exc_info]
    assert len(raised) == 8
    assert "LookupError: try 1 of shardId-" in caplog.text and "process_records" in caplog.text


def test_a_slow_handler_gets_every_record_once(kinesis: LocalKinesis) -> None:
    """300 of 300, although each batch takes longer than a lease lasts without being renewed."""
    data = fill(kinesis, 300)
    seen: list[bytes] = []

    def handler(batch: Batch) -> None:
        time.sleep(0.5)
        seen.extend(batch.data())

    consumer = Consumer("orders", "billing", failover_time=0.3, max_records=1, **FAST, **kinesis.client)
    with Running(consumer, handler) as running:
        eventually(lambda: len(seen) >= 300)
        running.stop()
    assert sorted(seen) == sorted(data)


def test_aggregates_over_four_shards_and_a_throttled_close_lose_nothing(kinesis: LocalKinesis) -> None:
    """20,000 of 20,000, each in the shard of its key, and 1,000 of 1,000 of a producer that is closed while throttled."""
    data = fill(kinesis, 20_000)
    kinesis.fail("PutRecords", "throttle", times=5)
    late = [b"late %d" % number for number in range(1000)]
    with Producer("orders", linger=60, **kinesis.client) as producer:
        producer.put_many([(str(number), one) for number, one in enumerate(late)])
    seen: list[bytes] = []
    astray: list[shardflow.UserRecord] = []

    def handler(batch: Batch) -> None:
        seen.extend(batch.data())
        astray.extend(record for record in batch if record.out_of_range)

    with Running(Consumer("orders", "billing", **FAST, **kinesis.client), handler) as running:
        eventually(lambda: len(seen) >= 21_000)
        running.stop()
    assert sorted(seen) == sorted(data + late)
    assert astray == []


def holds_the_gil(seconds: float) -> Callable[[], None]:
    """Something in C that does not let go of the GIL for as long as that."""
    count = 10_000_000
    began = time.monotonic()
    sum(range(count))
    count = int(count * seconds / (time.monotonic() - began))
    return lambda: sum(range(count)) and None


def test_a_handler_that_holds_the_gil_for_many_failover_times_keeps_its_lease(kinesis: LocalKinesis) -> None:
    """Another worker, of another process, would take the lease if it were not renewed."""
    import subprocess
    import sys

    kinesis.create_stream("one")
    kinesis.put("one", b"0", "k")
    client = dict(kinesis.client)
    rival = f"""
import shardflow
consumer = shardflow.Consumer("one", "billing", failover_time=0.5, idle_time_between_reads=0.05, **{client!r})
print("ready", flush=True)
consumer.run(lambda batch: print("stolen", batch.data(), flush=True))
"""
    hold = holds_the_gil(6)
    held: list[float] = []
    lost: list[bool] = []

    class Processor(RecordProcessor):
        def process_records(self, batch: Batch, checkpointer: Checkpointer) -> None:
            began = time.monotonic()
            hold()
            held.append(time.monotonic() - began)
            checkpointer.checkpoint()

        def lease_lost(self) -> None:
            lost.append(True)

    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.readline()\n" + rival],
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None and child.stdout is not None
    try:
        consumer = Consumer("one", "billing", failover_time=0.5, **FAST, **kinesis.client)
        began = threading.Event()
        original = Processor.process_records

        def process(self: Processor, batch: Batch, checkpointer: Checkpointer) -> None:
            # The rival is there before the GIL is held.
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "ready\n"
            began.set()
            original(self, batch, checkpointer)

        Processor.process_records = process  # type: ignore[method-assign]
        with Running(consumer, Processor) as running:
            eventually(lambda: held, 120)
            assert not lost
            running.stop()
        assert held[0] > 1, "two failover times at least"
    finally:
        child.terminate()
        output, _ = child.communicate(timeout=60)
    assert "stolen" not in output


def test_a_record_that_can_never_be_processed_is_found_and_skipped_or_a_dead_letter(kinesis: LocalKinesis) -> None:
    data = fill(kinesis, 400)
    letters: list[DeadLetter] = []

    def sink(letter: DeadLetter) -> None:
        letters.append(letter)
        if len(letters) == 1:
            raise OSError("the queue is not there")

    then: shardflow.Retry
    for app, then in (
        ("skips", Retry(2, then="skip", backoff=(0.001, 0.01))),
        ("keeps", Retry(2, then=sink, backoff=(0.001, 0.01))),
    ):
        seen: list[bytes] = []

        def handler(batch: Batch, seen: list[bytes] = seen) -> None:
            if b"123" in batch.data():
                raise ValueError("poison")
            seen.extend(batch.data())

        with Running(Consumer("orders", app, **FAST, **kinesis.client), handler, then) as running:
            eventually(lambda seen=seen: len(set(seen)) >= 399)
            eventually(lambda app=app: app == "skips" or len(letters) == 2)
            running.stop()
        assert set(data) - set(seen) == {b"123"}
    first, second = letters
    assert (first.record, first.record.data, first.stream) == (second.record, b"123", "orders")
    assert second.error == "ValueError: poison"
    assert second.shard_id.startswith("shardId-")


def test_a_shard_that_is_stopped_rests_and_others_go_on(kinesis: LocalKinesis) -> None:
    fill(kinesis, 400)
    seen: list[bytes] = []
    made: list[str] = []

    class Processor(RecordProcessor):
        def initialize(self, shard: ShardInfo) -> None:
            made.append(shard.shard_id)

        def process_records(self, batch: Batch, checkpointer: Checkpointer) -> None:
            if batch.shard_id.endswith("0") and made.count(batch.shard_id) == 1:
                raise ValueError("not now")
            seen.extend(batch.data())
            checkpointer.checkpoint()

    on_error = Retry(2, then="stop_shard", backoff=(0.001, 0.01), rest=0.3)
    consumer = Consumer("orders", "billing", **FAST, **kinesis.client)
    with Running(consumer, Processor, on_error) as running:
        eventually(lambda: len(set(seen)) >= 400)
        running.stop()
    assert sorted(made) == ["shardId-000000000000"] * 2 + [f"shardId-00000000000{number}" for number in (1, 2, 3)]


def test_two_workers_share_the_shards_and_one_gives_its_own_back(kinesis: LocalKinesis) -> None:
    begun: list[str] = []
    requested: list[str] = []

    class Processor(RecordProcessor):
        def initialize(self, shard: ShardInfo) -> None:
            begun.append(shard.shard_id)

        def process_records(self, batch: Batch, checkpointer: Checkpointer) -> None:
            pass

        def shutdown_requested(self, checkpointer: Checkpointer) -> None:
            checkpointer.checkpoint()
            requested.append(threading.current_thread().name)

    one = Consumer("orders", "billing", failover_time=1, **FAST, **kinesis.client)
    other = Consumer("orders", "billing", failover_time=1, **FAST, **kinesis.client)
    with Running(one, Processor) as first:
        eventually(lambda: one.health().leases == 4)
        with Running(other, Processor) as second:
            eventually(lambda: (one.health().leases, other.health().leases, len(begun)) == (2, 2, 6), 120)
            assert len(requested) == 2, "each shard that was handed over was asked for"
            second.stop()
        eventually(lambda: len(begun) == 8)
        first.stop()
    assert len(requested) == 8


def test_what_is_no_handler_is_told_at_once(kinesis: LocalKinesis) -> None:
    consumer = Consumer("orders", "billing", **kinesis.client)

    async def coroutine(batch: Batch) -> None:
        pass

    class Mixed(RecordProcessor):
        async def process_records(self, batch: Batch, checkpointer: Checkpointer) -> None:  # type: ignore[override]
            pass

    class Right(RecordProcessor):
        def process_records(self, batch: Batch, checkpointer: Checkpointer) -> None:
            pass

    for wrong in (coroutine, AsyncRecordProcessor, Mixed, Right(), 7, str):
        with pytest.raises(TypeError):
            consumer.run(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dead letters"):
        consumer.run(Right, on_error=Retry(1, then=coroutine))  # type: ignore[arg-type]
    for values in ({"attempts": 0}, {"attempts": 1, "then": "forget"}):
        with pytest.raises(shardflow.ConfigError):
            Retry(**values)  # type: ignore[arg-type]
    with pytest.raises(shardflow.ConfigError, match="rest"):
        consumer.run(Right, on_error=Retry(1, rest=-1))
    assert consumer.health().state == "new"
    with Running(consumer, Right) as running:
        eventually(lambda: consumer.health().state == "running")
        with pytest.raises(shardflow.ConsumerError, match="handlers"):
            next(iter(consumer))
        running.stop()
    with pytest.raises(shardflow.ConsumerError, match="once"):
        consumer.run(Right)


def test_a_worker_that_cannot_start_raises(kinesis: LocalKinesis) -> None:
    with pytest.raises(shardflow.ConsumerError) as raised:
        Consumer("nothing", "billing", **kinesis.client).run(lambda batch: None)
    assert raised.value.code == "ResourceNotFoundException"


def test_a_checkpoint_is_within_what_was_given(kinesis: LocalKinesis) -> None:
    kinesis.create_stream("one")
    for number in range(3):
        kinesis.put("one", b"%d" % number, "k")
    errors: list[BaseException] = []
    batches: list[Batch] = []

    class Processor(RecordProcessor):
        def process_records(self, batch: Batch, checkpointer: Checkpointer) -> None:
            batches.append(batch)
            for at in (batch, batch[0], batch[0].sequence_number, batches[0], batches[0][0].sequence_number):
                checkpointer.checkpoint(at)
            for wrong in ("9" * 56, "x", 7):
                try:
                    checkpointer.checkpoint(wrong)  # type: ignore[arg-type]
                except (shardflow.ShardflowError, TypeError) as error:
                    errors.append(error)

    with Running(Consumer("one", "billing", max_records=1, **FAST, **kinesis.client), Processor) as running:
        eventually(lambda: len(batches) == 3)
        running.stop()
    assert [type(error) for error in errors[:3]] == [shardflow.CheckpointError, shardflow.InvalidError, TypeError]
    assert re.search("is not within", str(errors[0]))


def run(loop: str, work: object) -> None:
    """On asyncio's loop or on uvloop."""
    if loop == "uvloop":
        uvloop = pytest.importorskip("uvloop")
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)  # type: ignore[arg-type]
    else:
        asyncio.run(work)  # type: ignore[arg-type]


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_loop_of_asyncio_reads_all(kinesis: LocalKinesis, loop: str) -> None:
    data = fill(kinesis, 1000)

    async def work() -> None:
        for mode in ("manual", "on_next"):
            seen: list[bytes] = []
            async with AsyncConsumer("orders", mode, checkpoint=mode, **FAST, **kinesis.client) as consumer:  # type: ignore[arg-type]
                async for batch in consumer:
                    seen += batch.data()
                    if mode == "manual":
                        await batch.checkpoint()
                    if len(seen) >= 1000:
                        consumer.stop()
            assert sorted(seen) == sorted(data)
            kinesis.put("orders", b"more", "k")
            async with AsyncConsumer("orders", mode, **FAST, **kinesis.client) as consumer:
                async for batch in consumer:
                    assert batch.data() == [b"more"]
                    await batch.checkpoint()
                    consumer.stop()
            with pytest.raises(shardflow.ConsumerError):
                async for _ in AsyncConsumer("nothing", "nothing", **kinesis.client):
                    pass
            data.append(b"more")

    run(loop, work())


def test_handlers_of_asyncio_run_on_the_callers_loop(kinesis: LocalKinesis, loop: str) -> None:
    data = fill(kinesis, 1000)

    async def work() -> None:
        here = threading.get_ident()
        seen: list[bytes] = []
        calls: list[str] = []
        at_once: list[int] = [0, 0]
        consumer = AsyncConsumer("orders", "billing", **FAST, **kinesis.client)

        class Processor(AsyncRecordProcessor):
            async def initialize(self, shard: ShardInfo) -> None:
                calls.append("initialize")
                self.failed = False

            async def process_records(self, batch: Batch, checkpointer: AsyncCheckpointer) -> None:
                assert threading.get_ident() == here
                at_once[0] += 1
                at_once[1] = max(at_once)
                await asyncio.sleep(0.2)
                at_once[0] -= 1
                if not self.failed:
                    self.failed = True
                    raise LookupError
                seen.extend(batch.data())
                await checkpointer.checkpoint()
                if len(seen) >= 1000:
                    consumer.stop()

            async def shutdown_requested(self, checkpointer: AsyncCheckpointer) -> None:
                await checkpointer.checkpoint()
                calls.append("requested")

        await consumer.run(Processor, on_error=Retry(backoff=(0.01, 0.1)))
        assert sorted(seen) == sorted(data)
        assert sorted(calls) == ["initialize"] * 4 + ["requested"] * 4
        assert at_once[1] > 1, "different shards at the same time"

    run(loop, work())


def test_a_coroutine_function_and_dead_letters_of_asyncio(kinesis: LocalKinesis, loop: str) -> None:
    fill(kinesis, 100)

    async def work() -> None:
        seen: set[bytes] = set()
        letters: list[bytes] = []
        consumer = AsyncConsumer("orders", "billing", **FAST, **kinesis.client)

        def check() -> None:
            if len(seen) == 99 and letters:
                consumer.stop()

        async def handler(batch: Batch) -> None:
            if b"42" in batch.data():
                raise ValueError
            seen.update(batch.data())
            check()

        async def sink(letter: DeadLetter) -> None:
            await asyncio.sleep(0)
            letters.append(letter.record.data)
            check()

        await consumer.run(handler, on_error=Retry(2, then=sink, backoff=(0.001, 0.01)))
        assert letters == [b"42"]

        threads: set[int] = set()
        other = AsyncConsumer("orders", "threads", **FAST, **kinesis.client)

        def sync(batch: Batch) -> None:
            threads.add(threading.get_ident())
            if len(threads) == 4:
                other.stop()

        await other.run(sync)
        assert threading.get_ident() not in threads

    run(loop, work())


def test_cancelling_a_run_stops_its_worker_and_its_handlers(kinesis: LocalKinesis, loop: str) -> None:
    fill(kinesis, 100)
    ended: list[str] = []

    async def work() -> None:
        consumer = AsyncConsumer("orders", "billing", **FAST, **kinesis.client)
        began = asyncio.Event()

        async def handler(batch: Batch) -> None:
            began.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                ended.append(batch.shard_id)
                raise

        task = asyncio.create_task(consumer.run(handler, stop_within=0.1))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert consumer.health().state == "stopped"
        for _ in range(1000):
            if ended:
                break
            await asyncio.sleep(0.01)
        assert ended

    run(loop, work())
