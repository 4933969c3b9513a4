"""A page: a template in the layout, with menu, form token, time zone and language of the one who looks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import MediaType, Response
from litestar.response import Redirect

from appliance.access.domain import Actor, ActorKind, Right
from console.web.cookies import NOTICE
from console.web.features import NavigationEntry
from console.web.headers import content_security_policy
from console.web.wiring import Wiring

NOTICE_SECONDS = 60


@dataclass(frozen=True)
class OrganizationChoice:
    id: UUID
    name: str


@dataclass(frozen=True)
class Viewer:
    """Who looks at a page; without an actor nobody is signed in."""

    actor: Actor | None = None
    email: str | None = None
    organization_name: str = ""
    accent: str = ""
    """`#rrggbb` of the organization, or nothing."""
    timezone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    language: str = "en"
    organizations: tuple[OrganizationChoice, ...] = ()

    def may(self, right: Right | str) -> bool:
        return self.actor is not None and self.actor.may(Right(right))


@dataclass(frozen=True)
class Page:
    """`return page.render("calls/list.html", calls=calls)` in a handler that asks for `page`."""

    wiring: Wiring
    path: str
    viewer: Viewer
    form_token: str = ""
    notice: dict[str, Any] | None = None
    theme: str = ""

    @property
    def timezone(self) -> ZoneInfo:
        return self.viewer.timezone

    @property
    def language(self) -> str:
        return self.viewer.language

    def render(
        self, template: str, *, status_code: int = 200, connect: Sequence[str] = (), **context: Any
    ) -> Response[str]:
        """The whole page. Templates may use `viewer`, `may("calls:read")`, `csrf`, `path`, `timezone`.

        `connect` names further origins that the page's scripts may talk to.
        """
        response = Response(
            self.fragment(template, **context), media_type=MediaType.HTML, status_code=status_code
        )
        if connect:
            policy = content_security_policy(self.wiring.settings, connect=" ".join(connect))
            response.headers["Content-Security-Policy"] = policy
        if self.notice is not None:
            response.set_cookie(self.wiring.cookies.drop(NOTICE))
        return response

    def fragment(self, template: str, **context: Any) -> str:
        """The text alone: a piece of a page for a script to put in place."""
        return self.wiring.templates.get_template(template).render(
            viewer=self.viewer,
            may=self.viewer.may,
            csrf=self.form_token,
            actor=self.viewer.actor,
            organization=self.viewer.organization_name,
            path=self.path,
            navigation=self._menu(),
            notice=self.notice,
            theme=self.theme,
            timezone=self.viewer.timezone,
            language=self.viewer.language,
            site_name=self.wiring.settings.site_name,
            emergency=self.viewer.actor is not None and self.viewer.actor.kind is ActorKind.EMERGENCY,
            **context,
        )

    def redirect(self, path: str, *, notice: str = "", bad: bool = False) -> Redirect:
        """To another page of the console (303), which then shows the notice once."""
        response = Redirect(own_path(path), status_code=303)
        if notice:
            content = {"text": notice, "bad": bad}
            response.set_cookie(self.wiring.cookies.sealed(NOTICE, content, seconds=NOTICE_SECONDS))
        return response

    def _menu(self) -> list[NavigationEntry]:
        return [entry for entry in self.wiring.navigation if self.viewer.may(entry.right)]


def own_path(target: str | None, fallback: str = "/") -> str:
    """The target if it is a path of the console itself, else the fallback: nobody is sent elsewhere."""
    if not target or len(target) > 2000 or not target.startswith("/"):
        return fallback
    if target.startswith(("//", "/\\")) or any(ord(letter) <= 32 or letter == "\\" for letter in target):
        return fallback
    parts = urlsplit(target)
    return fallback if parts.scheme or parts.netloc else target
