"""How the consumer behaves in a process: signals, exit, forks, other processes, many shards, memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import shardflow
from conftest import Run, eventually, fill
from shardflow import Batch, Consumer, LocalKinesis

FAST = {"idle_time_between_reads": 0.05}

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
needs_signals = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")


def start(kinesis: LocalKinesis, text: str) -> subprocess.Popen[str]:
    """A program that prints `ready` when it is."""
    head = f"import asyncio, sys, time, threading, shardflow\nCLIENT = {dict(kinesis.client)!r}\n"
    program = head + textwrap.dedent(text)
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program], stdout=pipe, stderr=pipe, text=True)


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline()


def unowned(kinesis: LocalKinesis, app: str) -> bool:
    """Whether the leases of an application have no owner."""
    boto3 = pytest.importorskip("boto3")
    options = {"endpoint_url": kinesis.endpoint_url, "region_name": "us-east-1"}
    session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b")
    items = session.client("dynamodb", **options).scan(TableName=app)["Items"]
    leases = [item for item in items if item["leaseKey"]["S"].startswith("shardId-")]
    assert leases
    return all("leaseOwner" not in lease for lease in leases)


RUNS = {
    "function": """
        def handler(batch):
            print("ready", flush=True)
        shardflow.Consumer("orders", "billing", idle_time_between_reads=0.05, **CLIENT).run(handler)
        print("ended", flush=True)
    """,
    "coroutine": """
        async def handler(batch):
            print("ready", flush=True)
        async def main():
            await shardflow.AsyncConsumer("orders", "billing", idle_time_between_reads=0.05, **CLIENT).run(handler)
        asyncio.run(main())
        print("ended", flush=True)
    """,
}


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("kind", list(RUNS))
def test_a_signal_ends_a_run_and_leaves_its_leases(kinesis: LocalKinesis, kind: str, number: signal.Signals) -> None:
    fill(kinesis, 100)
    child = start(kinesis, RUNS[kind])
    assert line(child) == "ready\n"
    child.send_signal(number)
    output, errors = child.communicate(timeout=60)
    assert (child.returncode, errors) == (0, "")
    assert output.endswith("ended\n")
    assert unowned(kinesis, "billing")


BUSY = {
    "sleeps": ("time.sleep(600)", ""),
    "computes": ("while True: pass", ""),
    "awaits": ("await asyncio.sleep(600)", "async "),
}


@needs_signals
@pytest.mark.parametrize("kind", list(BUSY))
def test_a_handler_that_does_not_return_holds_nobody_up(kinesis: LocalKinesis, kind: str) -> None:
    fill(kinesis, 100)
    statement, is_async = BUSY[kind]
    run = "asyncio.run(consumer.run(handler))" if is_async else "consumer.run(handler)"
    child = start(
        kinesis,
        f"""
        {is_async}def handler(batch):
            print("ready", flush=True)
            {statement}
        consumer = shardflow.{"Async" if is_async else ""}Consumer("orders", "billing", **CLIENT)
        {run}
        print("ended", flush=True)
        """,
    )
    assert line(child) == "ready\n"
    child.send_signal(signal.SIGTERM)
    before = time.monotonic()
    output, errors = child.communicate(timeout=60)
    took = time.monotonic() - before
    assert child.returncode == 0, errors
    assert output.endswith("ended\n")
    # Two seconds for handlers and half a failover time for last words; the rest is for a machine that is busy.
    assert took < 15


@needs_signals
def test_ctrl_c_ends_a_loop_and_leaves_its_leases(kinesis: LocalKinesis) -> None:
    fill(kinesis, 100)
    child = start(
        kinesis,
        """
        with shardflow.Consumer("orders", "billing", idle_time_between_reads=0.05, **CLIENT) as consumer:
            for batch in consumer:
                batch.checkpoint()
                print("ready", flush=True)
        """,
    )
    assert line(child) == "ready\n"
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert unowned(kinesis, "billing")


def test_a_consumer_that_is_not_closed_leaves_its_leases_at_exit(kinesis: LocalKinesis, run: Run) -> None:
    fill(kinesis, 100)
    done = run("""
        import shardflow, threading
        consumer = shardflow.Consumer("orders", "billing", idle_time_between_reads=0.05, **CLIENT)
        next(iter(consumer)).checkpoint()
        other = shardflow.Consumer("orders", "other", idle_time_between_reads=0.05, **CLIENT)
        began = threading.Event()
        threading.Thread(target=other.run, args=(lambda batch: began.set(),), daemon=True).start()
        assert began.wait(60)
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert unowned(kinesis, "billing") and unowned(kinesis, "other")


def test_a_consumer_that_is_let_go_leaves_its_leases(kinesis: LocalKinesis) -> None:
    fill(kinesis, 10)
    next(iter(Consumer("orders", "billing", **FAST, **kinesis.client))).done()
    eventually(lambda: unowned(kinesis, "billing"))


@needs_fork
def test_a_forked_child_is_told_at_once_and_can_begin_anew(kinesis: LocalKinesis, run: Run) -> None:
    fill(kinesis, 100)
    done = run("""
        import gc, os, sys, shardflow

        consumer = shardflow.Consumer("orders", "parent", idle_time_between_reads=0.05, **CLIENT)
        batch = next(iter(consumer))
        child = os.fork()
        if child == 0:
            refused = 0
            for call in (
                lambda: next(iter(consumer)), lambda: consumer.run(print), consumer.stop, consumer.close,
                consumer.health, batch.checkpoint, batch.done,
            ):
                try:
                    call()
                except shardflow.ForkedError as error:
                    refused += 1
            assert refused == 7, refused
            seen = 0
            with shardflow.Consumer("orders", "child", idle_time_between_reads=0.05, **CLIENT) as mine:
                for one in mine:
                    seen += len(one)
                    one.checkpoint()
                    if seen >= 100:
                        mine.stop()
            del consumer, batch, one
            gc.collect()
            sys.exit(7)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status
        batch.checkpoint()
        consumer.close()
    """)
    assert (done.returncode, done.stderr) == (0, "")


@needs_fork
def test_a_checkpointer_of_the_parent_is_refused_in_the_child(kinesis: LocalKinesis, run: Run) -> None:
    fill(kinesis, 100)
    done = run("""
        import gc, os, threading, time, shardflow

        kept = []
        class Keeps(shardflow.RecordProcessor):
            def process_records(self, batch, checkpointer):
                kept.append(checkpointer)
        consumer = shardflow.Consumer("orders", "billing", idle_time_between_reads=0.05, **CLIENT)
        thread = threading.Thread(target=consumer.run, args=(Keeps,))
        thread.start()
        while len(kept) < 4:
            time.sleep(0.01)
        child = os.fork()
        if child == 0:
            try:
                kept[0].checkpoint()
            except shardflow.ForkedError:
                kept.clear()
                gc.collect()
                os._exit(7)
            os._exit(1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status
        kept[0].checkpoint()
        consumer.stop()
        thread.join()
    """)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_process_that_is_killed_costs_no_record(kinesis: LocalKinesis) -> None:
    data = fill(kinesis, 2000)
    child = start(
        kinesis,
        """
        consumer = shardflow.Consumer(
            "orders", "billing", failover_time=1, max_records=1, idle_time_between_reads=0.05, **CLIENT
        )
        def handler(batch):
            print(" ".join(one.decode() for one in batch.data()), flush=True)
        threading.Thread(target=consumer.run, args=(handler,), daemon=True).start()
        while consumer.health().leases < 2:
            time.sleep(0.01)
        print("ready", flush=True)
        time.sleep(600)
        """,
    )
    seen: set[bytes] = set()
    consumer = Consumer("orders", "billing", failover_time=1, max_records=1, **FAST, **kinesis.client)

    def handler(batch: Batch) -> None:
        seen.update(batch.data())

    thread = threading.Thread(target=consumer.run, args=(handler,))
    thread.start()
    try:
        theirs: set[bytes] = set()
        while (text := line(child)) != "ready\n":
            theirs.update(text.encode().split())
        data += [b"late %d" % number for number in range(100)]
        for number in range(100):
            kinesis.put("orders", b"late %d" % number, f"late {number}")
        child.kill()
        output, _ = child.communicate(timeout=60)
        late = {f"late {part}".encode() for text in output.splitlines() for part in text.split("late ")[1:]}
        theirs.update(one.strip() for one in late)
        theirs.update(output.encode().split())
        eventually(lambda: consumer.health().leases == 4, 120)
        eventually(lambda: set(data) <= seen | theirs, 120)
    finally:
        child.kill()
        consumer.stop()
        thread.join(60)


def test_sixty_four_shards_are_consumed_by_one_process(kinesis_local: LocalKinesis) -> None:
    kinesis_local.create_stream("orders", shards=64)
    data = fill(kinesis_local, 5000)
    seen: list[bytes] = []
    shards: set[str] = set()

    def handler(batch: Batch) -> None:
        seen.extend(batch.data())
        shards.add(batch.shard_id)

    consumer = Consumer("orders", "billing", **FAST, **kinesis_local.client)
    thread = threading.Thread(target=consumer.run, args=(handler,))
    thread.start()
    eventually(lambda: len(seen) >= 5000, 120)
    consumer.stop()
    thread.join(60)
    assert sorted(seen) == sorted(data)
    assert len(shards) == 64


def test_memory_stays_flat(kinesis: LocalKinesis) -> None:
    """Fifty times the same 20,000 records, each an object: a million."""
    resource = pytest.importorskip("resource")
    fill(kinesis, 20_000)
    peaks = []
    for number in range(50):
        count = 0
        with Consumer("orders", f"app-{number}", **FAST, **kinesis.client) as consumer:
            for batch in consumer:
                count += sum(len(record.data) > 0 for record in batch)
                batch.done()
                if count >= 20_000:
                    consumer.stop()
        assert count == 20_000
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    assert peaks[-1] - peaks[10] < 30_000, "kilobytes; each application has a lease table in this process"


def test_a_loop_that_forgets_to_acknowledge_is_not_silent_in_health(kinesis: LocalKinesis) -> None:
    kinesis.create_stream("one")
    kinesis.put("one", b"x", "k")
    with Consumer("one", "billing", unhealthy_after=0.05, **FAST, **kinesis.client) as consumer:
        batch = next(iter(consumer))
        eventually(lambda: not consumer.health().is_healthy)
        assert "has not returned" in consumer.health().problems[0]
        batch.checkpoint()
        eventually(lambda: consumer.health().is_healthy)


def test_names_of_the_package_are_there() -> None:
    for name in shardflow.__all__:
        assert hasattr(shardflow, name)
