"""Runs a script that was written for the MultiLangDaemon, with its properties file.

    python -m shardflow.kcl sample.properties [script.py]
"""

from __future__ import annotations

import argparse
import os
import runpy

from . import PROPERTIES
from .properties import Properties


def main() -> None:
    """The script is the file's `executableName` unless it is given."""
    parser = argparse.ArgumentParser(prog="python -m shardflow.kcl", description="Runs a script that was written for the MultiLangDaemon.")
    parser.add_argument("properties", help="the properties file")
    parser.add_argument("script", nargs="?", help="the script, instead of the file's executableName")
    given = parser.parse_args()
    script = given.script or Properties.read(given.properties).script
    if script is None:
        parser.error("no script: give one, or executableName in the properties file")
    os.environ[PROPERTIES] = given.properties
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main()
