"""How parts are started, brought back and stopped: with real servers, on ports of their own."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from appliance.errors import InvalidInput, NotFound, Unavailable
from provisioning.lite.box import Box
from tests.fixtures.box import REPOSITORY, TEST_PORT

PORT_BASE = TEST_PORT + 700
DEADLINE_SECONDS = 60.0


def _wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Box]:
    """A box in an empty directory; tests start little of it."""
    box = Box(tmp_path / "box", PORT_BASE, durable=False)
    yield box
    box.stop_all()


def test_what_is_needed_starts_first_and_stops_last(small: Box) -> None:
    events: list[tuple[str, str]] = []
    took = small.start("livekit", on_event=lambda part, phase, _ms: events.append((part, phase)))
    assert events == [
        ("redis", "starting"),
        ("redis", "ready"),
        ("livekit", "starting"),
        ("livekit", "ready"),
    ]
    assert set(took) == {"redis", "livekit"}
    assert small.running() == ["redis", "livekit"]
    assert small.status()["livekit"]["ready"]
    assert not small.status()["minio"]["ready"]

    before = {name: small.pids(name)[0] for name in small.running()}
    small.start("livekit")
    assert {name: small.pids(name)[0] for name in small.running()} == before

    processes = [psutil.Process(pid) for pid in before.values()]
    small.stop_all()
    assert small.running() == []
    assert not any(process.is_running() for process in processes)
    log = (small.directory / "supervisor" / "supervisord.log").read_text()
    assert re.findall(r"stopped: (\w+)", log) == ["livekit", "redis"]


def test_a_killed_part_comes_back(small: Box) -> None:
    small.start("redis")
    (before, *_) = small.pids("redis")
    small.kill("redis")
    _wait_until(lambda: small.pids("redis") not in ([], [before]))
    small.start("redis")
    assert small.status()["redis"]["ready"]


def test_a_stopped_part_stays_stopped(small: Box) -> None:
    small.start("redis")
    small.stop("redis")
    assert small.pids("redis") == []
    assert small.restart("redis") > 0
    assert small.running() == ["redis"]


def test_a_killed_supervisor_leaves_nothing_in_the_way(small: Box) -> None:
    small.start("redis")
    (orphan, *_) = small.pids("redis")
    supervisor = int((small.directory / "supervisor" / "pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    _wait_until(lambda: not psutil.pid_exists(supervisor) or psutil.Process(supervisor).status() == "zombie")
    assert small.running() == []
    small.start("redis")
    assert small.pids("redis") not in ([], [orphan])
    assert small.status()["redis"]["ready"]


def test_a_taken_port_is_told_before_anything_starts(small: Box) -> None:
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", small.ports["redis"]))
        held.listen()
        with pytest.raises(Unavailable) as caught:
            small.start("livekit")
        assert f"Port {small.ports['redis']} of redis" in caught.value.message
        assert f"process {os.getpid()}" in caught.value.message
        assert "TRUNKLINE_PORT_BASE" in caught.value.remedy
        assert small.running() == []
    small.start("livekit")
    assert small.status()["livekit"]["ready"]


def test_a_part_that_does_not_start_shows_its_log(tmp_path: Path) -> None:
    """An address that this machine does not have."""
    box = Box(tmp_path / "box", PORT_BASE, overrides={"redis.host": "192.0.2.1"}, durable=False)
    try:
        with pytest.raises(Unavailable) as caught:
            box.start("redis")
    finally:
        box.stop_all()
    assert caught.value.message == "redis did not become ready. It ends as soon as it is started."
    assert str(box.log_path("redis")) in caught.value.remedy
    assert "192.0.2.1" in caught.value.remedy


def test_an_unknown_part_is_refused(small: Box) -> None:
    with pytest.raises(InvalidInput, match="no part 'asterix'"):
        small.start("asterix")


def test_a_box_is_found_again(small: Box) -> None:
    with pytest.raises(NotFound):
        Box.open(small.directory)
    small.start("redis")
    again = Box.open(small.directory)
    assert again.ports == small.ports
    assert again.running() == ["redis"]
    again.stop_all()
    assert small.running() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's folders are closed to the database's user")
def test_the_database_runs_in_a_folder_that_is_closed_to_others(small: Box) -> None:
    small.directory.mkdir(parents=True)
    small.directory.parent.chmod(0o700)
    small.start("postgres")
    assert psutil.Process(small.pids("postgres")[0]).uids().real != 0
    assert small.status()["postgres"]["ready"]


def test_the_repository_is_where_the_tests_think() -> None:
    assert (REPOSITORY / "pyproject.toml").exists()
