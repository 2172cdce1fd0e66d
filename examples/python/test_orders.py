"""Tests of an application with the fixture `kinesis_local`, which the package brings: `pytest test_orders.py`."""

import json

import pytest

import shardflow


class Shop:
    """The application under test."""

    def __init__(self, producer: shardflow.Producer) -> None:
        self.producer = producer

    def order(self, customer: str, item: str) -> None:
        event = json.dumps({"customer": customer, "item": item}).encode()
        self.producer.send(event, customer, timeout=30)


def test_an_order_is_written_under_its_customer(kinesis_local: shardflow.LocalKinesis) -> None:
    kinesis_local.create_stream("orders", shards=2)
    with shardflow.Producer("orders", linger=0, **kinesis_local.client) as producer:
        Shop(producer).order("ada", "tea")
    [stored] = kinesis_local.records("orders")
    assert (stored.partition_key, json.loads(stored.data)["item"]) == ("ada", "tea")


def test_an_order_survives_a_throttle_and_a_split(kinesis_local: shardflow.LocalKinesis) -> None:
    kinesis_local.create_stream("orders")
    with shardflow.Producer("orders", linger=0, **kinesis_local.client) as producer:
        shop = Shop(producer)
        kinesis_local.fail("PutRecords", "throttle", times=1)
        shop.order("ada", "tea")
        kinesis_local.split("orders", 0)
        shop.order("ada", "milk")
    assert [json.loads(stored.data)["item"] for stored in kinesis_local.records("orders")] == ["tea", "milk"]


def test_an_order_that_is_refused_is_told(kinesis_local: shardflow.LocalKinesis) -> None:
    kinesis_local.create_stream("orders")
    kinesis_local.fail("PutRecords", {"refuse": {"code": "AccessDeniedException", "status": 400}}, times=1)
    with shardflow.Producer("orders", linger=0, **kinesis_local.client) as producer:
        with pytest.raises(shardflow.RefusedError, match="AccessDenied"):
            Shop(producer).order("ada", "tea")
        with pytest.raises(shardflow.FlushError):
            producer.flush()
