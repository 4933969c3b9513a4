"""`appliance`: what it prints and the exit codes, as a person or a script meets them."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.lite.box import Box
from tests.integration.stack.test_life import PORT_BASE

APPLIANCE = Path(sys.executable).with_name("appliance")


def _appliance(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(APPLIANCE), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture
def redis_only(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path / "box", PORT_BASE, durable=False)
    box.start("redis")
    yield box
    box.stop_all()


def test_status_and_down(redis_only: Box) -> None:
    directory = str(redis_only.directory)
    status = _appliance("status", "--directory", directory, "--json")
    assert status.returncode == 1  # most parts do not run
    parts = json.loads(status.stdout)["parts"]
    assert parts["redis"]["ready"] is True
    assert parts["minio"] == {"state": "stopped", "pid": 0, "ready": False, "problem": ""}

    down = _appliance("down", "--directory", directory, "--json")
    assert down.returncode == 0
    assert json.loads(down.stdout)["stopped"] == ["redis"]
    assert redis_only.running() == []
    assert _appliance("down", "--directory", directory).stdout == "Stopped: nothing was running.\n"


def test_doctor_names_what_is_wrong(redis_only: Box) -> None:
    result = _appliance("doctor", "--directory", str(redis_only.directory), "--json")
    assert result.returncode == 1
    findings = {finding["subject"]: finding for finding in json.loads(result.stdout)}
    assert findings["redis"]["good"]
    assert findings["Debian"]["good"]
    assert not findings["minio"]["good"]
    assert findings["minio"]["remedy"]


def test_no_box_is_found(tmp_path: Path) -> None:
    result = _appliance("down", "--directory", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith("appliance: There is no box in")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("no-such-command",),
        ("status", "--no-such-option"),
        ("demo", "--calls", "0"),
        ("demo", "--calls", "x"),
    ],
)
def test_used_wrongly(arguments: tuple[str, ...]) -> None:
    result = _appliance(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_a_port_that_cannot_be(tmp_path: Path) -> None:
    result = _appliance("up", "--directory", str(tmp_path / "box"), "--port-base", "80")
    assert result.returncode == 2
    assert "80" in result.stderr
    assert "Traceback" not in result.stderr


def test_not_possible_now(tmp_path: Path) -> None:
    """Somebody else has the database's port."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", PORT_BASE))
        held.listen()
        result = _appliance("up", "--directory", str(tmp_path / "box"), "--port-base", str(PORT_BASE))
    _appliance("down", "--directory", str(tmp_path / "box"))
    assert result.returncode == 3
    assert f"Port {PORT_BASE} of postgres is held" in result.stderr
    assert "Traceback" not in result.stderr
