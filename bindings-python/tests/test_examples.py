"""What the documentation shows runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "python"


def run(*arguments: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "STREAM"}
    done = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("produce.py", "1000 records are in 4 shards"),
        ("produce_asyncio.py", "550 records in "),
        ("consume.py", "1000 clicks, 100 of them on one page"),
        ("consume_asyncio.py", "200 records are in the other stream"),
        ("from_kclpy.py", "ada tea\nbye"),
    ],
)
def test_an_example_runs(name: str, line: str) -> None:
    assert line in run(str(EXAMPLES / name))


def test_the_web_service_answers() -> None:
    pytest.importorskip("fastapi")
    assert "2 records are in the stream" in run("-W", "ignore", str(EXAMPLES / "web.py"))


def test_the_example_of_tests_passes(tmp_path: Path) -> None:
    options = ["-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    assert "3 passed" in run("-m", "pytest", "-q", *options, str(EXAMPLES / "test_orders.py"))


def snippets(page: Path) -> list[str]:
    """The page's programs: what is fenced as Python and is whole."""
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(snippets(ROOT / "docs" / "python.md"))))
def test_what_the_guide_shows_runs(number: int, tmp_path: Path) -> None:
    """Each over a service of its own that has the streams of which the page speaks."""
    text = snippets(ROOT / "docs" / "python.md")[number]
    program = tmp_path / "test_guide.py"
    indented = "\n".join(f"    {line}" for line in text.splitlines())
    program.write_text(
        "import shardflow\n"
        "_kinesis = shardflow.LocalKinesis()\n"
        "_kinesis.create_stream('orders', shards=2)\n"
        "_kinesis.create_stream('refunds')\n"
        "import os\n"
        "os.environ.update(AWS_ENDPOINT_URL=_kinesis.endpoint_url, AWS_REGION='us-east-1',\n"
        "                  AWS_ACCESS_KEY_ID='a', AWS_SECRET_ACCESS_KEY='b')\n"
        "def test_guide(kinesis_local):\n"
        "    os.environ.pop('AWS_PROFILE', None)\n"
        f"{indented}\n"
        "    for name, thing in list(locals().items()):\n"
        "        if name.startswith('test_'):\n"
        "            thing(kinesis_local)\n"
    )
    options = ["-p", "no:cacheprovider", "--rootdir", str(tmp_path), "-W", "ignore"]
    assert "1 passed" in run("-m", "pytest", "-q", *options, str(program))
