"""One transaction for one tenant."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from uuid import UUID
from zlib import crc32

from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from appliance.database.engine import database_errors
from appliance.database.tables import metadata

TABLES = metadata.tables
"""All of them: a reference can be followed only to a table that somebody has imported."""

TENANT_SETTING = "app.organization_id"


class UnitOfWork:
    """`async with UnitOfWork(engine, organization_id) as uow:` commits at the end, or rolls back on an error.

    Each transaction of its session carries the tenant, so that row-level security shows only that
    organization's rows. With `organization_id=None` no tenant's rows are seen by the app role; the router
    role reads what its policies let it. Raises Unavailable when the database is away, at any statement that
    leaves the block; other database errors pass unchanged.
    """

    session: AsyncSession

    def __init__(self, engine: AsyncEngine, organization_id: UUID | None) -> None:
        self._engine = engine
        self.organization_id = organization_id

    async def __aenter__(self) -> UnitOfWork:
        self.session = AsyncSession(self._engine, expire_on_commit=False)
        if self.organization_id is not None:
            tenant = str(self.organization_id)

            def set_tenant(
                _session: Session, _transaction: SessionTransaction, connection: Connection
            ) -> None:
                connection.execute(
                    text("SELECT set_config(:setting, :tenant, true)"),
                    {"setting": TENANT_SETTING, "tenant": tenant},
                )

            event.listen(self.session.sync_session, "after_begin", set_tenant)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with ExitStack() as stack:
            stack.enter_context(database_errors())
            try:
                if error is None:
                    await self.session.commit()
            finally:
                await self._close()
            if error is not None:
                raise error

    async def _close(self) -> None:
        with database_errors():
            await self.session.close()

    async def commit(self) -> None:
        """Commits now; what follows in the block is a new transaction of the same tenant."""
        with database_errors():
            await self.session.commit()

    async def lock(self, name: str) -> None:
        """Holds the box-wide lock `name` until the transaction ends; whoever else wants it waits."""
        with database_errors():
            await self.session.execute(
                text("SELECT pg_advisory_xact_lock(:space, :lock)"),
                {"space": crc32(b"trunkline") - 2**31, "lock": crc32(name.encode()) - 2**31},
            )
