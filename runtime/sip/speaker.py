"""The box's own voice in a call: sentences, said once or until the call goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from runtime.sip.media import Media
from runtime.sip.sounds import Sentences
from runtime.sip.tasks import OwnedTasks

_PAUSE_SECONDS: Final = 2.5


class Speaker:
    """Speaks into one call's audio."""

    def __init__(self, media: Media, sentences: Sentences, tasks: OwnedTasks) -> None:
        self._media = media
        self._sentences = sentences
        self._tasks = tasks
        self._speaking: asyncio.Task[None] | None = None

    def last_words(self, key: str, language: str, *, done: Callable[[], None]) -> None:
        """Says the sentence once, whatever else is heard, and then calls `done`."""
        self.stop()

        async def say() -> None:
            await self._say(key, language, yields_to_agent=False)
            done()

        self._speaking = self._tasks.spawn(say())

    def reassure(self, key: str, language: str, *, first: Callable[[], Awaitable[None]]) -> None:
        """Says the sentence again and again until `let_go` or `stop`, or until the agent speaks; `first` is
        awaited before."""
        self.stop()

        async def say() -> None:
            await first()
            while True:
                await self._say(key, language, yields_to_agent=True)
                await asyncio.sleep(_PAUSE_SECONDS)

        self._speaking = self._tasks.spawn(say())

    async def _say(self, key: str, language: str, *, yields_to_agent: bool) -> None:
        spoken = asyncio.Event()
        frames = self._sentences.frames(key, language)
        self._media.play(frames, done=spoken.set, yields_to_agent=yields_to_agent)
        await spoken.wait()

    def let_go(self) -> None:
        """A sentence that is being said may end, but is not said again."""
        if self._speaking is not None:
            self._speaking.cancel()
            self._speaking = None

    def stop(self) -> None:
        """Not a word more, of sentences and of ringing."""
        self.let_go()
        self._media.stop_playing()
