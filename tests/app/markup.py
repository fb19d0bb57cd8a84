"""What is wrong with a page's markup, found without a browser: well-formed, and usable without seeing or pointing.

Each rule is one that axe-core or the HTML standard has, too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

VOID = {"base", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
CONTROLS = {"input", "select", "textarea"}
UNSEEN_INPUTS = {"hidden", "submit", "button"}
HEADINGS = {f"h{level}": level for level in range(1, 7)}
ONE_OF = ("html", "title", "main", "h1")
LANDMARKS = {"header", "main", "footer", "nav"}
WITH_WORDS = ("a", "button", "summary", "label", "img", "th", *HEADINGS)
HAS_TO_HAVE = {"fieldset": "legend", "table": "caption", "details": "summary"}
REFERENCES = ("aria-describedby", "aria-labelledby", "for")
PARENTS = {
    "li": {"ul", "ol"},
    "legend": {"fieldset"},
    "caption": {"table"},
    "summary": {"details"},
    "tr": {"thead", "tbody"},
    "td": {"tr"},
    "th": {"tr"},
}
WORDS_ONLY = {"p", "a", "button", "label", "summary", "caption", *HEADINGS}
BLOCKS = {
    "div",
    "p",
    "ul",
    "ol",
    "table",
    "form",
    "fieldset",
    "section",
    "details",
    "blockquote",
    "pre",
    *HEADINGS,
}
ELSEWHERE = ("http:", "https:", "//", "data:", "javascript:")


@dataclass(eq=False)
class Element:
    """An element, with the tags of those that it is in, the nearest first, and those that are in it."""

    tag: str
    said: dict[str, str]
    around: tuple[str, ...]
    children: list[Element] = field(default_factory=list)
    words: str = ""

    def text(self) -> str:
        """What a person reads or hears, also from `aria-label` and `alt`."""
        named = self.said.get("aria-label") or self.said.get("alt", "")
        return " ".join([named, self.words, *(child.text() for child in self.children)]).strip()

    def __str__(self) -> str:
        return f"<{self.tag}{''.join(f' {name}={value!r}' for name, value in self.said.items())}>"


class Page(HTMLParser):
    """A parsed page: its elements in their order, and what was not well-formed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open = [Element("", {}, ())]
        self.elements: list[Element] = []
        self.broken = [] if html.lstrip().lower().startswith("<!doctype html>") else ["no doctype"]
        self.feed(html)
        self.close()
        self.broken += [f"{element} is not closed" for element in self.open[1:]]

    def all(self, *tags: str) -> list[Element]:
        """The elements with one of these tags."""
        return [element for element in self.elements if element.tag in tags]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, count in Counter(name for name, _ in attrs).items():
            self.broken += [f"<{tag}> says {name} twice"] * (count > 1)
        inside = self.open[-1]
        element = Element(tag, {name: value or "" for name, value in attrs}, (inside.tag, *inside.around))
        inside.children.append(element)
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag == self.open[-1].tag:
            self.open.pop()
        else:
            self.broken.append(f"</{tag}> ends {self.open[-1]}")

    def handle_data(self, data: str) -> None:
        self.open[-1].words += f" {data.strip()}" if data.strip() else ""


def faults(html: str) -> list[str]:
    """Return what is wrong with a page, one line a fault."""
    page = Page(html)
    rules = (_outline, _landmarks, _references, _fields, _names, _nesting, active)
    return [*page.broken, *(fault for rule in rules for fault in rule(page))]


def active(page: Page) -> Iterator[str]:
    """What the policy for content would keep from working."""
    for element in page.elements:
        if element.tag == "style" or (element.tag == "script" and "src" not in element.said):
            yield f"{element} is inline"
        yield from (
            f"{element} has {name}" for name in element.said if name == "style" or name.startswith("on")
        )
        for name in ("src", "action", "href"):
            if element.tag != "a" and element.said.get(name, "").startswith(ELSEWHERE):
                yield f"{element} comes from elsewhere"


def _outline(page: Page) -> Iterator[str]:
    for tag in ONE_OF:
        if (count := len(page.all(tag))) != 1:
            yield f"{count} of <{tag}>"
    if not all(html.said.get("lang") for html in page.all("html")):
        yield "no language"
    if not all(title.text() for title in page.all("title")):
        yield "no title"
    for before, after in pairwise(HEADINGS[heading.tag] for heading in page.all(*HEADINGS)):
        if after > before + 1:
            yield f"h{after} follows h{before}"


def _landmarks(page: Page) -> Iterator[str]:
    first = next(iter(page.all("a", "button", *CONTROLS)), None)
    main = {main.said.get("id", "") for main in page.all("main")}
    if first is None or first.said.get("href", "")[1:] not in main:
        yield "the first link does not lead to the content"
    for name, count in Counter(nav.said.get("aria-label", "") for nav in page.all("nav")).items():
        if count > 1 or not name:
            yield f"{count} navigations called {name!r}"
    for body in page.all("body"):
        for child in body.children:
            if child.tag not in LANDMARKS and child is not first:
                yield f"{child} is in no landmark"


def _references(page: Page) -> Iterator[str]:
    ids = Counter(element.said["id"] for element in page.elements if "id" in element.said)
    yield from (
        f"{count} elements have the id {name!r}" for name, count in ids.items() if count > 1 or not name
    )
    for element in page.elements:
        wanted = [name for key in REFERENCES for name in element.said.get(key, "").split()]
        if element.said.get("href", "").startswith("#"):
            wanted.append(element.said["href"][1:])
        yield from (f"{element} refers to {name!r}, which is not there" for name in wanted if name not in ids)


def _fields(page: Page) -> Iterator[str]:
    """Each has a label; one that is wrong says why, or its group does."""
    labelled = {label.said.get("for", "") for label in page.all("label")}
    for control in page.all(*CONTROLS):
        kind, said = control.said.get("type", ""), control.said
        if kind in UNSEEN_INPUTS:
            continue
        if said.get("id") not in labelled and "label" not in control.around:
            yield f"{control} has no label"
        if kind in {"radio", "checkbox"}:
            if "fieldset" not in control.around:
                yield f"{control} is in no group"
        elif "aria-invalid" in said and "aria-describedby" not in said:
            yield f"{control} is wrong and does not say why"


def _names(page: Page) -> Iterator[str]:
    yield from (f"{element} has no words" for element in page.all(*WITH_WORDS) if not element.text())
    for element in page.all(*HAS_TO_HAVE):
        part = HAS_TO_HAVE[element.tag]
        if not any(child.tag == part for child in element.children):
            yield f"{element} has no {part}"
    yield from (f"{th} has no scope" for th in page.all("th") if "scope" not in th.said)


def _nesting(page: Page) -> Iterator[str]:
    for element in page.elements:
        inside = element.around[0]
        if inside not in PARENTS.get(element.tag, {inside}) or (
            inside in {"ul", "ol"} and element.tag != "li"
        ):
            yield f"{element} is in <{inside}>"
        if element.tag in BLOCKS and (bad := WORDS_ONLY.intersection(element.around)):
            yield f"{element} is in {sorted(bad)}"
        if element.tag in {"a", "button", *CONTROLS} and {"a", "button"}.intersection(element.around):
            yield f"{element} is in something to press"
