"""One Triton at a time for the folder: started when a test asks, and again after a test that ended it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.engines.stt.triton_process import TritonProcess
from tests.fixtures.box import TEST_PORT

ROOM_FOR_ALL = 16
SMALL = 8


@pytest.fixture(scope="session")
def _house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[int], TritonProcess]]:
    running: list[TritonProcess] = []

    def get(max_streams: int) -> TritonProcess:
        if running:
            triton = running[-1]
            alive = triton.process is not None and triton.process.poll() is None
            if alive and triton.max_streams == max_streams:
                return triton
            triton.stop()
            running.clear()
        triton = TritonProcess(tmp_path_factory.mktemp("triton"), TEST_PORT, max_streams)
        try:
            triton.prepare()
            triton.start()
            triton.wait_until_ready()
        except BaseException:
            triton.stop()
            raise
        running.append(triton)
        return triton

    try:
        yield get
    finally:
        for triton in running:
            triton.stop()


@pytest.fixture
def triton(_house: Callable[[int], TritonProcess]) -> TritonProcess:
    """A ready server with room for all streams of a test."""
    return _house(ROOM_FOR_ALL)


@pytest.fixture
def small_triton(_house: Callable[[int], TritonProcess]) -> TritonProcess:
    """A ready server for eight streams. A test may end it."""
    return _house(SMALL)
