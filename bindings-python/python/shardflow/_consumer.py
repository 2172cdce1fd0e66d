"""The consumers: a worker's batches for a loop, or a worker that calls handlers."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from ._handlers import AsyncHandler, Factory, Handler, Retry, factory, policy
from ._native import AsyncDelivery, Delivery, Worker
from .health import Health

if TYPE_CHECKING:
    from ._native import _Credentials as Credentials
    from ._native import _Session as Session

__all__ = ["AsyncConsumer", "Consumer"]

_INTERRUPTED = 2.0
"""Seconds that handlers have left after Ctrl-C: with the worker's own last words, it is over in five."""


class _Consumer:
    """What both have in common."""

    def __init__(
        self,
        streams: str | Iterable[str],
        app: str,
        *,
        start: Literal["TRIM_HORIZON", "LATEST"] | datetime | None = None,
        checkpoint: Literal["manual", "on_next"] | None = None,
        retrieval: Literal["polling", "fan_out", "auto"] | None = None,
        fan_out_consumer: str | None = None,
        failover_time: float | None = None,
        idle_time_between_reads: float | None = None,
        max_buffered_bytes: int | None = None,
        max_leases: int | None = None,
        max_records: int | None = None,
        read_ahead: int | None = None,
        worker_id: str | None = None,
        request_timeout: float | None = None,
        start_within: float | None = None,
        unhealthy_after: float | None = None,
        warn_after: float | None = None,
        exit_timeout: float | None = None,
        options: Mapping[str, str] | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        dynamodb_endpoint_url: str | None = None,
        credentials: tuple[str, str] | tuple[str, str, str] | Credentials | None = None,
        session: Session | None = None,
    ) -> None:
        """A consumer of a stream, or of several, by name or ARN. Asks nothing of a network: the first batch does.

        `app` is the application, whose lease table has its name: workers of one application share the shards. None is the
        default of each keyword argument. Times are seconds, sizes bytes. The KCL's names stand in brackets.

        - `start`: where a stream begins that the application has never read: "TRIM_HORIZON", the oldest record;
          "LATEST"; a datetime with a time zone. (initialPositionInStream)
        - `checkpoint`: "manual", by `checkpoint()` of each batch; "on_next", when the loop asks for the next one.
        - `retrieval`: "polling"; "fan_out", which registers a consumer that costs money; "auto", by fan-out if its
          consumer is there. `fan_out_consumer` is its name or ARN, the application's by default.
        - `failover_time`: how long a lease lasts that is not renewed; 10. The same for all workers. (failoverTimeMillis)
        - `idle_time_between_reads`: of a shard that is read to its end; 1. (idleTimeBetweenReadsInMillis)
        - `max_buffered_bytes`: memory for records that were read and are not processed, of all shards; 64 MiB.
        - `max_leases`: most leases of this worker; no limit. (maxLeasesForWorker)
        - `max_records`: of one read, 1 to 10,000; 10,000. (maxRecords)
        - `read_ahead`: batches of a shard that are read before its handler gets to them; 4.
          (maxPendingProcessRecordsInput)
        - `worker_id`: unlike every other running worker's; host, process and a random number. (workerIdentifier)
        - `request_timeout`: of a call to Kinesis; 30. `start_within`: until the lease table is there; 60.
        - `unhealthy_after`: without progress, before `health()` tells of it; 60. `warn_after`: how long a call of a
          handler may take before the log tells; never. (logWarningForTaskAfterMillis)
        - `exit_timeout`: how long handlers may go on when the context manager is left or the process ends; 30. After
          Ctrl-C it is 2 at most.
        - `options`: the KCL's options by name, `{"failoverTimeMillis": "20000"}`. A keyword argument wins.
        - `region`, `endpoint_url`, `credentials`, `session`: as with `Producer`. `dynamodb_endpoint_url` where the lease
          table is elsewhere.

        Raises ConfigError, and InvalidError for names.
        """
        given = {name: value for name, value in locals().items() if name not in ("self", "streams", "app")}
        if not isinstance(streams, str):
            streams = list(streams)
        self._worker = Worker(streams, app, given)

    @property
    def streams(self) -> list[str]:
        """What it reads, as it was given."""
        return self._worker.streams

    @property
    def app(self) -> str:
        """The application."""
        return self._worker.app

    def health(self) -> Health:
        """How it stands. Asks nobody and waits for nothing."""
        return self._worker.health()

    def stop(self) -> None:
        """Stops it, from any thread or a signal's handler: batches in hand and handlers come to their end as long as they
        take, then leases go to others, and the loop or `run` ends."""
        self._worker.stop()

    def _patience(self, kind: type[BaseException] | None) -> float:
        cancelled = kind is not None and issubclass(kind, (KeyboardInterrupt, asyncio.CancelledError))
        return min(self._worker.exit_timeout, _INTERRUPTED) if cancelled else self._worker.exit_timeout

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.app!r}, reading {', '.join(self.streams)}>"


class Consumer(_Consumer):
    """Reads streams with as many workers as there are, for threads and scripts: as a loop, or by handlers.

    >>> with Consumer("orders", app="billing") as consumer:          # doctest: +SKIP
    ...     for batch in consumer:                                   # ends after stop(), never because it is idle
    ...         for record in batch:
    ...             print(record.partition_key, record.data)
    ...         batch.checkpoint()

    A loop has one batch of each shard at a time: the shard's next one comes when it is acknowledged, by `checkpoint()` or
    `done()`. Several threads can have loops of one consumer. One that is dropped comes again. Leaving the block stops the
    worker and leaves its leases to others; what is not acknowledged then is theirs.
    """

    def __iter__(self) -> Iterator[Delivery]:
        last: Delivery | None = None
        while (batch := self._worker.next(last)) is not None:
            yield batch
            # One that the loop has dropped comes again: it must not be held here meanwhile.
            last = batch if self._worker.checkpoint_on_next else None
            del batch

    def run(
        self,
        handler: Handler,
        *,
        on_error: Retry | None = None,
        stop_within: float = _INTERRUPTED,
        handle_signals: bool = True,
    ) -> None:
        """Runs handlers until it is stopped: by `stop()`, and by Ctrl-C or SIGTERM if this is the main thread.

        `handler` is a class of RecordProcessor, of which each shard gets an object of its own; or a function of a batch,
        which is checkpointed when it returns. Calls for one shard come one after another on a thread of its own; those for
        different shards at the same time. One that raises gets the same batch again, and is in the log with its
        traceback; `on_error` says what comes after that.

        A signal lets handlers finish for `stop_within` seconds, then leases go to others and `run` returns. A second
        one raises KeyboardInterrupt. Raises ConsumerError when the worker cannot start.
        """
        make, is_async = factory(handler)
        if is_async:
            raise TypeError("a handler of Consumer must not be a coroutine: AsyncConsumer takes those")
        self._run(make, on_error, stop_within, handle_signals)

    def _run(
        self, make: Factory, on_error: Retry | None, stop_within: float, handle_signals: bool = True
    ) -> None:
        self._worker.run(make, policy(on_error, False), False)
        with _signals(self._worker, stop_within) if handle_signals else contextlib.nullcontext():
            try:
                self._worker.wait()
            except BaseException:
                self._worker.close(min(stop_within, _INTERRUPTED))
                raise
            self._worker.close(0)

    def close(self, timeout: float | None = 30.0) -> None:
        """Stops it, waits for handlers for so long, and leaves its leases to others."""
        self._worker.close(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        raised: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None:
        self._worker.close(self._patience(kind))


class AsyncConsumer(_Consumer):
    """Reads streams for asyncio. All but the waiting is as with `Consumer`.

    >>> async with AsyncConsumer("orders", app="billing") as consumer:          # doctest: +SKIP
    ...     async for batch in consumer:
    ...         await handle(batch)
    ...         await batch.checkpoint()
    """

    def __aiter__(self) -> _AsyncBatches:
        return _AsyncBatches(self._worker)

    async def run(
        self,
        handler: AsyncHandler,
        *,
        on_error: Retry | None = None,
        stop_within: float = _INTERRUPTED,
        handle_signals: bool = True,
    ) -> None:
        """As `Consumer.run`. Coroutine functions and classes of AsyncRecordProcessor are awaited on this loop; others are
        called on threads of their shards'. Cancelling it stops the worker within `stop_within` seconds."""
        make, is_async = factory(handler)
        self._worker.run(make, policy(on_error, is_async), is_async)
        with _loop_signals(self._worker, stop_within) if handle_signals else contextlib.nullcontext():
            try:
                await self._worker.wait_async()
            except BaseException:
                await self._worker.close_async(min(stop_within, _INTERRUPTED))
                raise
            await self._worker.close_async(0)

    async def close(self, timeout: float | None = 30.0) -> None:
        """Stops it, waits for handlers for so long, and leaves its leases to others."""
        await self._worker.close_async(timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        raised: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None:
        await self._worker.close_async(self._patience(kind))


class _AsyncBatches:
    """A loop's place in an `AsyncConsumer`."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._last: AsyncDelivery | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncDelivery:
        last, self._last = self._last, None
        batch = await self._worker.next_async(last)
        if batch is None:
            raise StopAsyncIteration
        if self._worker.checkpoint_on_next:
            self._last = batch
        return batch


@contextlib.contextmanager
def _signals(worker: Worker, stop_within: float) -> Iterator[None]:
    """Has Ctrl-C and SIGTERM stop a worker, where a thread can say so: the main one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal is_asked
        if is_asked:
            raise KeyboardInterrupt
        is_asked = True
        worker.stop_within(stop_within)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        _restore(before)


def _restore(before: Mapping[signal.Signals, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)


@contextlib.contextmanager
def _loop_signals(worker: Worker, stop_within: float) -> Iterator[None]:
    """The same for a loop."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()
    is_asked = False

    def ask() -> None:
        nonlocal is_asked
        if is_asked and task is not None:
            task.cancel()
        is_asked = True
        worker.stop_within(stop_within)

    before: dict[signal.Signals, Any] = {}
    # Not in the main thread, or not on Windows.
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
        for number in (signal.SIGINT, signal.SIGTERM):
            handler = signal.getsignal(number)
            loop.add_signal_handler(number, ask)
            before[number] = handler
    try:
        yield
    finally:
        for number in before:
            loop.remove_signal_handler(number)
        _restore(before)
