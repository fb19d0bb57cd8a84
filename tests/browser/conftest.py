"""A browser at the service as `make up` leaves it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from tests.parts.browser import chromium
from tests.rollout.checkout import REPOSITORY, Checkout
from tests.rollout.conftest import checkout, up

__all__ = ["checkout", "up"]
SHOTS = REPOSITORY / ".run/reports/screenshots"
WIDE, NARROW = ViewportSize(width=1280, height=900), ViewportSize(width=360, height=740)


@dataclass
class Visitor:
    """Somebody at the service, with a folder for what was seen."""

    page: Page
    url: str
    shots: Path
    faults: list[str] = field(default_factory=list)
    seen: int = 0

    def go(self, path: str) -> None:
        self.page.goto(f"{self.url}{path}")

    def look(self, name: str) -> None:
        """Keep what the page looks like, wide and on a phone; note what axe finds and what does not fit."""
        self.seen += 1
        for width, size in (("wide", WIDE), ("narrow", NARROW)):
            self.page.set_viewport_size(size)
            self.page.screenshot(path=self.shots / f"{self.seen:02}-{name}-{width}.png", full_page=True)
            if self.page.evaluate("document.documentElement.scrollWidth") > size["width"]:
                self.faults.append(f"{name}: wider than {size['width']} px")
            cut = "cells => cells.filter(cell => cell.scrollWidth > cell.clientWidth).length"
            if cells := self.page.locator("td").evaluate_all(cut):
                self.faults.append(f"{name}: {cells} cells are too narrow at {size['width']} px")
            found = Axe().run(self.page).response["violations"]
            self.faults += [
                f"{name}, {width}: {one['impact']} {one['id']}: {[node['html'] for node in one['nodes']][:3]}"
                for one in found
                if one["impact"] in ("serious", "critical")
            ]
        self.page.set_viewport_size(WIDE)

    def press(self, name: str) -> None:
        """Press the button of this name."""
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def follow(self, name: str) -> None:
        """Follow the link of this name."""
        self.page.get_by_role("link", name=re.compile(name)).first.click()

    def says(self, text: str, seconds: float = 20) -> None:
        """Wait until the page says so."""
        self.page.get_by_text(re.compile(text)).first.wait_for(timeout=1000 * seconds)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root, as whom containers run tests, has no sandbox of Chromium's.
        opened = playwright.chromium.launch(executable_path=chromium(), chromium_sandbox=False)
        yield opened
        opened.close()


@pytest.fixture
def visitor(up: Checkout, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Visitor]:
    """A visitor with a fresh profile. What the pages of a test have wrong fails it at its end."""
    shots = SHOTS / request.node.name.removeprefix("test_")
    shots.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport=WIDE, locale="en-GB", timezone_id="Africa/Addis_Ababa")
    page = context.new_page()
    one = Visitor(page, up.url, shots)
    page.on("pageerror", lambda error: one.faults.append(f"script: {error}"))
    page.on(
        "console", lambda line: one.faults.append(f"console: {line.text}") if line.type == "error" else None
    )
    yield one
    context.close()
    assert one.faults == []
