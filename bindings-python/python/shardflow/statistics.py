"""How a producer stands, for health checks."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ShardStats", "Stats"]


@dataclass(frozen=True)
class ShardStats:
    """How one shard stood."""

    shard_id: str | None
    """Which; `None` stands for all shards together, where the service distributes records."""
    buffered_records: int
    """Records that wait to be sent there. Those under way do not count."""
    share_used: float
    """The share of the shard's 1 MiB and 1,000 records a second that was used in about the last second."""
    share_allowed: float
    """The share that may be used: `rate_limit`, or less after the shard has refused something."""
    throttled: bool
    """Whether the shard has refused something for throughput."""
    held_back_for: float | None
    """For how many seconds more nothing is sent there."""


@dataclass(frozen=True)
class Stats:
    """How a producer stood at one moment."""

    buffered_bytes: int
    """Bytes of all records that are not settled, as `max_buffered_bytes` counts them."""
    buffered_records: int
    """Records that are not settled."""
    oldest: float | None
    """Seconds since the oldest of them was accepted. Near `record_ttl`, records are about to expire."""
    requests_in_flight: int
    """PutRecords requests under way."""
    shards: tuple[ShardStats, ...]
    """The shards that are written, in the order of their hash keys."""
