"""The checks of the machine: each says what it saw, and what to do about what is missing."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from provisioning.machine_check import checks
from provisioning.machine_check.checks import Finding
from tests.fixtures.box import TEST_PORT

FREE_PORT = TEST_PORT + 690
"""Not one that the system gives out: it would give it to somebody else a moment later."""


def test_debian_12_is_good(tmp_path: Path) -> None:
    file = tmp_path / "os-release"
    file.write_text('PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n')
    assert checks.debian(file).good


@pytest.mark.parametrize(
    "text",
    ['ID=ubuntu\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04"\n', 'ID=debian\nVERSION_ID="10"\n', ""],
)
def test_another_system_is_not(tmp_path: Path, text: str) -> None:
    file = tmp_path / "os-release"
    file.write_text(text)
    finding = checks.debian(file)
    assert not finding.good
    assert "Debian 12" in finding.remedy


def test_a_missing_release_file_is_a_finding_and_no_error(tmp_path: Path) -> None:
    assert not checks.debian(tmp_path / "nothing").good


@pytest.mark.parametrize(
    ("version", "good"), [((3, 10, 9), False), ((3, 11, 2), True), ((3, 13, 0), True), ((3, 14, 0), False)]
)
def test_python(version: tuple[int, ...], good: bool) -> None:
    assert checks.python(version).good is good


@pytest.mark.parametrize(
    ("says", "good"),
    [
        ("go version go1.26.8 linux/amd64", True),
        ("go version go1.19.8 linux/amd64", False),
        ("something else", False),
    ],
)
def test_go(tmp_path: Path, says: str, good: bool) -> None:
    program = tmp_path / "go"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    assert checks.go(str(program)).good is good


def test_go_that_does_not_run_is_a_finding(tmp_path: Path) -> None:
    assert not checks.go(str(tmp_path / "no-go")).good


def test_memory(tmp_path: Path) -> None:
    file = tmp_path / "meminfo"
    file.write_text("MemTotal:        2014036 kB\nMemFree: 1 kB\n")
    assert "4 GiB" in checks.memory(file).remedy
    file.write_text("MemTotal:        4014036 kB\n")
    assert checks.memory(file).good


def test_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    assert checks.disk(folder, 1).good
    assert "Make room" in checks.disk(folder, 2**60).remedy
    assert not folder.exists()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_taken_port_is_named(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", FREE_PORT))
        if kind == socket.SOCK_STREAM:
            held.listen()
        finding = checks.ports([FREE_PORT])
        assert str(FREE_PORT) in finding.seen
        assert "TRUNKLINE_PORT_BASE" in finding.remedy
    assert checks.ports([FREE_PORT]).good


def test_rights() -> None:
    assert checks.administrator(0).good
    assert not checks.administrator(1000).good


def test_every_missing_thing_is_told_at_once() -> None:
    told: list[str] = []
    findings = [
        Finding("disk", "1 GiB", "Make room."),
        Finding("Go", "1.26"),
        Finding("rights", "not root", "Be root."),
    ]
    assert not checks.report(findings, told.append)
    text = "".join(told)
    assert "Nothing has been changed yet." in text
    assert "Make room." in text
    assert "Be root." in text


def test_a_good_machine_takes_one_line() -> None:
    told: list[str] = []
    assert checks.report([Finding("Go", "1.26"), Finding("rights", "root")], told.append)
    assert told == ["Machine: Go 1.26; rights root\n"]
