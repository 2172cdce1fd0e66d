"""What can go wrong: one tree below `ShardflowError`, with attributes, and Python's own exceptions where they fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._native import Record, Tickets

__all__ = [
    "AbandonedError",
    "Attempt",
    "BufferFullError",
    "CheckpointError",
    "ClosedError",
    "ConfigError",
    "ConsumerError",
    "ExpiredError",
    "FlushError",
    "ForkedError",
    "InvalidError",
    "LeaseLostError",
    "PutError",
    "RecordError",
    "RecordTooLargeError",
    "RefusedError",
    "ServiceError",
    "ShardflowError",
    "WaitTimeout",
]


class ShardflowError(Exception):
    """Everything that Shardflow raises by itself."""

    accepted: Tickets | None = None
    """Of an error that ended `put_many` early: the tickets of the records that were accepted before it."""

    def __reduce__(self) -> tuple[Any, ...]:
        # Attributes are keyword arguments, which pickle does not hand over by itself.
        attributes = {name: value for name, value in vars(self).items() if name != "accepted"}
        return (_again, (type(self), self.args, attributes))


def _again(
    kind: type[ShardflowError], args: tuple[Any, ...], attributes: dict[str, Any]
) -> ShardflowError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


class ConfigError(ShardflowError, ValueError):
    """A keyword argument or an option of the KPL cannot be what it is."""

    def __init__(self, message: str, *, option: str = "", value: str = "") -> None:
        super().__init__(message)
        self.option = option
        """Which."""
        self.value = value
        """What it was to be, as text."""


class InvalidError(ShardflowError, ValueError):
    """A name, a key or a number breaks a rule of Kinesis. The message says which."""


class ForkedError(ShardflowError, RuntimeError):
    """A producer, ticket or service was made before `os.fork()`: it belongs to the parent. Make a new one."""


class WaitTimeout(ShardflowError, TimeoutError):
    """Time is up for a wait. What was waited for goes on: nothing is lost by it."""


class ServiceError(ShardflowError):
    """`LocalKinesis` refuses something, as the service would."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code
        """The service's code, such as `ResourceNotFoundException`."""


class FlushError(ShardflowError):
    """Records that a flush or a close waited for were not delivered. Each has told its ticket."""

    def __init__(self, message: str, *, failed: int = 0) -> None:
        super().__init__(message)
        self.failed = failed
        """How many, of those accepted since the flush before."""


class PutError(ShardflowError):
    """A record was not accepted. Nothing was sent."""

    def __init__(self, message: str, *, record: Record) -> None:
        super().__init__(message)
        self.record = record
        """The record, which can be put again."""


class ClosedError(PutError):
    """The producer is closed."""


class BufferFullError(PutError, TimeoutError):
    """There was no room within the time that `put` was given."""

    def __init__(self, message: str, *, record: Record, size: int, held: int, limit: int) -> None:
        super().__init__(message, record=record)
        self.size = size
        """What the record counts, in bytes: data, key and a fixed overhead."""
        self.held = held
        """Bytes that were held when it was first tried."""
        self.limit = limit
        """`max_buffered_bytes`."""


class RecordTooLargeError(PutError, ValueError):
    """The stream would never take the record, or the buffer never hold it."""

    def __init__(self, message: str, *, record: Record, size: int, limit: int) -> None:
        super().__init__(message, record=record)
        self.size = size
        """Bytes of data and partition key."""
        self.limit = limit
        """The most that are taken."""


@dataclass(frozen=True)
class Attempt:
    """One failed try to put a record."""

    after: float
    """Seconds from the record's acceptance to when the request was sent."""
    took: float
    """Seconds until it was answered or given up."""
    code: str
    """The service's code, or what the client calls the failure, such as `Timeout`."""
    message: str
    """The words that came with it."""
    may_have_been_written: bool
    """Whether this try alone leaves open if Kinesis has the record."""


class RecordError(ShardflowError):
    """An accepted record was not delivered, or may not have been."""

    def __init__(
        self,
        message: str,
        *,
        record: Record,
        attempts: Sequence[Attempt] = (),
        code: str | None = None,
        may_have_been_written: bool = False,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.record = record
        """The record, which can be put again."""
        self.attempts = tuple(attempts)
        """What was tried, oldest first; the last 64 at most."""
        self.code = code
        """The code of the last try, such as `ProvisionedThroughputExceededException`."""
        self.may_have_been_written = may_have_been_written
        """Whether Kinesis may have it nevertheless: putting it again can duplicate it."""
        self.retryable = retryable
        """Whether putting it again can succeed without somebody changing something."""


class ExpiredError(RecordError, TimeoutError):
    """The record could not be delivered within `record_ttl`."""


class RefusedError(RecordError):
    """Kinesis does not take it: access denied, no such stream, a rule that the record breaks."""


class AbandonedError(RecordError):
    """The producer was closed, and its time was up, before the record was delivered."""


class ConsumerError(ShardflowError):
    """A consumer could not start, or not go on: no such stream, access denied, no answer; or it is used twice."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        """The service's code, such as `ResourceNotFoundException`, if it has refused."""


class CheckpointError(ShardflowError):
    """A checkpoint was not stored: the lease table refused it, or it is ahead of what was given."""

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        """The code of DynamoDB, such as `AccessDeniedException`, if it has refused."""


class LeaseLostError(CheckpointError):
    """The lease is no longer this worker's. Another one goes on from the last checkpoint: stop."""
