"""Processors written for `amazon_kclpy`, in one process: no Java, no child for each shard, no pipe.

    from shardflow import kcl                       # from amazon_kclpy import kcl
    from shardflow.kcl import processor             # from amazon_kclpy.v3 import processor

The properties file and the script stay as they are: `python -m shardflow.kcl sample.properties`. Or without a file:
`kcl.KCLProcess(RecordProcessor(), streams="orders", app="billing").run()`.

The object that `KCLProcess` is given stands for all shards: each has a deep copy, whose calls are made on a thread of its
shard's. A class will do as well.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from typing import Any

from .. import _native
from .._consumer import Consumer
from .._handlers import OfProcessor, RecordProcessor, Retry
from ..errors import CheckpointError as _Refused
from ..errors import ConfigError, InvalidError, LeaseLostError
from . import messages, processor
from .properties import Properties
from .processor import RecordProcessorBase

__all__ = ["CheckpointError", "Checkpointer", "KCLProcess", "RecordProcessorBase", "messages", "processor"]

PROPERTIES = "SHARDFLOW_KCL_PROPERTIES"
"""The environment variable with the name of the properties file."""


class CheckpointError(Exception):
    """A checkpoint was not stored."""

    def __init__(self, value: str) -> None:
        super().__init__(value)
        self.value = value
        """What the KCL calls it: `ShutdownException` when the lease has gone, `ThrottlingException`,
        `InvalidStateException` when the lease table is not there, `IllegalArgumentException`,
        `KinesisClientLibDependencyException`."""

    def __str__(self) -> str:
        return repr(self.value)


class Checkpointer:
    """Stores how far a shard has been processed."""

    def __init__(self, checkpointer: _native.Checkpointer) -> None:
        self._checkpointer = checkpointer

    def checkpoint(
        self, sequence_number: str | int | None = None, sub_sequence_number: int | None = None
    ) -> None:
        """Everything up to there is done; without a number, all that was given. Raises CheckpointError."""
        at = None if sequence_number is None else str(sequence_number)
        try:
            self._checkpointer.checkpoint(at, sub_sequence_number)
        except LeaseLostError:
            raise CheckpointError("ShutdownException") from None
        except (InvalidError, OverflowError, TypeError) as error:
            raise CheckpointError("IllegalArgumentException") from error
        except _Refused as error:
            raise CheckpointError(_exception(error.code)) from error


def _exception(code: str | None) -> str:
    """The KCL's exception for a refusal of the lease table."""
    if code is None:
        return "IllegalArgumentException"
    if "Thrott" in code or code == "ProvisionedThroughputExceededException":
        return "ThrottlingException"
    return "InvalidStateException" if code == "ResourceNotFoundException" else "KinesisClientLibDependencyException"


class _Adapter(RecordProcessor):
    """A processor of `amazon_kclpy` as one of ours."""

    def __init__(self, processor: RecordProcessorBase) -> None:
        self._processor = processor

    def initialize(self, shard: _native.ShardInfo) -> None:
        self._processor.initialize(messages.InitializeInput(shard))

    def process_records(self, batch: _native.Batch, checkpointer: _native.Checkpointer) -> None:
        self._processor.process_records(messages.ProcessRecordsInput(batch, Checkpointer(checkpointer)))

    def shutdown_requested(self, checkpointer: _native.Checkpointer) -> None:
        self._processor.shutdown_requested(messages.ShutdownRequestedInput(Checkpointer(checkpointer)))

    def shard_ended(self, checkpointer: _native.Checkpointer) -> None:
        self._processor.shard_ended(messages.ShardEndedInput(Checkpointer(checkpointer)))

    def lease_lost(self) -> None:
        self._processor.lease_lost(messages.LeaseLostInput())


class KCLProcess:
    """Runs a processor in this process: what `amazon_kclpy.kcl.KCLProcess` is for a child of the MultiLangDaemon."""

    def __init__(
        self,
        record_processor: RecordProcessorBase | Callable[[], RecordProcessorBase],
        *,
        properties: str | os.PathLike[str] | None = None,
        on_error: Retry | None = None,
        **keywords: Any,
    ) -> None:
        """`properties` is a file of the MultiLangDaemon's; by default the one that the environment variable
        `SHARDFLOW_KCL_PROPERTIES` names. `keywords` are those of `shardflow.Consumer`, and win."""
        if callable(record_processor) and not isinstance(record_processor, RecordProcessorBase):
            make = record_processor
        else:
            # Now rather than at the first shard.
            copy.deepcopy(record_processor)
            make = lambda: copy.deepcopy(record_processor)  # noqa: E731
        self._make: Callable[[], RecordProcessorBase] = make
        self._on_error = on_error
        named = properties if properties is not None else os.environ.get(PROPERTIES)
        given = Properties.read(named) if named is not None else Properties({})
        self._stop_within = given.stop_within
        settings = {**given.consumer(), **keywords}
        for name, origin in (("streams", "streamName"), ("app", "applicationName")):
            if not settings.get(name):
                raise ConfigError(
                    f"no {name}: give {name}=..., or a properties file with {origin}", option=name, value=""
                )
        self.consumer = Consumer(**settings)
        """What runs it: for `health()`, and for `stop()` from another thread."""

    def run(self) -> None:
        """Runs until Ctrl-C, SIGTERM or `consumer.stop()`."""
        self.consumer._run(
            lambda shard: OfProcessor(lambda: _Adapter(self._make()), shard), self._on_error, self._stop_within
        )
