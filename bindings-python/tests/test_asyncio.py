"""The producer for asyncio."""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from collections.abc import Coroutine
from typing import Any

import pytest

import shardflow
from shardflow import AsyncProducer, LocalKinesis

LOOPS = ["asyncio"] + (["uvloop"] if importlib.util.find_spec("uvloop") else [])


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(loop: str, work: Coroutine[Any, Any, None]) -> None:
    if loop == "uvloop":
        import uvloop

        uvloop.run(asyncio.wait_for(work, 60))
    else:
        asyncio.run(asyncio.wait_for(work, 60))


def test_put_send_flush_and_close(kinesis: LocalKinesis, loop: str) -> None:
    async def work() -> None:
        async with AsyncProducer("orders", linger=0.01, **kinesis.client) as producer:
            ticket = await producer.put(b"1", "user-1")
            receipt = await ticket
            assert await ticket == receipt, "as often as one likes"
            assert (await producer.send(memoryview(b"2"), "user-1")).shard_id == receipt.shard_id
            tickets = await producer.put_many([("k", b"3"), b"4"])
            assert len(await tickets) == 2
            assert (await producer.stats()).buffered_records == 0
            late = await producer.put(b"5", "k")
            await producer.flush()
            assert late.done()
            await producer.put(b"6", "k")
        with pytest.raises(shardflow.ClosedError):
            await producer.put(b"7", "k")

    run(loop, work())
    assert sorted(stored.data for stored in kinesis.records("orders")) == [b"1", b"2", b"3", b"4", b"5", b"6"]


def test_ten_thousand_tickets_are_awaited_one_by_one_and_together(kinesis: LocalKinesis, loop: str) -> None:
    async def work() -> None:
        async with AsyncProducer("orders", linger=0.01, rate_limit=1_000_000, **kinesis.client) as producer:
            tickets = [await producer.put(b"x", f"user-{n}") for n in range(10_000)]
            receipts = [await ticket for ticket in tickets]
            assert len({(r.sequence_number, r.sub_sequence_number) for r in receipts}) == 10_000
            tickets = [await producer.put(b"x", f"user-{n}") for n in range(1_000)]
            assert len(await asyncio.gather(*tickets)) == 1_000

    run(loop, work())
    assert len(kinesis.records("orders")) == 11_000


def test_many_tasks_await_one_ticket(kinesis: LocalKinesis, loop: str) -> None:
    kinesis.fail("PutRecords", {"delay": {"seconds": 0.1}}, times=1)

    async def work() -> None:
        async with AsyncProducer("orders", linger=0, **kinesis.client) as producer:
            ticket = await producer.put(b"x", "k")

            async def wait() -> shardflow.Receipt:
                return await ticket

            receipts = await asyncio.gather(*(wait() for _ in range(20)))
            assert len(set(receipts)) == 1

    run(loop, work())


def test_a_failure_is_raised_where_it_is_awaited(kinesis: LocalKinesis, loop: str) -> None:
    denied = {"refuse": {"code": "AccessDeniedException", "status": 400}}

    async def work() -> None:
        producer = AsyncProducer("orders", linger=0, **kinesis.client)
        kinesis.fail("PutRecords", denied)
        ticket = await producer.put(b"x", "k")
        with pytest.raises(shardflow.RefusedError):
            await ticket
        with pytest.raises(shardflow.RefusedError):
            await producer.send(b"x", "k")
        tickets = await producer.put_many([("k", b"1"), ("k", b"2")])
        with pytest.raises(shardflow.RefusedError):
            await tickets
        assert [type(outcome) for outcome in tickets.outcomes()] == [shardflow.RefusedError] * 2
        with pytest.raises(shardflow.FlushError):
            await producer.flush()
        with pytest.raises(shardflow.RecordTooLargeError):
            await producer.put(b"x" * (11 << 20), "k")
        kinesis.clear()
        await producer.close()

    run(loop, work())


def test_a_wait_that_is_cancelled_only_stops_waiting(kinesis: LocalKinesis, loop: str) -> None:
    kinesis.fail("PutRecords", {"delay": {"seconds": 0.3}}, times=1)

    async def work() -> None:
        async with AsyncProducer("orders", linger=0, **kinesis.client) as producer:
            ticket = await producer.put(b"x", "k")
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(0.01):
                    await ticket
            assert (await ticket).attempts == 1

    run(loop, work())


def test_a_put_without_room_waits_and_can_be_cancelled(kinesis: LocalKinesis, loop: str) -> None:
    kinesis.fail("PutRecords", {"delay": {"seconds": 0.3}})
    big = b"x" * 300_000

    async def work() -> None:
        async with AsyncProducer("orders", linger=0, max_buffered_bytes=1 << 20, **kinesis.client) as producer:
            held = [await producer.put(big, "a") for _ in range(3)]
            with pytest.raises(asyncio.TimeoutError):
                async with asyncio.timeout(0.01):
                    await producer.put(b"cancelled" + big, "b")
            ticket = await producer.put(b"waited" + big, "c")
            assert any(ticket.done() for ticket in held)
            await ticket
            assert len(await (await producer.put_many([("d", big)] * 6))) == 6

    run(loop, work())
    starts = {stored.data[:9] for stored in kinesis.records("orders")}
    assert b"cancelled" not in starts
    assert len(kinesis.records("orders")) == 10


def test_a_loop_of_puts_lets_others_run(kinesis: LocalKinesis, loop: str) -> None:
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def work() -> None:
        async with AsyncProducer("orders", linger=1, rate_limit=1_000_000, **kinesis.client) as producer:
            task = asyncio.create_task(other())
            await asyncio.sleep(0)
            before = turns
            until = time.monotonic() + 0.2
            while time.monotonic() < until:
                await producer.put(b"x", "k")
            assert turns - before >= 10
            task.cancel()

    run(loop, work())


def test_loops_in_several_threads_share_a_producer(kinesis: LocalKinesis, loop: str) -> None:
    producer = AsyncProducer("orders", linger=0.01, rate_limit=1_000_000, **kinesis.client)
    errors: list[BaseException] = []

    def thread() -> None:
        async def work() -> None:
            for n in range(200):
                ticket = await producer.put(b"x", str(n))
                if n % 20 == 0:
                    await ticket
            await producer.flush()

        try:
            run(loop, work())
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert not errors
    asyncio.run(close(producer))
    assert len(kinesis.records("orders")) == 800


async def close(producer: AsyncProducer) -> None:
    await producer.close()


def test_a_loop_that_ends_with_tickets_awaited_does_no_harm(kinesis: LocalKinesis) -> None:
    kinesis.fail("PutRecords", {"delay": {"seconds": 0.2}}, times=1)
    producer = AsyncProducer("orders", linger=0, **kinesis.client)

    async def work() -> None:
        ticket = await producer.put(b"x", "k")

        async def wait() -> None:
            await ticket

        asyncio.get_running_loop().create_task(wait())
        await asyncio.sleep(0)

    asyncio.run(work())
    asyncio.run(close(producer))
    assert len(kinesis.records("orders")) == 1
