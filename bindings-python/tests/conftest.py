"""What the tests share: a stream on a Kinesis of this process, and programs of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from collections.abc import Callable

import pytest

from shardflow import LocalKinesis, Producer

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def kinesis(kinesis_local: LocalKinesis) -> LocalKinesis:
    """With a stream `orders` of four shards."""
    kinesis_local.create_stream("orders", shards=4)
    return kinesis_local


@pytest.fixture
def run(kinesis: LocalKinesis) -> Run:
    """Runs a program in a process of its own: `URL` is the service, `CLIENT` what leads a producer there."""

    def program(text: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        head = f"URL = {kinesis.endpoint_url!r}\nCLIENT = {dict(kinesis.client)!r}\n"
        return subprocess.run(
            [sys.executable, "-c", head + textwrap.dedent(text)],
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return program


def eventually(holds: Callable[[], object], seconds: float = 60) -> None:
    """Waits until something holds; the time is for a machine that is busy."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it does not come true"
        time.sleep(0.01)


def fill(kinesis: LocalKinesis, count: int, stream: str = "orders") -> list[bytes]:
    """Puts so many records, numbered, each under a key of its own."""
    data = [b"%d" % number for number in range(count)]
    with Producer(stream, rate_limit=1_000_000, **kinesis.client) as producer:
        producer.put_many([(str(number), one) for number, one in enumerate(data)]).result(timeout=60)
    return data


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The counts in the words that `cargo xtask test` reads."""
    passed = len(terminalreporter.getreports("passed"))
    failed = len(terminalreporter.getreports("failed")) + len(terminalreporter.getreports("error"))
    terminalreporter.write_line(f"\n{passed} passed, {failed} failed")
