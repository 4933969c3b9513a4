"""What we write is what supervisord reads."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from appliance.errors import InvalidInput
from provisioning.lite.supervisor import Program, Supervisor

AWKWARD = 'a "quoted" 50% word, with=signs'


def test_commands_and_environment_arrive_as_they_were_meant(
    tmp_path: Path,
) -> None:
    program = Program(
        "awkward",
        ["/bin/echo", AWKWARD, "plain"],
        log=tmp_path / "one.log",
        priority=3,
        environment={"SECRET": "50% of it, with=signs and 'quotes' inside"},
        stop_signal="INT",
        stop_seconds=7,
    )
    supervisor = Supervisor(tmp_path / "box", marks={"NAME": "value"})
    supervisor.configure([program])
    options = ServerOptions()
    options.realize(["-c", str(tmp_path / "box" / "supervisor" / "supervisord.conf")])
    (group,) = options.process_group_configs
    (read,) = group.process_configs

    assert shlex.split(read.command) == ["/bin/echo", AWKWARD, "plain"]
    assert read.environment["SECRET"] == "50% of it, with=signs and 'quotes' inside"
    assert read.stdout_logfile == str(tmp_path / "one.log")
    assert read.priority == 3
    assert read.stopwaitsecs == 7
    assert read.autostart is False


def test_what_the_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="SECRET of awkward"):
        Program(
            "awkward",
            ["/bin/true"],
            log=tmp_path / "log",
            priority=1,
            environment={"SECRET": 'a "quote"'},
            stop_signal="TERM",
            stop_seconds=1,
        )


def test_a_deep_directory_gets_a_short_socket(tmp_path: Path) -> None:
    """A unix socket's path has 107 bytes at most."""
    deep = tmp_path / ("d" * 100)
    supervisor = Supervisor(deep, marks={})
    supervisor.configure([])
    text = (deep / "supervisor" / "supervisord.conf").read_text()
    (line,) = [line for line in text.splitlines() if line.startswith("file=")]
    assert len(line) < 107


def test_what_does_not_run_has_no_state(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, marks={"NAME": str(tmp_path)})
    assert supervisor.states() == {}
    assert supervisor.pid() is None
    supervisor.shutdown()
