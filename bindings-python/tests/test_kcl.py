"""Processors written for amazon_kclpy."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import datetime
from pathlib import Path

import pytest

import shardflow
from conftest import eventually, fill
from shardflow import LocalKinesis, kcl
from shardflow.kcl import messages, processor
from shardflow.kcl.properties import Properties

FAST = {"idle_time_between_reads": 0.05, "start": "TRIM_HORIZON"}

CALLS: list[tuple[str, object]] = []
RECORDS: list[messages.Record] = []


class RecordProcessor(processor.RecordProcessorBase):
    """As the sample of amazon_kclpy: keeps where it is, checkpoints there, and at the end."""

    def __init__(self) -> None:
        self.largest: tuple[int, int] | None = None
        self.shard_id: str | None = None

    def initialize(self, initialize_input: messages.InitializeInput) -> None:
        assert self.shard_id is None, "each shard has a processor of its own"
        self.shard_id = initialize_input.shard_id
        CALLS.append((initialize_input.action, (initialize_input.sequence_number, initialize_input.sub_sequence_number)))

    def process_records(self, process_records_input: messages.ProcessRecordsInput) -> None:
        assert process_records_input.millis_behind_latest >= 0
        for record in process_records_input.records:
            place = (int(record.sequence_number), record.sub_sequence_number)
            assert self.largest is None or place > self.largest
            self.largest = place
            RECORDS.append(record)
        assert self.largest is not None
        process_records_input.checkpointer.checkpoint(str(self.largest[0]), self.largest[1])
        process_records_input.checkpointer.checkpoint(self.largest[0], self.largest[1])
        for wrong in ("9" * 56, "abc", -1):
            with pytest.raises(kcl.CheckpointError) as raised:
                process_records_input.checkpointer.checkpoint(wrong)
            assert (raised.value.value, str(raised.value)) == ("IllegalArgumentException", "'IllegalArgumentException'")

    def lease_lost(self, lease_lost_input: messages.LeaseLostInput) -> None:
        CALLS.append((lease_lost_input.action, None))

    def shard_ended(self, shard_ended_input: messages.ShardEndedInput) -> None:
        shard_ended_input.checkpointer.checkpoint()
        CALLS.append((shard_ended_input.action, self.shard_id))

    def shutdown_requested(self, shutdown_requested_input: messages.ShutdownRequestedInput) -> None:
        shutdown_requested_input.checkpointer.checkpoint()
        CALLS.append((shutdown_requested_input.action, self.shard_id))


def test_a_processor_is_called_as_by_amazon_kclpy(kinesis: LocalKinesis) -> None:
    CALLS.clear()
    RECORDS.clear()
    data = fill(kinesis, 400)
    process = kcl.KCLProcess(RecordProcessor(), streams="orders", app="sample", **FAST, **kinesis.client)
    thread = threading.Thread(target=process.run)
    thread.start()
    eventually(lambda: len(RECORDS) >= 400)
    kinesis.split("orders", 0)
    eventually(lambda: len(CALLS) == 7)
    process.consumer.stop()
    thread.join(60)
    assert sorted(record.binary_data for record in RECORDS) == sorted(data)
    assert CALLS[:4] == [("initialize", ("TRIM_HORIZON", 0))] * 4
    assert ("shardEnded", "shardId-000000000000") in CALLS
    assert [what for what, _ in CALLS].count("shutdownRequested") == 5

    record = RECORDS[0]
    assert base64.b64decode(record.data) == record.binary_data
    assert record.partition_key == record.binary_data.decode()
    assert record.get("partitionKey") == record.partition_key
    assert record.get("sequenceNumber") == record.sequence_number
    assert abs(record.timestamp_millis / 1000 - time.time()) < 600
    assert record.approximate_arrival_timestamp == datetime.fromtimestamp(record.timestamp_millis / 1000)


def test_a_checkpoint_that_the_table_refuses_has_the_kcls_name(kinesis: LocalKinesis) -> None:
    values: list[str] = []

    class Asks(RecordProcessor):
        def process_records(self, process_records_input: messages.ProcessRecordsInput) -> None:
            refusal = {"refuse": {"code": "AccessDeniedException", "status": 400}}
            kinesis.fail("UpdateItem", refusal)
            with pytest.raises(kcl.CheckpointError) as raised:
                process_records_input.checkpointer.checkpoint()
            values.append(raised.value.value)
            kinesis.clear()

    kinesis.create_stream("one")
    kinesis.put("one", b"x", "k")
    process = kcl.KCLProcess(Asks, streams="one", app="sample", **FAST, **kinesis.client)
    thread = threading.Thread(target=process.run)
    thread.start()
    eventually(lambda: values)
    process.consumer.stop()
    thread.join(60)
    assert values == ["KinesisClientLibDependencyException"]


def test_a_script_and_its_properties_run_as_they_are(kinesis: LocalKinesis, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(textwrap.dedent("""
        import sys
        from shardflow import kcl
        from shardflow.kcl import processor

        class RecordProcessor(processor.RecordProcessorBase):
            def initialize(self, initialize_input):
                pass
            def process_records(self, process_records_input):
                for record in process_records_input.records:
                    print(record.binary_data.decode(), flush=True)
                process_records_input.checkpointer.checkpoint()
            def lease_lost(self, lease_lost_input):
                pass
            def shard_ended(self, shard_ended_input):
                shard_ended_input.checkpointer.checkpoint()
            def shutdown_requested(self, shutdown_requested_input):
                shutdown_requested_input.checkpointer.checkpoint()
                print("requested", flush=True)

        if __name__ == "__main__":
            kcl.KCLProcess(RecordProcessor()).run()
    """))
    (tmp_path / "sample.properties").write_text(
        f"executableName = {tmp_path / 'app.py'}\n"
        "streamName = orders\n"
        "applicationName = PythonKCLSample\n"
        "AwsCredentialsProvider = DefaultCredentialsProvider\n"
        "processingLanguage = python/3.11\n"
        "initialPositionInStream = TRIM_HORIZON\n"
        "regionName = us-east-1\n"
        f"kinesisEndpoint = {kinesis.endpoint_url}\n"
        f"dynamoDBEndpoint = {kinesis.endpoint_url}\n"
        "#failoverTimeMillis = 1\n"
        "idleTimeBetweenReadsInMillis = 50\n"
    )
    data = fill(kinesis, 100)
    child = subprocess.Popen(
        [sys.executable, "-m", "shardflow.kcl", str(tmp_path / "sample.properties")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", **_python_path()},
    )
    assert child.stdout is not None
    lines = [child.stdout.readline().strip() for _ in range(100)]
    child.send_signal(signal.SIGTERM)
    output, errors = child.communicate(timeout=60)
    assert sorted(lines) == sorted(one.decode() for one in data), errors
    assert (child.returncode, output) == (0, "requested\n" * 4), errors


def _python_path() -> dict[str, str]:
    import os

    return {name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME")}


def test_properties_are_read_as_java_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "sample.properties"
    path.write_text(
        "! a comment\n  # and another\n"
        "streamName: or\\u0064ers\n"
        "applicationName billing\n"
        "maxRecords = \\\n    500\n"
        "workerId=w\n"
        "retrievalMode=fanout\n"
        "shutdownGraceMillis=7000\n"
        "initialPositionInStreamExtended = 1700000000\n"
        "empty\n",
        encoding="latin-1",
    )
    properties = Properties.read(path)
    given = properties.consumer()
    assert (given["streams"], given["app"], given["retrieval"]) == ("orders", "billing", "fan_out")
    assert given["options"] == {"maxRecords": "500", "workerIdentifier": "w"}
    assert given["start"].timestamp() == 1_700_000_000
    assert (properties.stop_within, properties.script) == (7.0, None)
    assert Properties({"streamName": "s"}).consumer()["start"] == "LATEST"
    with pytest.raises(shardflow.ConfigError, match="shutdownGraceMillis"):
        Properties({"shutdownGraceMillis": "soon"}).stop_within


def test_what_is_missing_is_told() -> None:
    with pytest.raises(shardflow.ConfigError, match="streamName"):
        kcl.KCLProcess(RecordProcessor())
    with pytest.raises(TypeError):

        class Open(RecordProcessor):
            def __init__(self) -> None:
                self.lock = threading.Lock()

        kcl.KCLProcess(Open(), streams="orders", app="billing")
