"""The demo ends with one address, one login, and the way there."""

from __future__ import annotations

import pytest

from provisioning.demo.display import Display
from provisioning.demo.run import tell_sign_in
from provisioning.lite.ports import Ports


def test_the_end_of_the_demo_says_how_to_sign_in(capsys: pytest.CaptureFixture[str]) -> None:
    address = ("http://127.0.0.1:17032", "admin", "s3cret[bold]")
    tell_sign_in(Display(), address, Ports(17000))
    told = capsys.readouterr().out
    for word in address:
        assert told.count(word) == 1
    assert "-L 17032:127.0.0.1:17032 -L 17030:127.0.0.1:17030" in told
    assert "browser" in told
