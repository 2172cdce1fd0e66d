"""What is raised, and what it tells."""

from __future__ import annotations

import inspect
import logging
import pickle
import threading
import time
from collections.abc import Callable

import pytest

import shardflow
from shardflow import LocalKinesis, Producer, errors

DENIED = {"refuse": {"code": "AccessDeniedException", "status": 400, "message": "not you"}}


def until(condition: Callable[[], bool]) -> None:
    """Waits for what another thread does."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


def test_all_errors_are_one_tree_with_pythons_own_where_they_fit() -> None:
    classes = [getattr(errors, name) for name in errors.__all__ if name.endswith(("Error", "Timeout"))]
    assert len(classes) >= 14
    assert all(issubclass(kind, shardflow.ShardflowError) for kind in classes)
    assert issubclass(shardflow.ExpiredError, shardflow.RecordError)
    assert issubclass(shardflow.ExpiredError, TimeoutError)
    assert issubclass(shardflow.BufferFullError, TimeoutError)
    assert issubclass(shardflow.ConfigError, ValueError)
    assert issubclass(shardflow.ForkedError, RuntimeError)
    assert all(inspect.getdoc(kind) for kind in classes)


def test_a_refused_record_tells_code_attempts_and_itself(kinesis: LocalKinesis) -> None:
    kinesis.fail("PutRecords", DENIED, times=1)
    with Producer("orders", linger=0, **kinesis.client) as producer:
        ticket = producer.put(b"x", "k")
        with pytest.raises(shardflow.RefusedError, match="AccessDeniedException: not you") as caught:
            ticket.result(timeout=10)
        with pytest.raises(shardflow.RefusedError):
            ticket.result()
    error = caught.value
    assert (error.code, error.retryable, error.may_have_been_written) == ("AccessDeniedException", False, False)
    assert (error.record.data, error.record.partition_key) == (b"x", "k")
    assert [attempt.code for attempt in error.attempts] == ["AccessDeniedException"]
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is shardflow.RefusedError
    assert (again.args, again.attempts, again.record) == (error.args, error.attempts, error.record)


def test_an_expired_record_may_have_been_written_if_an_answer_was_lost(kinesis: LocalKinesis) -> None:
    kinesis.fail("PutRecords", "drop_response")
    producer = Producer("orders", linger=0, record_ttl=0.3, **kinesis.client)
    with pytest.raises(shardflow.ExpiredError) as caught:
        producer.send(b"x", "k", timeout=20)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.may_have_been_written
    assert caught.value.retryable
    assert all(attempt.may_have_been_written for attempt in caught.value.attempts)
    kinesis.clear()
    with pytest.raises(shardflow.FlushError):
        producer.close()


def test_a_failure_that_nobody_reads_reaches_the_callback_and_the_log(
    kinesis: LocalKinesis, caplog: pytest.LogCaptureFixture
) -> None:
    kinesis.fail("PutRecords", DENIED)
    heard: list[shardflow.RecordError] = []
    threads: list[int] = []

    def on_failure(error: shardflow.RecordError) -> None:
        heard.append(error)
        threads.append(threading.get_ident())

    with caplog.at_level(logging.WARNING, "shardflow"):
        producer = Producer("orders", linger=0, on_failure=on_failure, **kinesis.client)
        kept = producer.put(b"kept", "k")
        producer.put(b"dropped", "k")
        with pytest.raises(shardflow.FlushError):
            producer.flush(timeout=10)
        until(lambda: len(heard) == 1)
        assert kept.done(), "which does not count as reading"
        del kept
        until(lambda: len(heard) == 2)
        until(lambda: len(caplog.records) == 2)
    assert [error.record.data for error in heard] == [b"dropped", b"kept"]
    assert threading.get_ident() not in threads
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert all("AccessDeniedException" in record.getMessage() for record in caplog.records)
    kinesis.clear()
    producer.close()


def test_a_failure_that_was_read_is_heard_by_nobody_else(kinesis: LocalKinesis) -> None:
    kinesis.fail("PutRecords", DENIED, times=1)
    heard: list[shardflow.RecordError] = []
    with Producer("orders", linger=0, on_failure=heard.append, **kinesis.client) as producer:
        ticket = producer.put(b"x", "k")
        with pytest.raises(shardflow.RefusedError):
            ticket.result(timeout=10)
        del ticket
        with pytest.raises(shardflow.FlushError):
            producer.flush()
        kinesis.fail("PutRecords", DENIED, times=1)
        producer.put(b"last", "k")
        with pytest.raises(shardflow.FlushError):
            producer.flush(timeout=10)
        until(lambda: bool(heard))
    assert [error.record.data for error in heard] == [b"last"]


def test_leaving_a_block_raises_for_what_nobody_has_heard_of(kinesis: LocalKinesis) -> None:
    kinesis.fail("PutRecords", DENIED)
    with pytest.raises(shardflow.FlushError):
        with Producer("orders", linger=0, **kinesis.client) as producer:
            producer.put(b"x", "k")
    with Producer("orders", linger=0, on_failure=print, **kinesis.client) as producer:
        producer.put(b"x", "k")
    with Producer("orders", linger=0, **kinesis.client) as producer:
        with pytest.raises(shardflow.RefusedError):
            producer.send(b"x", "k", timeout=10)
    with pytest.raises(ZeroDivisionError):
        with Producer("orders", linger=0, **kinesis.client) as producer:
            producer.put(b"x", "k")
            raise ZeroDivisionError


def test_a_callback_that_raises_is_logged_and_the_next_is_called(
    kinesis: LocalKinesis, caplog: pytest.LogCaptureFixture
) -> None:
    kinesis.fail("PutRecords", DENIED)
    heard: list[bytes] = []

    def on_failure(error: shardflow.RecordError) -> None:
        heard.append(error.record.data)
        raise KeyError("of the callback")

    producer = Producer("orders", linger=0, on_failure=on_failure, **kinesis.client)
    producer.put_many([("k", b"1"), ("k", b"2")])
    with pytest.raises(shardflow.FlushError):
        producer.flush(timeout=10)
    until(lambda: len(heard) == 2)
    until(lambda: sum("on_failure has raised" in record.message for record in caplog.records) == 2)
    assert any(record.exc_info and record.exc_info[0] is KeyError for record in caplog.records)
    kinesis.clear()
    producer.close()


@pytest.mark.parametrize(
    ("keywords", "message", "option"),
    [
        ({"linger": -1}, "linger cannot be -1: it takes seconds, 0 or more", "linger"),
        ({"linger": float("nan")}, "linger cannot be nan: it takes seconds, 0 or more", "linger"),
        ({"record_ttl": "soon"}, "record_ttl cannot be 'soon': it takes seconds", "record_ttl"),
        ({"max_buffered_bytes": 1}, "max_buffered_bytes cannot be 1: 1048576 to 536870911 bytes", "max_buffered_bytes"),
        ({"aggregation": 3}, "aggregation cannot be 3: it takes True, False or", "aggregation"),
        ({"ordering": "all"}, "ordering cannot be 'all': it takes 'none' or 'per_key'", "ordering"),
        ({"requests_in_flight": 0}, "requests_in_flight cannot be 0: 1 to 256", "requests_in_flight"),
        ({"connect_timeout": 0.01}, "connect_timeout cannot be 0.01: 100 ms to 5 min", "connect_timeout"),
        ({"on_failure": 7}, "on_failure cannot be 7: it takes a function", "on_failure"),
        ({"options": {"RecordTtl": "1"}}, 'RecordTtl cannot be "1": it takes 100 or more ms', "RecordTtl"),
        ({"options": {"Region": "x"}}, "Region is not the producer's", "Region"),
        ({"options": {"recordTtl": "1"}}, 'no setting is called "recordTtl"', "recordTtl"),
        ({"options": {"RecordTtl": 100}}, "options cannot be", "options"),
        ({"session": object()}, "it takes a session of boto3 or botocore", "session"),
        ({"credentials": "hunter2"}, "credentials takes", "credentials"),
    ],
)
def test_what_a_keyword_cannot_be(
    kinesis: LocalKinesis, keywords: dict[str, object], message: str, option: str
) -> None:
    given: dict[str, object] = {**kinesis.client, **keywords}
    with pytest.raises(shardflow.ConfigError) as caught:
        Producer("orders", **given)  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert caught.value.option == option
    assert "hunter2" not in str(caught.value)


def test_an_unknown_keyword_and_a_stream_that_is_none(kinesis: LocalKinesis) -> None:
    with pytest.raises(TypeError, match="lingre"):
        Producer("orders", lingre=1, **kinesis.client)  # type: ignore[call-arg]
    with pytest.raises(shardflow.InvalidError, match="stream name"):
        Producer("no stream", **kinesis.client)


def test_options_of_the_kpl_have_their_effect_and_keywords_win(kinesis: LocalKinesis) -> None:
    options = {"AggregationEnabled": "false", "RecordMaxBufferedTime": "60000"}
    with Producer("orders", options=options, linger=0.01, **kinesis.client) as producer:
        producer.put_many([("k", b"1"), ("k", b"2")]).result(timeout=10)
    assert kinesis.kinesis_records("orders") == 2


def test_the_service_refuses_as_the_real_one_does(kinesis: LocalKinesis) -> None:
    with pytest.raises(shardflow.ServiceError) as caught:
        kinesis.create_stream("orders")
    assert caught.value.code == "ResourceInUseException"
    with pytest.raises(shardflow.ServiceError) as caught:
        kinesis.records("nothing")
    assert caught.value.code == "ResourceNotFoundException"
    with pytest.raises(ValueError, match="no operation"):
        kinesis.fail("PutRecord5")
    with pytest.raises(TypeError, match="its name or its number"):
        kinesis.split("orders", 1.5)  # type: ignore[arg-type]
