"""The class that processors of `amazon_kclpy.v3` are derived from."""

from __future__ import annotations

from abc import ABC, abstractmethod

from .messages import (
    InitializeInput,
    LeaseLostInput,
    ProcessRecordsInput,
    ShardEndedInput,
    ShutdownRequestedInput,
)

__all__ = ["RecordProcessorBase"]


class RecordProcessorBase(ABC):
    """Processes one shard's records: the shape of `amazon_kclpy.v3.processor.RecordProcessorBase`."""

    @abstractmethod
    def initialize(self, initialize_input: InitializeInput) -> None:
        """Is called once, before any records."""

    @abstractmethod
    def process_records(self, process_records_input: ProcessRecordsInput) -> None:
        """Processes records. Where it raises, it gets the same ones again: none is skipped."""

    @abstractmethod
    def lease_lost(self, lease_lost_input: LeaseLostInput) -> None:
        """Another worker has the shard."""

    @abstractmethod
    def shard_ended(self, shard_ended_input: ShardEndedInput) -> None:
        """The shard has no more records. Its end is checkpointed when this returns."""

    def shutdown_requested(self, shutdown_requested_input: ShutdownRequestedInput) -> None:
        """The worker stops, or hands the shard over: the time for a last checkpoint."""
