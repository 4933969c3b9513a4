"""What the database keeps of a call, read as the application's role under row-level security."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from appliance.errors import Unavailable
from appliance.settings import Settings

Row = dict[str, Any]
_CONNECT_SECONDS = 5
_POLL_SECONDS = 0.1


class CallRecords:
    """`async with CallRecords(settings, organization_id) as records:`. Unavailable without a database."""

    def __init__(self, settings: Settings, organization_id: UUID) -> None:
        self._url = settings.database.url("app", driver="postgresql")
        self._organization_id = organization_id
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self._connected()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            await self._connection.close()

    async def call(self, sip_call_id: str) -> Row | None:
        """The call of a SIP Call-ID."""
        rows = await self.rows(
            "SELECT * FROM calls WHERE sip_call_id = %s ORDER BY created_at DESC", sip_call_id
        )
        return rows[0] if rows else None

    async def turns(self, call_id: UUID) -> list[Row]:
        return await self.rows('SELECT * FROM turns WHERE call_id = %s ORDER BY attempt, "index"', call_id)

    async def segments(self, call_id: UUID) -> list[Row]:
        query = 'SELECT * FROM transcript_segments WHERE call_id = %s ORDER BY attempt, "index"'
        return await self.rows(query, call_id)

    async def bookings(self, call_id: UUID) -> list[Row]:
        """With `starts_at` and `ends_at` (UTC) instead of the range, and the calendar's name."""
        return await self.rows(
            "SELECT bookings.id, lower(during) AS starts_at, upper(during) AS ends_at, bookings.name, phone,"
            " reason, calendars.name AS calendar, cancelled_at FROM bookings"
            " JOIN calendars ON calendars.id = bookings.calendar_id"
            " WHERE call_id = %s ORDER BY bookings.created_at",
            call_id,
        )

    async def recordings(self, call_id: UUID) -> list[Row]:
        return await self.rows("SELECT * FROM recordings WHERE call_id = %s ORDER BY attempt", call_id)

    async def tool_calls(self, call_id: UUID) -> list[Row]:
        return await self.rows("SELECT * FROM tool_calls WHERE call_id = %s ORDER BY created_at", call_id)

    async def events(self, call_id: UUID) -> list[Row]:
        return await self.rows("SELECT * FROM call_events WHERE call_id = %s ORDER BY at", call_id)

    async def agent_text(self, call_id: UUID) -> str:
        """All that the agent has said so far, turn after turn."""
        return "".join(f"{turn['agent_text']} " for turn in await self.turns(call_id) if turn["agent_text"])

    async def booking_count(self) -> int:
        return int(
            (await self.rows("SELECT count(*) AS n FROM bookings WHERE upper(during) > now()"))[0]["n"]
        )

    async def found(self, sip_call_id: str, timeout_seconds: float = 20) -> Row:
        """Waits for the call's row. Unavailable when it does not come."""
        return await self._until(
            lambda row: row is not None, sip_call_id, timeout_seconds, "was not admitted"
        )

    async def finished(self, sip_call_id: str, timeout_seconds: float = 60) -> Row:
        """Waits until the bridge and the worker have both reported the call's end."""
        return await self._until(
            lambda row: row is not None and row["ended_at"] is not None and row["finished_at"] is not None,
            sip_call_id,
            timeout_seconds,
            "has not been reported as ended",
        )

    async def stored_recording(self, call_id: UUID, timeout_seconds: float = 90) -> Row:
        """Waits until the call's recording lies in the object store."""
        deadline = time.monotonic() + timeout_seconds
        states = "there is none"
        while time.monotonic() < deadline:
            rows = await self.recordings(call_id)
            if rows and all(row["state"] == "stored" for row in rows):
                return rows[-1]
            states = ", ".join(row["state"] for row in rows) or states
            await asyncio.sleep(_POLL_SECONDS)
        raise Unavailable(f"The recording was not stored within {timeout_seconds:g} s: {states}.")

    async def _until(self, holds: Any, sip_call_id: str, timeout_seconds: float, what: str) -> Row:
        deadline = time.monotonic() + timeout_seconds
        while time.monotonic() < deadline:
            row = await self.call(sip_call_id)
            if row is not None and holds(row):
                return row
            await asyncio.sleep(_POLL_SECONDS)
        raise Unavailable(f"The call {what} within {timeout_seconds:g} s.")

    async def rows(self, query: str, *values: Any) -> list[Row]:
        """Rows of one query; a connection that broke (the database was restarted) is opened anew once."""
        async with self._one_at_a_time:
            for attempt in (1, 2):
                connection = await self._connected()
                try:
                    return await (await connection.execute(query.encode(), values)).fetchall()
                except psycopg.OperationalError as error:
                    await connection.close()
                    if attempt == 2:
                        raise Unavailable("The database does not answer.") from error
            raise AssertionError

    async def _connected(self) -> psycopg.AsyncConnection[Row]:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = await psycopg.AsyncConnection[Row].connect(
                    self._url,
                    autocommit=True,
                    row_factory=dict_row,
                    connect_timeout=_CONNECT_SECONDS,
                    application_name="trunkline-records",
                )
                await self._connection.execute(
                    "SELECT set_config('app.organization_id', %s, false)", (str(self._organization_id),)
                )
            except psycopg.OperationalError as error:
                raise Unavailable("The database does not answer.", remedy="Look at its log.") from error
        return self._connection
