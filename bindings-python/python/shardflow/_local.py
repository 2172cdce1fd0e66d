"""A Kinesis in this process, behind a loopback port."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypedDict

from ._native import Record, Service

__all__ = ["Client", "LocalKinesis", "Shard", "StoredRecord"]

Fault = Literal["throttle", "drop_request", "drop_response", "hang", "internal_failure", "throttle_entries"]


class Client(TypedDict):
    """Keyword arguments that lead a producer to a `LocalKinesis`."""

    endpoint_url: str
    region: str
    credentials: tuple[str, str]


@dataclass(frozen=True)
class Shard:
    """A shard of a stream, open or closed."""

    shard_id: str
    """Its name."""
    first_hash_key: int
    """The least hash key that belongs to it."""
    last_hash_key: int
    """The greatest one."""
    is_open: bool
    """Whether it takes records: it was neither split nor merged."""


@dataclass(frozen=True)
class StoredRecord:
    """A record as it was put, where it lies. Aggregates are taken apart."""

    shard_id: str
    """The shard that has it."""
    sequence_number: str
    """The place of the Kinesis record that carried it."""
    sub_sequence_number: int
    """Its place in that; 0 if it travelled alone."""
    record: Record
    """The record."""

    @property
    def data(self) -> bytes:
        """Its data."""
        return self.record.data

    @property
    def partition_key(self) -> str | None:
        """Its partition key."""
        return self.record.partition_key


class LocalKinesis:
    """Kinesis, DynamoDB and a CloudWatch sink in this process: a real server, to which real clients speak.

    Listens on loopback only, is ready when it is made, and keeps nothing when it is closed. Streams are created and
    changed at once.
    """

    def __init__(self, *, region: str = "us-east-1", port: int = 0, limits: bool = True) -> None:
        """`port` 0 is any that is free; without `limits` no shard ever throttles."""
        self._service = Service(region, port, limits)
        self.region = region
        """The region of its streams."""

    @property
    def endpoint_url(self) -> str:
        """Its URL, for any client of AWS, such as boto3's `endpoint_url`."""
        return self._service.endpoint_url

    @property
    def client(self) -> Client:
        """Keyword arguments for a producer: `Producer("orders", **kinesis.client)`."""
        return Client(endpoint_url=self.endpoint_url, region=self.region, credentials=("local", "local"))

    def create_stream(self, name: str, shards: int = 1) -> str:
        """Creates a stream and gives its ARN."""
        return self._service.create_stream(name, shards)

    def split(self, stream: str, shard: str | int, at: int | None = None) -> list[str]:
        """Splits a shard, by name or number, in its middle or at a hash key. Gives the children's names."""
        return self._service.split(stream, shard, at)

    def merge(self, stream: str, one: str | int, other: str | int) -> str:
        """Merges two adjacent shards, and gives the child's name."""
        return self._service.merge(stream, one, other)

    def resize(self, stream: str, shards: int) -> None:
        """Makes a stream's shards equal and as many as asked: half to double of what it has."""
        self._service.resize(stream, shards)

    def shards(self, stream: str) -> list[Shard]:
        """A stream's shards, open or closed, by name."""
        return [Shard(*shard) for shard in self._service.shards(stream)]

    def put(self, stream: str, data: bytes, key: str) -> tuple[str, str]:
        """Puts a record as plain PutRecord does. Gives the shard's name and the sequence number."""
        return self._service.put(stream, Record(data, key))

    def records(self, stream: str) -> list[StoredRecord]:
        """Everything that a stream holds, shard by shard, in order, with aggregates taken apart."""
        return [StoredRecord(*stored) for stored in self._service.records(stream)]

    def kinesis_records(self, stream: str) -> int:
        """How many Kinesis records a stream holds: an aggregate is one."""
        return self._service.kinesis_records(stream)

    def fail(
        self,
        operation: str,
        fault: Fault | Mapping[str, Any] = "throttle",
        *,
        times: int | None = None,
        after: int = 0,
        every: int = 1,
        stream: str | None = None,
    ) -> int:
        """Makes calls of an operation fail, such as `"PutRecords"`. Gives the rule's number.

        `times` is how often, without end by default; `after` lets so many calls pass first; `every` means each so
        many-th. Faults: `throttle`; `internal_failure`; `drop_request` (the connection is cut, nothing is done);
        `drop_response` (done, and then the connection is cut); `hang`; `throttle_entries` (every second entry of a
        PutRecords request). Or, as a mapping: `{"delay": {"seconds": 0.5}}`,
        `{"refuse": {"code": "AccessDeniedException", "status": 400}}`,
        `{"fail_entries": {"every": 2, "code": "InternalFailure"}}`, also with `at` (places) or `partition_key`.
        """
        rule: dict[str, Any] = {"operation": operation, "after": after, "every": every}
        rule["fault"] = _FAULTS.get(fault, fault) if isinstance(fault, str) else dict(fault)
        if times is not None:
            rule["times"] = times
        if stream is not None:
            rule["stream"] = stream
        return int(self._control("POST", "rules", rule)["id"])

    def clear(self) -> None:
        """Ends all faults, and forgets the calls that were made."""
        self._control("POST", "clear", {})

    def calls(self) -> list[dict[str, Any]]:
        """The last calls: `at`, `service`, `operation`, `resource`, `region`, `outcome`, `detail`."""
        calls: list[dict[str, Any]] = self._control("GET", "calls")
        return calls

    def totals(self) -> dict[str, int]:
        """How often each operation was called."""
        return {total["operation"]: total["count"] for total in self._control("GET", "totals")}

    def advance(self, seconds: float) -> None:
        """Puts the service's clock forward: iterators expire, records leave retention."""
        self._control("POST", "clock/advance", {"seconds": seconds})

    def close(self) -> None:
        """Stops it. What it held is gone."""
        self._service.close()

    def __enter__(self) -> LocalKinesis:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        raised: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _control(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.endpoint_url}/_shardflow/{path}", data, method=method)
        # No proxy stands between a process and itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as refused:
            raise ValueError(json.load(refused)["error"]) from None


_FAULTS: dict[str, Any] = {
    "internal_failure": {
        "refuse": {"code": "InternalFailure", "status": 500, "message": "an internal failure on request"}
    },
    "throttle_entries": {"fail_entries": {"every": 2, "code": "ProvisionedThroughputExceededException"}},
}
