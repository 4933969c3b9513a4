"""How heavy the console's pages are and how soon they can be used, in a real Chromium with an empty cache.

    TRUNKLINE_SETTINGS=var/box/settings.yaml .venv/bin/python -m benchmarks.console_pages [--repeat 3]

Signs in at Keycloak with the box's first login, follows the links of the menu and of the pages, and opens
every kind of page several times. "Interactive" is `domInteractive` or the end of the page's own scripts
(`domContentLoadedEventEnd`), whichever is later, counted from the start of the navigation; "painted" is the
first contentful paint. Writes `benchmarks/results/<time>-console-pages.json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import re
import statistics
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from playwright.async_api import Page, async_playwright

from appliance.errors import InvalidInput, TrunklineError
from appliance.settings import load_settings
from provisioning.identity.first_login import first_login
from provisioning.lite.box import Box

RESULTS = Path(__file__).parent / "results"
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)
FILES = (".csv", ".wav", ".json", ".jsonl", "/export")
MOST_BYTES, MOST_MS = 200_000, 1000.0
MOST_KINDS = 60
_IDENTIFIER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TIMING = """() => {
  const way = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return { interactive: Math.max(way.domInteractive, way.domContentLoadedEventEnd),
           answered: way.responseEnd, painted: paint ? paint.startTime : null };
}"""


@dataclass(frozen=True)
class Measured:
    """One kind of page; times in milliseconds, the median of the visits and the slowest."""

    page: str
    transferred_bytes: int
    interactive_ms: float
    interactive_max_ms: float
    painted_ms: float
    answered_ms: float

    @property
    def good(self) -> bool:
        return self.transferred_bytes < MOST_BYTES and self.interactive_ms < MOST_MS


def _kind(path: str) -> str:
    return re.sub(r"/\d+$", "/*", _IDENTIFIER.sub("*", path.split("?")[0].split("#")[0]))


async def _links(page: Page) -> list[str]:
    found: list[str] = await page.eval_on_selector_all(
        "a[href^='/']", "elements => elements.map((each) => each.getAttribute('href'))"
    )
    return [path for path in found if not path.split("?")[0].endswith(FILES)]


async def _measure(page: Page, received: list[int], origin: str, path: str, repeat: int) -> Measured:
    visits: list[dict[str, Any]] = []
    sizes: list[int] = []
    for _ in range(repeat):
        await page.goto("about:blank")
        received.clear()
        await page.goto(origin + path, wait_until="load")
        await page.wait_for_function("() => performance.getEntriesByType('paint').length > 0")
        visits.append(await page.evaluate(_TIMING))
        sizes.append(sum(received))
    return Measured(
        page=_kind(path),
        transferred_bytes=max(sizes),
        interactive_ms=round(statistics.median(each["interactive"] for each in visits), 1),
        interactive_max_ms=round(max(each["interactive"] for each in visits), 1),
        painted_ms=round(statistics.median(each["painted"] or 0 for each in visits), 1),
        answered_ms=round(statistics.median(each["answered"] for each in visits), 1),
    )


async def measure(box: Box, repeat: int) -> list[Measured]:
    """Every kind of page that a link leads to, as the first login sees them."""
    origin = box.settings.console.url
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            page = await browser.new_page(viewport={"width": 1360, "height": 900})
            page.set_default_timeout(60_000)
            user, password = first_login(box)
            await page.goto(origin)
            await page.locator("#username").fill(user)
            await page.locator("#password").fill(password)
            await page.locator("#kc-login").click()
            await page.locator("main h1").wait_for()
            network = await page.context.new_cdp_session(page)
            await network.send("Network.enable")
            await network.send("Network.setCacheDisabled", {"cacheDisabled": True})
            received: list[int] = []

            def count(event: dict[str, Any]) -> None:
                received.append(int(event["encodedDataLength"]))

            network.on("Network.loadingFinished", count)
            waiting, seen = ["/", f"/agents/{box.seed.agent_id}"], set[str]()
            found: list[Measured] = []
            while waiting and len(seen) < MOST_KINDS:
                path = waiting.pop(0)
                if _kind(path) in seen:
                    continue
                seen.add(_kind(path))
                found.append(await _measure(page, received, origin, path, repeat))
                waiting += await _links(page)
            return found
        finally:
            await browser.close()


def main() -> int:
    """Exit codes: 0 within the budget, 1 a page is over it, 2 used wrongly or the console does not answer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3, help="visits of each page (3)")
    arguments = parser.parse_args()
    try:
        if arguments.repeat < 1:
            raise InvalidInput("At least one visit, please.", field="repeat")
        box = Box.open(load_settings().spool_dir.parent)
        box.start("keycloak", "console")
        before = psutil.getloadavg()
        found = asyncio.run(measure(box, arguments.repeat))
    except TrunklineError as error:
        sys.stderr.write(f"console pages: {error}\n")
        return 2
    found.sort(key=lambda each: each.interactive_ms, reverse=True)
    for each in found:
        word = "" if each.good else "  OVER THE BUDGET"
        print(
            f"{each.page:44} {each.transferred_bytes / 1000:7.1f} kB"
            f"  interactive {each.interactive_ms:6.0f} ms (slowest {each.interactive_max_ms:.0f})"
            f"  painted {each.painted_ms:6.0f} ms{word}"
        )
    document = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {
            "cores": psutil.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "python": platform.python_version(),
            "load_before": [round(each, 2) for each in before],
            "load_after": [round(each, 2) for each in psutil.getloadavg()],
        },
        "visits": arguments.repeat,
        "budget": {"bytes": MOST_BYTES, "interactive_ms": MOST_MS},
        "pages": [asdict(each) for each in found],
    }
    RESULTS.mkdir(exist_ok=True)
    target = RESULTS / f"{datetime.now(UTC):%Y-%m-%dT%H%M}-console-pages.json"
    target.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"{len(found)} pages; written to {target}")
    return 0 if all(each.good for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
