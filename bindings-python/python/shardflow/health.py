"""How a consumer stands: what `Consumer.health` gives."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Health", "ShardHealth"]


@dataclass(frozen=True)
class ShardHealth:
    """How one shard stood whose lease the worker has."""

    shard_id: str
    """Which."""
    stream: str | None
    """Account, name and creation of its stream, where there are several."""
    sequence_number: str
    """Its last checkpoint, or where it starts: `TRIM_HORIZON`, `LATEST`, `AT_TIMESTAMP`."""
    sub_sequence_number: int
    """The place in the aggregate there."""
    millis_behind_latest: int | None
    """How far behind its newest record it has been read; None before the first read."""
    progress: float
    """Seconds since something was read or processed."""
    waits_for: str
    """What has to happen next, in words: `records`, `the handler, for 4 s`, `its parents`."""
    handler_failures: int
    """How often its handler has failed at the same records."""
    read_failures: int
    """How often reading it has failed in a row."""
    error: str | None
    """How either failed last, while one of them does."""


@dataclass(frozen=True)
class Health:
    """How a worker stood at one moment."""

    worker_id: str | None = None
    """Its name in the lease table; None before it was started."""
    state: str = "new"
    """`new`, `starting`, `running`, `stopping` or `stopped`."""
    problems: tuple[str, ...] = ()
    """What is not well, in words: a shard that is not read, a handler that keeps failing or does not return."""
    leads: bool = False
    """Whether it leads the application's workers."""
    leases: int = 0
    """How many leases it has."""
    seen: float | None = None
    """Seconds since it last saw what the lease table says."""
    trouble: str | None = None
    """How a request to the lease table failed, if the last one did."""
    shards: tuple[ShardHealth, ...] = ()
    """Its shards."""

    @property
    def is_healthy(self) -> bool:
        """Whether there are no problems."""
        return not self.problems
