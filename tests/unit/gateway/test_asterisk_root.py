"""The root is made once, made anew when it is not whole or not as it should be, and never half there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioning.lite import asterisk_root
from provisioning.lite.asterisk_root import RootInstallError, install_root, installed_version, is_installed


class Making:
    """Stands where debootstrap and apt would work for minutes."""

    def __init__(self) -> None:
        self.times = 0
        self.fails = False

    def __call__(self, root: Path, *_: Any) -> str:
        self.times += 1
        assert not root.exists(), "the left-overs are cleared away before"
        (root / "usr/sbin").mkdir(parents=True)
        if self.fails:
            raise RootInstallError("interrupted")
        (root / "usr/sbin/asterisk").write_text(str(self.times))
        return "1:22.0"


@pytest.fixture
def making(monkeypatch: pytest.MonkeyPatch) -> Making:
    making = Making()
    monkeypatch.setattr(asterisk_root, "_make", making)
    return making


def quiet(_line: str) -> None: ...


def test_it_is_made_once(tmp_path: Path, making: Making) -> None:
    assert not is_installed(tmp_path)
    root = install_root(tmp_path, quiet)
    assert install_root(tmp_path, quiet) == root
    assert is_installed(tmp_path)
    assert installed_version(root) == "1:22.0"
    assert making.times == 1


def test_an_interrupted_installation_is_made_anew(tmp_path: Path, making: Making) -> None:
    making.fails = True
    with pytest.raises(RootInstallError):
        install_root(tmp_path, quiet)
    assert not is_installed(tmp_path)
    making.fails = False
    install_root(tmp_path, quiet)
    assert is_installed(tmp_path)


def broken(root: Path) -> None:
    (root / "usr/sbin/asterisk").unlink()


def without_stamp(root: Path) -> None:
    (root / "trunkline-root.json").unlink()


def with_half_a_stamp(root: Path) -> None:
    (root / "trunkline-root.json").write_text('{"layout": ')


@pytest.mark.parametrize("damage", [broken, without_stamp, with_half_a_stamp])
def test_a_damaged_root_is_made_anew(tmp_path: Path, making: Making, damage: Callable[[Path], None]) -> None:
    damage(install_root(tmp_path, quiet))
    assert not is_installed(tmp_path)
    install_root(tmp_path, quiet)
    assert is_installed(tmp_path)
    assert making.times == 2


def test_a_root_with_an_older_module_stays_usable_until_the_new_one_is_whole(
    tmp_path: Path, making: Making, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = install_root(tmp_path, quiet)
    monkeypatch.setattr(asterisk_root, "LAYOUT", 99)
    making.fails = True
    with pytest.raises(RootInstallError):
        install_root(tmp_path, quiet)
    assert (root / "usr/sbin/asterisk").read_text() == "1"
    making.fails = False
    install_root(tmp_path, quiet)
    assert (root / "usr/sbin/asterisk").read_text() == "3"
