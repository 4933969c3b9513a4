"""One chat server behind the router: its connection, its bound, and the breaker that lets it rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import structlog

from appliance.clients.language_answer import Answer, useful
from appliance.clients.language_events import LanguageEvent, ServedBy
from appliance.errors import AtCapacity, InvalidInput, TrunklineError, Unavailable

_log = structlog.get_logger(__name__)

_FAILURES = (openai.OpenAIError, httpx2.HTTPError, TimeoutError, UnicodeError, ValueError, LookupError)


@dataclass(frozen=True)
class Patience:
    """How long a server may take, in seconds: to its first words, between two pieces, and in all."""

    first_token: float = 2.5
    gap: float = 2.5
    whole: float = 30.0


class Malformed(Unavailable):
    """An answer that nobody can use: no words, and no tool call that fits. `events` are what was said."""

    def __init__(self, events: list[LanguageEvent]) -> None:
        super().__init__("The language model's answer cannot be used.", code="malformed_answer")
        self.events = events


class Lost(Unavailable):
    """The server was lost after a part of its answer had been handed on."""


class Breaker:
    """Lets a server that failed rest; then a single request tries it, and its outcome decides.

    `now` is a monotonic clock in seconds.
    """

    def __init__(self, rest_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rest_seconds = rest_seconds
        self._now = now
        self._rests_until: float | None = None
        self._probing = False

    def allows(self) -> bool:
        """May this request ask the server? After the rest it is the probe, and the only one."""
        if self._rests_until is None:
            return True
        if self._now() < self._rests_until or self._probing:
            return False
        self._probing = True
        return True

    def failed(self) -> None:
        self._rests_until = self._now() + self._rest_seconds
        self._probing = False

    def worked(self) -> None:
        self._rests_until = None
        self._probing = False

    def undecided(self) -> None:
        """The request ended without showing whether the server works."""
        self._probing = False


class ChatEngine:
    """Asks one server. Raises AtCapacity at once when it has no place for the request."""

    def __init__(
        self,
        served_by: ServedBy,
        base_url: str,
        model: str,
        api_key: str | None,
        *,
        patience: Patience,
        max_requests: int,
        rest_seconds: float,
    ) -> None:
        self.served_by: ServedBy = served_by
        self.breaker = Breaker(rest_seconds)
        self._model = model
        self._patience = patience
        self._max_requests = max_requests
        self._asking = 0
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=api_key or "none",
            max_retries=0,
            timeout=openai.Timeout(patience.whole, connect=2.0),
            # Reading the system's certificates blocks the loop, and plain HTTP on loopback needs none.
            http_client=openai.DefaultAsyncHttpxClient(
                verify=not base_url.lower().startswith("http://"), follow_redirects=False
            ),
        )

    async def answer(
        self, body: Mapping[str, Any], tools: Sequence[Mapping[str, Any]], max_tokens: int
    ) -> AsyncGenerator[list[LanguageEvent], None]:
        """Batches of events; the first holds something useful, the last ends with `Finished`.

        Raises Malformed, Lost (after a batch), Unavailable, AtCapacity, InvalidInput. Closing the generator
        closes the connection, and with it the server's work.
        """
        if self._asking >= self._max_requests:
            raise AtCapacity("The language model is at capacity.", retry_after_seconds=1)
        self._asking += 1
        spoken = decided = False
        stream: Any = None
        answer = Answer(self.served_by, tools, max_tokens)
        ends_at = time.monotonic() + self._patience.whole
        try:
            async with asyncio.timeout(self._patience.first_token):
                stream = await self._open(body)
                chunks = aiter(stream)
                batch: list[LanguageEvent] = []
                while not useful(batch) and not answer.ended:
                    answer.take(await anext(chunks, None))
                    batch += answer.events()
            decided = True
            self.breaker.worked()
            if not useful(batch):
                raise Malformed(batch)
            while True:
                spoken = True
                yield batch
                if answer.ended:
                    return
                batch = []
                while not batch:
                    seconds = min(self._patience.gap, ends_at - time.monotonic())
                    async with asyncio.timeout(max(seconds, 0)):
                        answer.take(await anext(chunks, None))
                    batch = answer.events()
        except _FAILURES as error:
            decided = True
            typed = self._typed(error)
            if not isinstance(typed, AtCapacity | InvalidInput):
                self.breaker.failed()
            if spoken:
                raise Lost(typed.message) from error
            raise typed from error
        finally:
            self._asking -= 1
            if not decided:
                self.breaker.undecided()
            if stream is not None:
                await stream.close()

    async def read(self, body: Mapping[str, Any]) -> None:
        """Has the server read a prompt, for its prefix cache. Raises what `answer` raises."""
        try:
            async with asyncio.timeout(self._patience.whole):
                await self._client.chat.completions.create(model=self._model, **body)
        except _FAILURES as error:
            raise self._typed(error) from error

    async def _open(self, body: Mapping[str, Any]) -> Any:
        return await self._client.chat.completions.create(
            model=self._model, stream=True, stream_options={"include_usage": True}, **body
        )

    def _typed(self, error: BaseException) -> TrunklineError:
        if isinstance(error, openai.RateLimitError):
            return AtCapacity("The language model is at capacity.", retry_after_seconds=1)
        if isinstance(error, (openai.BadRequestError, openai.UnprocessableEntityError)):
            return InvalidInput(f"The language model refused the request: {error.message}", field="messages")
        if isinstance(error, (TimeoutError, openai.APITimeoutError)):
            return Unavailable(f"The language model said nothing within {self._patience.first_token:g} s.")
        return Unavailable(
            f"The language model does not answer ({type(error).__name__}).",
            remedy="See that the language server runs.",
        )

    async def close(self) -> None:
        await self._client.close()
