"""What a worker calls for each shard, and what an application gives for it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ._native import AsyncCheckpointer, Batch, Checkpointer, ShardInfo, UserRecord
from .errors import ConfigError

__all__ = ["AsyncRecordProcessor", "DeadLetter", "RecordProcessor", "Retry"]


@dataclass(frozen=True)
class DeadLetter:
    """A record that could not be processed."""

    stream: str
    """Its stream, as it was given."""
    shard_id: str
    """Its shard."""
    record: UserRecord
    """The record."""
    error: str
    """What the handler raised last."""


@dataclass(frozen=True)
class Retry:
    """What becomes of records that a handler fails at. Nothing behind a record is processed before it is decided.

    `Retry()` is the default of `run`: the same batch again, without end; a record is never skipped. With `attempts`, a shard
    goes on otherwise after so many failures.
    """

    attempts: int | None = None
    """Failures until `then`; None is never."""
    then: Literal["stop_shard", "skip"] | Callable[[DeadLetter], object] = "stop_shard"
    """`stop_shard`: the shard rests for `rest` seconds and begins again at its last checkpoint with a fresh handler, while
    others go on. `skip`: the record that fails alone is found by halves, and **is lost** but for a line in the log. A
    function gets it as a DeadLetter instead, and gets it again if it raises; it may be a coroutine function in
    `AsyncConsumer.run`."""
    backoff: tuple[float, float] = (0.1, 30.0)
    """Seconds between two tries: the first, doubled up to the second."""
    rest: float = 300.0
    """Seconds that a shard rests."""

    def __post_init__(self) -> None:
        if self.attempts is not None and self.attempts < 1:
            raise ConfigError(
                f"attempts cannot be {self.attempts}: it takes 1 or more, or None",
                option="attempts",
                value=str(self.attempts),
            )
        if self.then not in ("stop_shard", "skip") and not callable(self.then):
            raise ConfigError(
                f"then cannot be {self.then!r}: it takes 'stop_shard', 'skip' or a function of a DeadLetter",
                option="then",
                value=repr(self.then),
            )


Policy = tuple[int | None, str, Callable[[DeadLetter], object] | None, float, float, float]


def policy(retry: Retry | None, is_async: bool) -> Policy:
    """A `Retry` as the worker takes it."""
    retry = retry or Retry()
    if not is_async and inspect.iscoroutinefunction(retry.then):
        raise TypeError("a coroutine function for dead letters needs a handler that is one")
    least, most = retry.backoff
    if callable(retry.then):
        return (retry.attempts, "dead_letter", retry.then, least, most, retry.rest)
    return (retry.attempts, retry.then, None, least, most, retry.rest)


class RecordProcessor:
    """Processes one shard's records, with the KCL's callbacks. `Consumer.run` makes one for each shard that it gets.

    The calls of one never overlap, and are all made on one thread of its own. A call that raises is made again, the same
    batch after a while, unless `on_error` says otherwise.
    """

    def initialize(self, shard: ShardInfo) -> None:
        """Is called once, before any records."""

    def process_records(self, batch: Batch, checkpointer: Checkpointer) -> None:
        """Processes records, in the shard's order. Checkpoints when it sees fit: `checkpointer.checkpoint()`."""
        raise NotImplementedError

    def shutdown_requested(self, checkpointer: Checkpointer) -> None:
        """This worker stops, or another one is to have the shard: the time for a last checkpoint. By default, of all that is
        processed."""
        checkpointer.checkpoint()

    def shard_ended(self, checkpointer: Checkpointer) -> None:
        """All its records have been processed: it was split or merged. The worker checkpoints the end when this returns;
        its children wait for that."""

    def lease_lost(self) -> None:
        """Another worker has the shard, or may have it: too late for a checkpoint."""


class AsyncRecordProcessor:
    """As `RecordProcessor`, for `AsyncConsumer.run`: all calls are coroutines on the caller's loop."""

    async def initialize(self, shard: ShardInfo) -> None:
        """Is called once, before any records."""

    async def process_records(self, batch: Batch, checkpointer: AsyncCheckpointer) -> None:
        """Processes records, in the shard's order. Checkpoints when it sees fit: `await checkpointer.checkpoint()`."""
        raise NotImplementedError

    async def shutdown_requested(self, checkpointer: AsyncCheckpointer) -> None:
        """This worker stops, or another one is to have the shard: the time for a last checkpoint. By default, of all that is
        processed."""
        await checkpointer.checkpoint()

    async def shard_ended(self, checkpointer: AsyncCheckpointer) -> None:
        """All its records have been processed: it was split or merged."""

    async def lease_lost(self) -> None:
        """Another worker has the shard, or may have it: too late for a checkpoint."""


class OfProcessor:
    """What the worker calls, over a `RecordProcessor`."""

    _processor: RecordProcessor

    def __init__(self, make: Callable[[], RecordProcessor], shard: ShardInfo) -> None:
        self._make = make
        self._shard = shard

    def initialize(self) -> None:
        self._processor = self._make()
        self._processor.initialize(self._shard)

    def process(self, batch: Batch, checkpointer: Checkpointer) -> None:
        self._processor.process_records(batch, checkpointer)

    def stopping(self, why: str, checkpointer: Checkpointer) -> None:
        if why == "shard_end":
            self._processor.shard_ended(checkpointer)
        elif why == "lease_lost":
            self._processor.lease_lost()
        else:
            self._processor.shutdown_requested(checkpointer)


class _OfAsyncProcessor:
    """The same, over an `AsyncRecordProcessor`."""

    _processor: AsyncRecordProcessor

    def __init__(self, make: Callable[[], AsyncRecordProcessor], shard: ShardInfo) -> None:
        self._make = make
        self._shard = shard

    async def initialize(self) -> None:
        self._processor = self._make()
        await self._processor.initialize(self._shard)

    async def process(self, batch: Batch, checkpointer: AsyncCheckpointer) -> None:
        await self._processor.process_records(batch, checkpointer)

    async def stopping(self, why: str, checkpointer: AsyncCheckpointer) -> None:
        if why == "shard_end":
            await self._processor.shard_ended(checkpointer)
        elif why == "lease_lost":
            await self._processor.lease_lost()
        else:
            await self._processor.shutdown_requested(checkpointer)


class _OfFunction:
    """The same, over a function of a batch: what it returns from is checkpointed."""

    def __init__(self, function: Callable[[Batch], object]) -> None:
        self._function = function

    def initialize(self) -> None:
        pass

    def process(self, batch: Batch, checkpointer: Checkpointer) -> None:
        if inspect.isawaitable(given := self._function(batch)):
            if inspect.iscoroutine(given):
                given.close()
            raise TypeError("a handler of Consumer must not be a coroutine: AsyncConsumer takes those")
        checkpointer.checkpoint(batch)

    def stopping(self, why: str, checkpointer: Checkpointer) -> None:
        if why in ("shutdown", "handoff"):
            checkpointer.checkpoint()


class _OfAsyncFunction:
    """The same, over a coroutine function."""

    def __init__(self, function: Callable[[Batch], Awaitable[object]]) -> None:
        self._function = function

    async def initialize(self) -> None:
        pass

    async def process(self, batch: Batch, checkpointer: AsyncCheckpointer) -> None:
        await self._function(batch)
        await checkpointer.checkpoint(batch)

    async def stopping(self, why: str, checkpointer: AsyncCheckpointer) -> None:
        if why in ("shutdown", "handoff"):
            await checkpointer.checkpoint()


Handler = type[RecordProcessor] | Callable[[Batch], object]
AsyncHandler = (
    Handler | type[AsyncRecordProcessor] | Callable[[Batch], Coroutine[Any, Any, object]]
)
Factory = Callable[[ShardInfo], object]


def factory(handler: Any) -> tuple[Factory, bool]:
    """What makes a shard's calls, and whether these are coroutines."""
    if isinstance(handler, type):
        if issubclass(handler, AsyncRecordProcessor):
            return (lambda shard: _OfAsyncProcessor(handler, shard)), True
        if issubclass(handler, RecordProcessor):
            # Its records would be gone without a word: nobody would await the call.
            if inspect.iscoroutinefunction(handler.process_records):
                raise TypeError(f"{handler.__name__} has coroutines: it is an AsyncRecordProcessor")
            return (lambda shard: OfProcessor(handler, shard)), False
    elif isinstance(handler, (RecordProcessor, AsyncRecordProcessor)):
        raise TypeError(f"each shard needs a processor of its own: give the class {type(handler).__name__}")
    elif inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(getattr(handler, "__call__", None)):
        return (lambda _shard: _OfAsyncFunction(handler)), True
    elif callable(handler):
        return (lambda _shard: _OfFunction(handler)), False
    raise TypeError("a handler is a class of RecordProcessor, or a function of a Batch")


class _Jobs(Protocol):
    """Calls for a thread, from Rust."""

    def next(self) -> tuple[Callable[..., object], tuple[object, ...]] | None: ...
    def done(self, raised: BaseException | None) -> None: ...


def serve(jobs: _Jobs) -> None:
    """What the thread of a shard does."""
    while (job := jobs.next()) is not None:
        call, arguments = job
        try:
            call(*arguments)
        except BaseException as raised:
            jobs.done(raised)
        else:
            jobs.done(None)
        # Nothing is held while it waits.
        del job, call, arguments
