"""The pytest plugin: it comes with the package, and has the fixture `kinesis_local`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ._local import LocalKinesis

__all__ = ["kinesis_local"]


@pytest.fixture
def kinesis_local() -> Iterator[LocalKinesis]:
    """A Kinesis of this test's own, in this process. It has no stream: `kinesis_local.create_stream("orders")`."""
    with LocalKinesis() as kinesis:
        yield kinesis
