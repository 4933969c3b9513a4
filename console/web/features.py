"""Finds the features of the console: a folder with `pages.py` or `routes.py` is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from litestar.openapi import OpenAPIConfig

from appliance.access.domain import Right

FOLDER = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class NavigationEntry:
    """An entry of the menu, shown to those who have the right.

    Args:
        order: entries with a smaller number stand further up (overview 10, calls 20, agents 30, numbers 40,
            trunks 45, hours 50, functions 55, bookings 60, widget 65, organization 70, members 75, audit 80,
            box 90).
        group: `Work`, `Set-up`, `Control`: entries of one group stand together under its name.
    """

    title: str
    path: str
    right: Right
    order: int
    group: str = ""


@dataclass(frozen=True)
class Feature:
    name: str
    folder: Path
    routes: Sequence[Any]
    navigation: Sequence[NavigationEntry]
    openapi: OpenAPIConfig | None


def discover() -> list[Feature]:
    """Every feature, by name."""
    found: list[Feature] = []
    for folder in sorted(FOLDER.iterdir()):
        if not (folder / "__init__.py").exists():
            continue
        modules = [
            import_module(f"console.{folder.name}.{part}")
            for part in ("pages", "routes")
            if find_spec(f"console.{folder.name}.{part}") is not None
        ]
        if not modules:
            continue
        found.append(
            Feature(
                name=folder.name,
                folder=folder,
                routes=[route for module in modules for route in getattr(module, "ROUTES", ())],
                navigation=[entry for module in modules for entry in getattr(module, "NAVIGATION", ())],
                openapi=next((m.OPENAPI for m in modules if hasattr(m, "OPENAPI")), None),
            )
        )
    return found


def navigation(found: Sequence[Feature]) -> tuple[NavigationEntry, ...]:
    """All entries of the menu in their order."""
    entries = [entry for feature in found for entry in feature.navigation]
    return tuple(sorted(entries, key=lambda entry: (entry.order, entry.title)))
