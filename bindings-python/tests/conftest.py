"""What the tests share: a stream on a Kinesis of this process, and programs of their own."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable

import pytest

from shardflow import LocalKinesis

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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The counts in the words that `cargo xtask test` reads."""
    passed = len(terminalreporter.getreports("passed"))
    failed = len(terminalreporter.getreports("failed")) + len(terminalreporter.getreports("error"))
    terminalreporter.write_line(f"\n{passed} passed, {failed} failed")
