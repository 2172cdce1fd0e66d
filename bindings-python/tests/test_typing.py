"""The stubs: they say what is there, and programs check against them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

PROGRAM = '''
import shardflow

with shardflow.Producer("orders", linger=0.1, aggregation=1000, options={"RateLimit": "100"}) as producer:
    ticket: shardflow.Ticket = producer.put(b"x", "k")
    number: str = ticket.result(timeout=1).sequence_number
    receipts: list[shardflow.Receipt] = producer.put_many([("k", b"x"), b"y"]).result()

async def work() -> shardflow.Receipt:
    async with shardflow.AsyncProducer("orders") as producer:
        ticket = await producer.put(memoryview(b"x"))
        return await ticket

class Billing(shardflow.RecordProcessor):
    def process_records(self, batch: shardflow.Batch, checkpointer: shardflow.Checkpointer) -> None:
        data: list[bytes] = [record.data for record in batch]
        checkpointer.checkpoint(batch[-1])

with shardflow.Consumer("orders", "billing", start="LATEST") as consumer:
    for batch in consumer:
        view = memoryview(batch[0])
        batch.checkpoint()
shardflow.Consumer("orders", app="billing").run(Billing, on_error=shardflow.Retry(5, then="skip"))

async def consume() -> None:
    async with shardflow.AsyncConsumer(["orders", "refunds"], "billing", checkpoint="on_next") as consumer:
        async for batch in consumer:
            await batch.checkpoint()

    async def handler(batch: shardflow.Batch) -> None:
        print(len(batch))

    await shardflow.AsyncConsumer("orders", "billing").run(handler)
'''

WRONG = '''
import shardflow

producer = shardflow.Producer("orders", linger="soon")
producer.put("text", "k")
producer.put(b"x", 7)
shardflow.Consumer("orders", "billing", start="EARLIEST")
shardflow.Consumer("orders", "billing").run(7)
'''


def tool(name: str) -> list[str]:
    if importlib.util.find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return [sys.executable, "-m", name]


def check(command: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, timeout=600)


def test_the_stubs_say_what_is_there(tmp_path: Path) -> None:
    tool("mypy")
    options = ["--ignore-unused-allowlist", "--allowlist", str(HERE / "stubtest.txt")]
    command = [sys.executable, "-m", "mypy.stubtest", "shardflow", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["mypy", "pyright"])
def test_a_right_program_passes_and_a_wrong_one_does_not(name: str, tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(PROGRAM)
    (tmp_path / "wrong.py").write_text(WRONG)
    options = ["--strict"] if name == "mypy" else ["--pythonpath", sys.executable]
    right = check([*tool(name), *options, str(tmp_path / "right.py")])
    assert right.returncode == 0, right.stdout + right.stderr
    wrong = check([*tool(name), *options, str(tmp_path / "wrong.py")])
    assert wrong.returncode == 1
    assert wrong.stdout.count("error") >= 5, wrong.stdout


def test_the_package_itself_is_typed_strictly() -> None:
    done = check([*tool("mypy"), "--strict", "--package", "shardflow"])
    assert done.returncode == 0, done.stdout + done.stderr
