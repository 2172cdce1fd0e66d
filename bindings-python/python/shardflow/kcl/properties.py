"""The MultiLangDaemon's properties file, as far as it means something without the daemon."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError

__all__ = ["Properties"]

_OPTIONS = (
    "failoverTimeMillis",
    "idleTimeBetweenReadsInMillis",
    "logWarningForTaskAfterMillis",
    "maxLeasesForWorker",
    "maxPendingProcessRecordsInput",
    "maxRecords",
    "workerIdentifier",
)
"""What is passed on under its name."""

_WITHOUT_EFFECT = ("executableName", "maxActiveThreads", "processingLanguage")
"""Of the daemon's children, which there are none of."""


class Properties:
    """A properties file's names and values."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)
        """As they stand there."""

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Properties:
        """Reads a file of Java's `java.util.Properties`."""
        with open(path, encoding="latin-1") as file:
            return cls(dict(_entries(file.read())))

    @property
    def stop_within(self) -> float:
        """How long handlers may go on after a signal, in seconds: `shutdownGraceMillis`, or 2."""
        return self._number("shutdownGraceMillis", 2000) / 1000

    @property
    def script(self) -> str | None:
        """The program in `executableName`."""
        words = self.values.get("executableName", "").split()
        return words[-1] if words else None

    def consumer(self) -> dict[str, Any]:
        """Keyword arguments of `shardflow.Consumer`."""
        left = dict(self.values)
        for name in _WITHOUT_EFFECT:
            left.pop(name, None)
        left.pop("shutdownGraceMillis", None)
        streams = left.pop("streamArn", None), left.pop("streamName", None)
        given: dict[str, Any] = {
            "streams": streams[0] or streams[1],
            "app": left.pop("applicationName", None),
            "region": left.pop("regionName", None) or None,
            "endpoint_url": left.pop("kinesisEndpoint", None) or None,
            "dynamodb_endpoint_url": left.pop("dynamoDBEndpoint", None) or None,
            # The KCL's default, which is not ours.
            "start": left.pop("initialPositionInStream", "LATEST").strip().upper(),
        }
        if at := left.pop("initialPositionInStreamExtended", None):
            from datetime import UTC, datetime

            given["start"] = datetime.fromtimestamp(int(at), UTC)
        # Its `DEFAULT` registers a consumer that costs money.
        retrieval = left.pop("retrievalMode", "DEFAULT").strip().upper()
        given["retrieval"] = "fan_out" if retrieval == "FANOUT" else "polling"
        if worker := left.pop("workerId", None):
            left.setdefault("workerIdentifier", worker)
        for name in [name for name in left if name.lower().startswith("awscredentialsprovider")]:
            provider = left.pop(name)
            if not provider.strip().startswith("Default"):
                logging.getLogger("shardflow.kcl").warning(
                    "%s=%s has no effect: credentials come from AWS's default chain", name, provider
                )
        given["options"] = {name: left.pop(name) for name in _OPTIONS if left.get(name, "").strip()}
        for name in left:
            logging.getLogger("shardflow.kcl").info("the property %s has no effect here", name)
        return given

    def _number(self, name: str, default: int) -> int:
        text = self.values.get(name, "").strip()
        try:
            return int(text) if text else default
        except ValueError:
            raise ConfigError(f"{name} cannot be {text!r}: it takes a whole number", option=name, value=text) from None


def _entries(text: str) -> list[tuple[str, str]]:
    """Names and values, with lines that go on behind a backslash."""
    lines = re.sub(r"(?<!\\)((?:\\\\)*)\\\r?\n[ \t]*", r"\1", text).splitlines()
    entries = []
    for line in lines:
        line = line.lstrip()
        if line and line[0] not in "#!":
            name, _, value = re.sub(r"^((?:\\.|[^\s=:\\])+)\s*[=:]?\s*", "\\1\0", line).partition("\0")
            entries.append((_unescaped(name), _unescaped(value)))
    return entries


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code, char = match.groups()
        return chr(int(code, 16)) if code else {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}.get(char, char)

    return re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", one, text)
