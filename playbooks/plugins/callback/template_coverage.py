"""Records which templates a playbook run rendered, and which of their branches, for the coverage of the infrastructure.

Ansible gives jinja2 a template's text, tagged with the file that it is from. Each branch of its syntax tree gets
a statement that outputs nothing and writes down that it ran. Workers are forks of this process and inherit that.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible._internal._datatag._tags import Origin
from ansible.plugins.callback import CallbackBase
from jinja2 import Environment, nodes

DOCUMENTATION = """
name: template_coverage
type: aggregate
short_description: Records the templates that were rendered
description:
  - Appends a JSON line for each file below a folder C(templates) that is rendered, and for each of its branches
    that is taken, to a file of this process in the folder that the environment variable E(INFRA_COVERAGE_DIR)
    names. Does nothing without it.
requirements:
  - enabled by C(callbacks_enabled = template_coverage)
"""

RENDERED = -1
"""In the place of a branch's number: the template itself."""


def branches(template: nodes.Template) -> Iterator[tuple[int, str, list[nodes.Node]]]:
    """Line, outcome and statements of each branch, in an order that only the template's text decides.

    Who adds to the statements has what is added run with the branch; without an else they are empty.
    """
    found = list(template.find_all((nodes.If, nodes.For)))
    elifs = [each for node in found if isinstance(node, nodes.If) for each in node.elif_]
    for node in found:
        if isinstance(node, nodes.For):
            yield node.lineno, "entered", node.body
            if node.else_:
                yield node.lineno, "else", node.else_
        elif isinstance(node, nodes.If):
            yield node.lineno, "when true", node.body
            if not any(node is each for each in elifs):
                yield [node, *node.elif_][-1].lineno, "when false", node.else_


class CallbackModule(CallbackBase):
    """Appends {file, sha256 of the file, number in branches()} once per process for what is rendered."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "template_coverage"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        folder = Path(os.environ.get("INFRA_COVERAGE_DIR", ""))
        self.disabled = "INFRA_COVERAGE_DIR" not in os.environ or not folder.is_dir()
        self._out = folder / f"templates-{os.getpid()}.jsonl"
        self._seen: set[tuple[str, str, int]] = set()
        if not self.disabled:
            self._instrument()

    def _instrument(self) -> None:
        parse = Environment._parse

        def instrumented(
            environment: Environment, source: str, name: str | None, filename: str | None
        ) -> nodes.Template:
            template = parse(environment, source, name, filename)
            origin = Origin.get_tag(source)
            file = filename or (origin and origin.path)
            if file and "templates" in Path(file).parts:
                digest = hashlib.sha256(source.encode(errors="surrogateescape")).hexdigest()
                places = [(1, "", template.body), *branches(template)]
                for number, (line, _, statements) in enumerate(places, RENDERED):
                    told = [nodes.Const(each) for each in (file, digest, number)]
                    call = nodes.Call(nodes.EnvironmentAttribute("rendered"), told, [], None, None)
                    statements.insert(0, nodes.ExprStmt(call).set_lineno(line))
                template.set_environment(environment)
            return template

        Environment._parse = instrumented  # type: ignore[assignment, method-assign]
        Environment.rendered = staticmethod(self._rendered)  # type: ignore[attr-defined]

    def _rendered(self, file: str, digest: str, number: int) -> None:
        """A template, or a branch of one, begins."""
        if (file, digest, number) in self._seen:
            return
        self._seen.add((file, digest, number))
        with suppress(OSError), self._out.open("a", encoding="utf-8") as out:
            out.write(json.dumps({"file": file, "sha256": digest, "branch": number}) + "\n")
