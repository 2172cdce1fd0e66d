"""The embedded service, and the plugin of pytest."""

from __future__ import annotations

import inspect
import urllib.request

import pytest

import shardflow
from shardflow import LocalKinesis, Producer

pytest_plugins = ["pytester"]


def test_streams_are_made_split_merged_and_resized() -> None:
    with LocalKinesis(region="eu-west-1") as kinesis:
        assert kinesis.create_stream("orders", shards=2) == "arn:aws:kinesis:eu-west-1:000000000000:stream/orders"
        children = kinesis.split("orders", 0)
        assert [shard.is_open for shard in kinesis.shards("orders")] == [False, True, True, True]
        assert kinesis.merge("orders", *children) == "shardId-000000000004"
        assert len(kinesis.split("orders", "shardId-000000000001", at=2**127 + 9)) == 2
        assert kinesis.shards("orders")[-1].first_hash_key == 2**127 + 9
        kinesis.resize("orders", 6)
        assert sum(shard.is_open for shard in kinesis.shards("orders")) == 6
        shard_id, _ = kinesis.put("orders", b"x", "k")
        assert [(stored.shard_id, stored.data, stored.partition_key) for stored in kinesis.records("orders")] == [
            (shard_id, b"x", "k")
        ]


def test_it_is_gone_when_it_is_closed() -> None:
    with LocalKinesis() as kinesis:
        url = kinesis.endpoint_url
        with urllib.request.urlopen(f"{url}/_shardflow/health", timeout=10) as answer:
            assert answer.status == 200
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{url}/_shardflow/health", timeout=10)
    kinesis.close()


def test_a_port_that_is_taken_is_told() -> None:
    with LocalKinesis() as kinesis:
        port = int(kinesis.endpoint_url.rpartition(":")[2])
        with pytest.raises(OSError, match=str(port)):
            LocalKinesis(port=port)


def test_faults_happen_when_and_where_they_are_told_to(kinesis: LocalKinesis) -> None:
    kinesis.create_stream("others")
    kinesis.fail("PutRecords", "internal_failure", times=2, stream="orders")
    with Producer("orders", linger=0, **kinesis.client) as producer:
        assert producer.send(b"x", "k", timeout=20).attempts == 3
    with Producer("others", linger=0, **kinesis.client) as producer:
        kinesis.fail("PutRecords", "throttle", stream="orders")
        assert producer.send(b"x", "k", timeout=20).attempts == 1
        kinesis.clear()
        kinesis.fail("PutRecords", {"fail_entries": {"at": [0], "code": "InternalFailure"}}, after=1, times=1)
        assert producer.send(b"x", "k", timeout=20).attempts == 1
        assert producer.send(b"x", "k", timeout=20).attempts == 2
    assert kinesis.totals()["PutRecords"] == 3
    with pytest.raises(ValueError):
        kinesis.fail("PutRecords", {"explode": {}})
    kinesis.advance(60)


def test_the_fixture_is_there_once_the_package_is_installed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import shardflow

        def test_it_is_a_service(kinesis_local):
            kinesis_local.create_stream("orders")
            with shardflow.Producer("orders", linger=0, **kinesis_local.client) as producer:
                producer.send(b"x", "k", timeout=20)
            assert len(kinesis_local.records("orders")) == 1

        def test_it_is_another_one(kinesis_local):
            kinesis_local.create_stream("orders")
        """
    )
    pytester.runpytest_subprocess().assert_outcomes(passed=2)


def test_everything_public_is_documented() -> None:
    for name in shardflow.__all__:
        thing = getattr(shardflow, name)
        if inspect.isclass(thing) and thing.__module__.startswith("shardflow."):
            assert inspect.getdoc(thing), name
