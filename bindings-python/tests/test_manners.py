"""How the package behaves in a process: exit, Ctrl-C, forks, logging, sessions."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time

import pytest

import shardflow
from conftest import Run
from shardflow import LocalKinesis, Producer

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


def test_what_is_accepted_is_sent_at_exit(kinesis: LocalKinesis, run: Run) -> None:
    # So long that what the interpreter does besides when it ends is not enough.
    kinesis.fail("PutRecords", {"delay": {"seconds": 0.5}})
    done = run("""
        import shardflow
        kept = shardflow.Producer("orders", linger=60, **CLIENT)
        kept.put_many([("k", b"x")] * 1000)
        shardflow.Producer("orders", linger=60, **CLIENT).put(b"of one that is gone", "k")
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(kinesis.records("orders")) == 1_001


def test_a_producer_that_is_let_go_sends_what_it_holds(kinesis: LocalKinesis) -> None:
    Producer("orders", linger=60, **kinesis.client).put(b"x", "k")
    deadline = time.monotonic() + 30
    while not kinesis.records("orders") and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(kinesis.records("orders")) == 1


def test_exit_waits_no_longer_than_it_may_and_tells_what_is_lost(kinesis: LocalKinesis, run: Run) -> None:
    kinesis.fail("PutRecords", "hang")
    before = time.monotonic()
    done = run("""
        import shardflow
        producer = shardflow.Producer(
            "orders", linger=0, exit_timeout=0.5, on_failure=lambda e: print(type(e).__name__), **CLIENT
        )
        producer.put(b"x", "k")
    """)
    assert done.returncode == 0
    assert done.stdout == "AbandonedError\n"
    assert "given up with the producer" in done.stderr, "the log's last resort"
    assert time.monotonic() - before < 20


@pytest.mark.parametrize(
    "wait",
    [
        "producer.put(b'x', 'k').result()",
        "producer.put_many([('k', b'x')]).result()",
        "producer.send(b'x', 'k')",
        "producer.put(b'x', 'k'); producer.flush()",
        "[producer.put(b'x' * 300_000, 'k') for _ in range(9)]",
        "asyncio.run(sends())",
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_ctrl_c_ends_a_wait(kinesis: LocalKinesis, wait: str) -> None:
    kinesis.fail("PutRecords", "hang")
    program = f"""
import asyncio, sys, time, shardflow
async def sends():
    async with shardflow.AsyncProducer("orders", linger=0, **CLIENT) as producer:
        await producer.send(b"x", "k")
CLIENT = {dict(kinesis.client)!r}
producer = shardflow.Producer("orders", linger=0, max_buffered_bytes=1 << 20, **CLIENT)
print("ready", flush=True)
try:
    {wait}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    raise
"""
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 30
    while not any(call["operation"] == "PutRecords" for call in kinesis.calls()) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGINT)
    before = time.monotonic()
    output, errors = child.communicate(timeout=60)
    took = time.monotonic() - before
    assert output == "interrupted\n", errors
    assert "KeyboardInterrupt" in errors
    # A wait ends within a tenth of a second, what is held has three seconds more; the rest is for a machine that is busy.
    assert took < 15


@needs_fork
def test_a_forked_child_is_told_at_once_and_can_begin_anew(kinesis: LocalKinesis, run: Run) -> None:
    done = run("""
        import asyncio, gc, os, sys, shardflow

        producer = shardflow.Producer("orders", linger=60, **CLIENT)
        ticket = producer.put(b"of the parent", "k")
        tickets = producer.put_many([b"of the parent"])
        other = shardflow.AsyncProducer("orders", **CLIENT)
        child = os.fork()
        if child == 0:
            refused = 0
            for call in (
                lambda: producer.put(b"x", "k"), producer.flush, producer.close, producer.stats, ticket.result,
                ticket.done, tickets.result, lambda: len(tickets), lambda: other.put(b"x"), lambda: other.send(b"x"),
            ):
                try:
                    call()
                except shardflow.ForkedError as error:
                    assert "make a new one" in str(error)
                    refused += 1
            assert refused == 10, refused
            with shardflow.Producer("orders", linger=0, **CLIENT) as mine:
                mine.put(b"of the child", "k").result(timeout=20)
            async def sends():
                async with shardflow.AsyncProducer("orders", linger=0, **CLIENT) as mine:
                    await mine.send(b"of the child", "k")
            asyncio.run(sends())
            left = shardflow.Producer("orders", linger=60, **CLIENT)
            left.put(b"of the child", "k")
            del producer, ticket, tickets, other
            gc.collect()
            sys.exit(7)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 7, status
        producer.put(b"of the parent", "k")
        producer.close(timeout=20)
        assert ticket.done() and tickets.done()
    """)
    assert (done.returncode, done.stderr) == (0, "")
    stored = [record.data for record in kinesis.records("orders")]
    assert (stored.count(b"of the parent"), stored.count(b"of the child")) == (3, 3)


@needs_fork
def test_children_of_children_that_fork_while_records_fly(kinesis: LocalKinesis, run: Run) -> None:
    """As gunicorn's workers do that are forked from an application that was loaded before."""
    done = run("""
        import os, sys, shardflow

        def generation(depth):
            producer = shardflow.Producer("orders", linger=0, **CLIENT)
            for n in range(300):
                producer.put(b"x", str(n))
                if n % 100 == 50 and depth < 2:
                    if (child := os.fork()) == 0:
                        generation(depth + 1)
                        sys.exit(0)
                    assert os.waitpid(child, 0)[1] == 0
            producer.close(timeout=30)

        generation(0)
    """, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    # One program, three children, nine of theirs.
    assert len(kinesis.records("orders")) == 13 * 300


@needs_fork
def test_a_child_of_multiprocessing_sends_what_it_holds(kinesis: LocalKinesis, run: Run) -> None:
    done = run("""
        import multiprocessing, shardflow

        def work():
            producer = shardflow.Producer("orders", linger=60, **CLIENT)
            producer.put(b"x", "k")
            globals()["kept"] = producer

        before = shardflow.Producer("orders", linger=60, **CLIENT)
        before.put(b"x", "k")
        children = [multiprocessing.get_context("fork").Process(target=work) for _ in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
            assert child.exitcode == 0
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(kinesis.records("orders")) == 4


def test_the_log_goes_to_pythons_loggers_once_at_its_level(kinesis: LocalKinesis, run: Run) -> None:
    kinesis.fail("PutRecords", {"refuse": {"code": "AccessDeniedException", "status": 400}}, times=1)
    done = run("""
        import logging, shardflow

        class Kept(logging.Handler):
            records = []
            def emit(self, record):
                self.records.append(record)

        logging.getLogger().addHandler(Kept())
        logging.getLogger("shardflow").setLevel(logging.DEBUG)
        producer = shardflow.Producer("orders", linger=0, **CLIENT)
        producer.put(b"x", "the-key")
        try:
            producer.flush()
        except shardflow.FlushError:
            pass
        producer.close()
        import time
        until = time.monotonic() + 20
        def lost():
            return [record for record in Kept.records if "was not delivered" in record.getMessage()]
        while not lost() and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)
        for record in lost():
            print(record.levelname, record.name, record.getMessage(), record.filename)
        assert all(record.name.startswith("shardflow") for record in Kept.records), Kept.records
    """)
    assert done.stderr == ""
    [line] = done.stdout.splitlines()
    assert line.startswith("WARNING shardflow a record was not delivered ")
    assert "AccessDeniedException" in line
    assert "partition_key=the-key" in line
    assert line.endswith("config.rs")


def test_a_handler_that_logs_and_puts_does_not_deadlock(kinesis: LocalKinesis) -> None:
    """A handler of the log is called on a thread of its own, never where a record is put or settled."""
    kinesis.fail("PutRecords", {"refuse": {"code": "AccessDeniedException", "status": 400}}, times=1)
    receipts: list[shardflow.Receipt] = []
    producer = Producer("orders", linger=0, **kinesis.client)

    class Puts(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            receipts.append(producer.send(record.getMessage().encode(), "log", timeout=20))

    handler = Puts()
    logging.getLogger("shardflow").addHandler(handler)
    try:
        producer.put(b"x", "k")
        deadline = time.monotonic() + 30
        while not receipts and time.monotonic() < deadline:
            time.sleep(0.01)
        assert receipts
    finally:
        logging.getLogger("shardflow").removeHandler(handler)
    with pytest.raises(shardflow.FlushError):
        producer.close()


class Renewing:
    """Credentials as botocore's that are renewed: short-lived, so that they are asked for each time."""

    def __init__(self) -> None:
        self.asked = 0
        self.access_key, self.secret_key, self.token = "A", "S", "T"

    @property
    def _expiry_time(self) -> object:
        import datetime

        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=1)

    def get_frozen_credentials(self) -> Renewing:
        self.asked += 1
        return self


class Session:
    """As boto3's."""

    region_name = "eu-central-1"

    def __init__(self, credentials: object) -> None:
        self.credentials = credentials

    def get_credentials(self) -> object:
        return self.credentials


def test_a_session_is_asked_again_before_its_credentials_expire(kinesis: LocalKinesis) -> None:
    credentials = Renewing()
    with LocalKinesis(region="eu-central-1") as there:
        there.create_stream("orders")
        with Producer("orders", linger=0, endpoint_url=there.endpoint_url, session=Session(credentials)) as producer:
            for n in range(3):
                producer.send(b"%d" % n, "k", timeout=20)
        assert len(there.records("orders")) == 3
        assert {call["region"] for call in there.calls()} == {"eu-central-1"}
    assert credentials.asked >= 3


def test_a_session_without_credentials_says_so(kinesis: LocalKinesis) -> None:
    with pytest.raises(shardflow.ConfigError, match="one that finds credentials"):
        Producer("orders", session=Session(None))


def test_a_session_of_boto3_will_do(kinesis: LocalKinesis, monkeypatch: pytest.MonkeyPatch) -> None:
    boto3 = pytest.importorskip("boto3")
    session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
    for one in (session, session._session):
        with Producer("orders", linger=0, endpoint_url=kinesis.endpoint_url, session=one) as producer:
            producer.send(b"x", "k", timeout=20)
    client = session.client("kinesis", endpoint_url=kinesis.endpoint_url)
    assert client.list_streams()["StreamNames"] == ["orders"]
    assert len(kinesis.records("orders")) == 2


def test_region_and_credentials_are_found_in_the_environment(
    kinesis: LocalKinesis, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", f"{tmp_path}/none")
    with pytest.raises(shardflow.ConfigError, match="AWS_REGION"):
        Producer("orders", endpoint_url=kinesis.endpoint_url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with Producer("orders", linger=0, endpoint_url=kinesis.endpoint_url) as producer:
        producer.send(b"x", "k", timeout=20)
