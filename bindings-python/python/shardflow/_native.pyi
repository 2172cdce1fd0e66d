"""What is written in Rust. Import it from `shardflow`."""

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Literal, Protocol, Self, final, overload

from typing_extensions import disjoint_base

from .errors import RecordError
from .health import Health
from .statistics import Stats

__all__ = [
    "Aggregator",
    "AsyncCheckpointer",
    "AsyncDelivery",
    "AsyncProducer",
    "Batch",
    "BatchRecords",
    "Checkpointer",
    "Delivery",
    "Producer",
    "Put",
    "Receipt",
    "Record",
    "Service",
    "ShardInfo",
    "Ticket",
    "Tickets",
    "UserRecord",
    "Worker",
    "__version__",
    "is_aggregate",
    "split",
]

__version__: str

_Data = bytes | bytearray | memoryview

class _Credentials(Protocol):
    """Credentials of botocore: `boto3.Session().get_credentials()`."""

    def get_frozen_credentials(self) -> Any: ...

class _Session(Protocol):
    """A session of boto3 or botocore."""

    def get_credentials(self) -> Any: ...

@final
class Record:
    """A record: data, and the key that decides its shard. Without a key the producer spreads it over the stream."""

    def __new__(
        cls, data: _Data, partition_key: str | None = None, explicit_hash_key: int | None = None
    ) -> Self:
        """Copies the data. Keys have 1 to 256 characters, hash keys are 0 to 2**128 - 1. Raises InvalidError."""

    @property
    def data(self) -> bytes:
        """Its data, a copy for each time it is asked for."""

    @property
    def partition_key(self) -> str | None:
        """Its partition key; None if it was put without."""

    @property
    def explicit_hash_key(self) -> int | None:
        """The hash key that it was given in the place of its partition key's."""

    @property
    def hash_key(self) -> int:
        """The hash key that decides its shard: the explicit one, or the MD5 of its partition key."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[bytes, str | None, int | None]: ...

@final
class Receipt:
    """Where a record was put."""

    def __new__(
        cls, shard_id: str, sequence_number: str, sub_sequence_number: int | None = None, attempts: int = 1
    ) -> Self: ...
    @property
    def shard_id(self) -> str:
        """The shard that took it."""

    @property
    def sequence_number(self) -> str:
        """The place of the Kinesis record that carries it. Records of one aggregate share it."""

    @property
    def sub_sequence_number(self) -> int | None:
        """Its place within the aggregate; None if it travelled alone."""

    @property
    def attempts(self) -> int:
        """Tries that it took, the last one included."""

    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs__(self) -> tuple[str, str, int | None, int]: ...

@final
class Ticket:
    """The handle of an accepted record: ask it, await it, or drop it.

    Dropping it changes nothing: the record is delivered all the same, and a failure that nobody has asked for goes to
    `on_failure` and to the log.
    """

    def done(self) -> bool:
        """Whether the record is settled. This does not count as asking for its outcome."""

    def result(self, timeout: float | None = None) -> Receipt:
        """Waits for the outcome, in seconds at most, without the GIL.

        Raises RecordError if the record was not delivered, WaitTimeout when time is up.
        """

    def __await__(self) -> Generator[Any, None, Receipt]:
        """The same for asyncio. Cancelling it only stops the waiting."""

@final
class Tickets:
    """The handle of records that were put together, in their order."""

    def done(self) -> bool:
        """Whether all are settled."""

    def result(self, timeout: float | None = None) -> list[Receipt]:
        """Waits for all. Raises the first RecordError if some were not delivered: `outcomes` has them all."""

    def outcomes(self) -> list[Receipt | RecordError | None]:
        """What has become of each record so far; None for one that is not settled. Does not wait."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Ticket:
        """The ticket of one record."""

    def __await__(self) -> Generator[Any, None, list[Receipt]]:
        """As `result`, for asyncio."""

@final
class Producer:
    """Writes to one stream, from any number of threads.

    Leaving it as a context manager closes it within `exit_timeout`, and raises FlushError if records were lost of which
    nobody has heard: by their tickets, or by `on_failure`. One that is not closed sends what it holds all the
    same, when it is no longer used or when the process ends.
    """

    def __new__(
        cls,
        stream: str,
        *,
        linger: float | None = None,
        record_ttl: float | None = None,
        aggregation: bool | int | None = None,
        ordering: Literal["none", "per_key"] | None = None,
        max_buffered_bytes: int | None = None,
        max_record_bytes: int | None = None,
        requests_in_flight: int | None = None,
        rate_limit: int | None = None,
        fail_if_throttled: bool | None = None,
        request_timeout: float | None = None,
        connect_timeout: float | None = None,
        on_failure: Callable[[RecordError], object] | None = None,
        exit_timeout: float | None = None,
        options: Mapping[str, str] | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        credentials: tuple[str, str] | tuple[str, str, str] | _Credentials | None = None,
        session: _Session | None = None,
    ) -> Self:
        """A producer for a stream, by name or ARN. Asks nothing of a network: the first put does.

        None is the default of each. Times are seconds, sizes bytes. The KPL's names stand in brackets.

        - `linger`: longest time that a record waits for company; 0.1. (RecordMaxBufferedTime)
        - `record_ttl`: longest time from acceptance to the last try; 30. (RecordTtl)
        - `aggregation`: True packs records into aggregates of up to 51,200 bytes, a number up to that many; False puts
          each by itself. (AggregationEnabled, AggregationMaxSize)
        - `ordering`: "per_key" keeps the order of each key's records, at the cost of one request in flight for each
          shard; "none".
        - `max_buffered_bytes`: what it may hold, 1 MiB or more; 64 MiB. A put waits when it is full.
        - `max_record_bytes`: largest record that is accepted; the stream's limit. (MaxUserRecordSize)
        - `requests_in_flight`: 1 to 256; 24. (MaxConnections)
        - `rate_limit`: per cent of what a shard takes in a second; 150. (RateLimit)
        - `fail_if_throttled`: gives a record back at once that was refused for throughput; False. (FailIfThrottled)
        - `request_timeout`, `connect_timeout`: 6 each. (RequestTimeout, ConnectTimeout)
        - `on_failure`: called with the RecordError of each failure that no ticket was asked for, on a thread of its
          own. It should be quick: failures wait in memory meanwhile. They are logged in any case.
        - `exit_timeout`: how long leaving the context manager, and the process's end, wait for what is held; 30. After
          Ctrl-C it is 3 at most.
        - `options`: the KPL's options by name, `{"RecordMaxBufferedTime": "100"}`. A keyword argument wins.
        - `region`, `endpoint_url`, `credentials`: from the environment and AWS's files, as any AWS tool finds them.
        - `session`: a session of boto3 or botocore, for region and credentials. It is asked again before those expire.

        Raises ConfigError, and InvalidError for the stream.
        """

    @property
    def stream(self) -> str:
        """The stream, as it was given."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the buffer that are in use."""

    def put(
        self,
        data: _Data,
        key: str | None = None,
        *,
        explicit_hash_key: int | None = None,
        timeout: float | None = None,
    ) -> Ticket:
        """Accepts a record, as soon as there is room for it: within `timeout` seconds, if that is given.

        The data is copied. Without a key its shard does not matter. Raises BufferFullError, ClosedError,
        RecordTooLargeError, each with the record; InvalidError for the key.
        """

    def put_many(
        self, records: Iterable[_Data | tuple[str | None, _Data] | Record], *, timeout: float | None = None
    ) -> Tickets:
        """Accepts many records: data, pairs of key and data, or `Record`. `timeout` is for the room of each.

        Raises as `put`, at the first record that is not accepted: `accepted` of the error has the tickets of those
        before it.
        """

    def send(
        self,
        data: _Data,
        key: str | None = None,
        *,
        explicit_hash_key: int | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """Puts a record and waits for its outcome. Raises as `put` and `Ticket.result`."""

    def flush(self, timeout: float | None = None) -> None:
        """Sends what is held without waiting for company, until every record accepted before is settled.

        Raises FlushError if some were not delivered; WaitTimeout when time is up, with the records still on their way.
        """

    def close(self, timeout: float | None = 30.0) -> None:
        """Accepts no more, flushes, and gives back what is not settled in time, as AbandonedError.

        Raises FlushError if some were not delivered.
        """

    def stats(self) -> Stats:
        """How it stands."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        raised: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> None: ...

@final
class AsyncProducer:
    """Writes to one stream, for asyncio. All but the waiting is as with `Producer`."""

    def __new__(
        cls,
        stream: str,
        *,
        linger: float | None = None,
        record_ttl: float | None = None,
        aggregation: bool | int | None = None,
        ordering: Literal["none", "per_key"] | None = None,
        max_buffered_bytes: int | None = None,
        max_record_bytes: int | None = None,
        requests_in_flight: int | None = None,
        rate_limit: int | None = None,
        fail_if_throttled: bool | None = None,
        request_timeout: float | None = None,
        connect_timeout: float | None = None,
        on_failure: Callable[[RecordError], object] | None = None,
        exit_timeout: float | None = None,
        options: Mapping[str, str] | None = None,
        region: str | None = None,
        endpoint_url: str | None = None,
        credentials: tuple[str, str] | tuple[str, str, str] | _Credentials | None = None,
        session: _Session | None = None,
    ) -> Self:
        """As `Producer`, with the same arguments."""

    @property
    def stream(self) -> str:
        """The stream, as it was given."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes of the buffer that are in use."""

    def put(
        self, data: _Data, key: str | None = None, *, explicit_hash_key: int | None = None
    ) -> Awaitable[Ticket]:
        """Accepts a record. Awaiting it gives the ticket; it waits only if there is no room.

        Where there is room, the record is accepted by the call, and awaiting gives the loop a turn about each
        millisecond. Cancelling a wait for room leaves the record out, unless it found room at that very time. Raises
        ClosedError, RecordTooLargeError, InvalidError.
        """

    def put_many(
        self, records: Iterable[_Data | tuple[str | None, _Data] | Record]
    ) -> Awaitable[Tickets]:
        """Accepts many records, as `Producer.put_many`. Those that there is no room for wait in a list."""

    def send(
        self, data: _Data, key: str | None = None, *, explicit_hash_key: int | None = None
    ) -> Awaitable[Receipt]:
        """Puts a record and waits for its outcome."""

    def flush(self, timeout: float | None = None) -> Awaitable[None]:
        """As `Producer.flush`."""

    def close(self, timeout: float | None = 30.0) -> Awaitable[None]:
        """As `Producer.close`."""

    def stats(self) -> Awaitable[Stats]:
        """How it stands."""

    def __aenter__(self) -> Awaitable[Self]: ...
    def __aexit__(
        self,
        kind: type[BaseException] | None = None,
        raised: BaseException | None = None,
        traceback: TracebackType | None = None,
        /,
    ) -> Awaitable[None]: ...

@final
class Put:
    """What `AsyncProducer.put` gives when there is room."""

    def __await__(self) -> Generator[Any, None, Ticket]: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> None: ...

@final
class UserRecord:
    """A record as an application reads it, taken out of its aggregate. `memoryview(record)` is its data without a copy.

    Making one is for tests of handlers.
    """

    def __new__(
        cls,
        data: _Data,
        partition_key: str | None = None,
        *,
        sequence_number: str,
        sub_sequence_number: int = 0,
        approximate_arrival_timestamp: datetime | None = None,
        explicit_hash_key: int | None = None,
        aggregated: bool = False,
        out_of_range: bool = False,
    ) -> Self: ...
    @property
    def data(self) -> bytes:
        """Its data, a copy for each time it is asked for."""

    @property
    def partition_key(self) -> str | None:
        """Its partition key; None where the stream distributes records by itself."""

    @property
    def explicit_hash_key(self) -> int | None:
        """The hash key that it was given. Only aggregates keep it."""

    @property
    def sequence_number(self) -> str:
        """The place of the Kinesis record that carried it. Records of one aggregate share it."""

    @property
    def sub_sequence_number(self) -> int:
        """Its place in that, 0 if it travelled alone. The two together name it for good."""

    @property
    def approximate_arrival_timestamp(self) -> datetime | None:
        """When the service took it, in UTC, to the millisecond."""

    @property
    def aggregated(self) -> bool:
        """Whether it came out of an aggregate."""

    @property
    def out_of_range(self) -> bool:
        """Whether its aggregate lies in a shard that does not own it: left by a split, and then it comes again, or by a
        writer that does not look at shards."""

    def __buffer__(self, flags: int, /) -> memoryview: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __ne__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...
    def __getnewargs_ex__(self) -> tuple[Any, Any]: ...

@final
class ShardInfo:
    """The shard that a handler is made for, and where it goes on."""

    @property
    def stream(self) -> str:
        """The stream, as it was given."""

    @property
    def stream_identifier(self) -> str | None:
        """Account, name and creation of the stream, where the consumer reads several."""

    @property
    def shard_id(self) -> str:
        """The shard."""

    @property
    def sequence_number(self) -> str:
        """Everything up to here is done; `TRIM_HORIZON`, `LATEST` or `AT_TIMESTAMP` where nothing is."""

    @property
    def sub_sequence_number(self) -> int:
        """The place in the aggregate there."""

    @property
    def hash_keys(self) -> tuple[int, int] | None:
        """The first and the last hash key that it owns, if its lease says so."""

    @property
    def pending(self) -> tuple[str, int, bytes | None] | None:
        """A checkpoint that was noted and not made, by a worker in another language: sequence number, sub-sequence
        number, and the state that came with it."""

@disjoint_base
class Batch:
    """Records of one shard, in order; at least one."""

    @property
    def stream(self) -> str:
        """The stream, as it was given."""

    @property
    def shard_id(self) -> str:
        """The shard."""

    @property
    def millis_behind_latest(self) -> int:
        """How far behind the newest record of the shard its last one is; 0 when there was nothing more to read."""

    def data(self) -> list[bytes]:
        """The data of all, without an object for each record."""

    def __len__(self) -> int: ...
    @overload
    def __getitem__(self, index: int, /) -> UserRecord: ...
    @overload
    def __getitem__(self, index: slice, /) -> list[UserRecord]: ...
    def __iter__(self) -> Iterator[UserRecord]: ...

@final
class BatchRecords:
    """Goes through a batch."""

    def __iter__(self) -> Self: ...
    def __next__(self) -> UserRecord: ...

@final
class Delivery(Batch):
    """A batch of a loop. Its shard's next one comes when it is acknowledged; one that is dropped comes again."""

    def checkpoint(self) -> None:
        """Everything up to its end is done: stores that. Once more, it changes nothing.

        Raises LeaseLostError if another worker has the shard, CheckpointError if the lease table refuses it. The batch is
        done in any case.
        """

    def done(self) -> None:
        """Everything up to its end is done, which the next checkpoint of its shard covers: there is one at the shard's end
        and when the worker stops, too. After a crash it comes again."""

@final
class AsyncDelivery(Batch):
    """As `Delivery`, for asyncio."""

    def checkpoint(self) -> Awaitable[None]:
        """As `Delivery.checkpoint`. It is carried out by the call; awaiting it tells what became of it."""

    def done(self) -> None:
        """As `Delivery.done`."""

@final
class Checkpointer:
    """Stores how far a shard has been processed, for as long as its lease is held."""

    def checkpoint(
        self, at: Batch | UserRecord | str | None = None, sub_sequence_number: int | None = None
    ) -> None:
        """Everything up to there is done: the end of a batch, a record, a sequence number; or all that the handler was
        given. What is behind the last checkpoint changes nothing.

        Raises LeaseLostError if another worker has the shard; CheckpointError if the lease table refuses it, or the handler
        was not given that yet.
        """

@final
class AsyncCheckpointer:
    """As `Checkpointer`, for asyncio."""

    def checkpoint(
        self, at: Batch | UserRecord | str | None = None, sub_sequence_number: int | None = None
    ) -> Awaitable[None]:
        """As `Checkpointer.checkpoint`. Cancelling it can leave it stored."""

@final
class Worker:
    """What `Consumer` and `AsyncConsumer` are made of."""

    def __new__(cls, streams: str | list[str], app: str, keywords: dict[str, Any] | None) -> Self: ...
    @property
    def streams(self) -> list[str]: ...
    @property
    def app(self) -> str: ...
    @property
    def checkpoint_on_next(self) -> bool: ...
    @property
    def exit_timeout(self) -> float: ...
    def next(self, last: Delivery | None) -> Delivery | None: ...
    def next_async(self, last: AsyncDelivery | None) -> Awaitable[AsyncDelivery | None]: ...
    def run(
        self,
        factory: Callable[[ShardInfo], object],
        policy: tuple[int | None, str, Callable[..., object] | None, float, float, float],
        in_loop: bool,
    ) -> None: ...
    def wait(self) -> None: ...
    def wait_async(self) -> Awaitable[None]: ...
    def stop(self) -> None: ...
    def stop_within(self, timeout: float) -> None: ...
    def close(self, timeout: float | None) -> None: ...
    def close_async(self, timeout: float | None) -> Awaitable[None]: ...
    def health(self) -> Health: ...

@final
class Aggregator:
    """Packs records into one aggregate, up to a size of 64 to 10,485,760 bytes.

    All must be of one shard: a KCL drops a whole aggregate if a record in it is not. `shardflow.aggregate` sees to it.
    """

    def __new__(cls, max_size: int = 51_200) -> Self: ...
    def add(
        self, data: _Data, partition_key: str | None = None, explicit_hash_key: int | None = None
    ) -> bool:
        """Adds a record; False if there is no room for it."""

    @property
    def size(self) -> int:
        """The exact size of the aggregate as it stands."""

    def __len__(self) -> int: ...
    def finish(self) -> tuple[str, int, bytes, int] | None:
        """Partition key, explicit hash key, data and number of records; it is empty then. None if it was.

        A single record comes out as it is, not as an aggregate.
        """

def split(data: _Data) -> list[Record] | None:
    """The records in an aggregate; None if the data is none."""

def is_aggregate(data: _Data) -> bool:
    """Whether data is an aggregate: it starts like one, its digest is right, and it can be read."""

@final
class Service:
    """What `LocalKinesis` is made of."""

    def __new__(cls, region: str, port: int, limits: bool) -> Self: ...
    @property
    def endpoint_url(self) -> str: ...
    def create_stream(self, name: str, shards: int) -> str: ...
    def split(self, stream: str, shard: str | int, at: int | None) -> list[str]: ...
    def merge(self, stream: str, one: str | int, other: str | int) -> str: ...
    def resize(self, stream: str, shards: int) -> None: ...
    def shards(self, stream: str) -> list[tuple[str, int, int, bool]]: ...
    def put(self, stream: str, record: Record) -> tuple[str, str]: ...
    def records(self, stream: str) -> list[tuple[str, str, int, Record]]: ...
    def kinesis_records(self, stream: str) -> int: ...
    def close(self) -> None: ...
