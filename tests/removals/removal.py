"""A file of tasks without one of them: only that task's lines go, and what is left can be run."""

from __future__ import annotations

from collections.abc import Iterable

import yaml

NOTHING = "ansible.builtin.meta: noop"


def without(text: str, number: int, *, handler: bool = False) -> str:
    """The text without the task that begins on a line, counted from 1; StopIteration when none does.

    Of a handler the name stays and does nothing: without it whoever notifies it would fail for that alone.
    """
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    assert document is not None, "there is nothing in it"
    holder, task = next(iter(_places(document, number - 1)))
    rows, first, end = text.splitlines(keepends=True), number - 1, task.end_mark.line
    while end > number and (not rows[end - 1].strip() or rows[end - 1].lstrip().startswith("#")):
        end -= 1  # what stands above the next one belongs to that
    left = []
    if handler:
        left = [rows[first], f"{' ' * task.start_mark.column}{NOTHING}\n"]
    elif len(holder.value) == 1:  # a block may not be empty
        left = [f"{rows[first][: task.start_mark.column]}{NOTHING}\n"]
    kept = "".join([*rows[:first], *left, *rows[max(end, number) :]])
    try:
        yaml.compose(kept, Loader=yaml.SafeLoader)
    except yaml.composer.ComposerError:  # another one repeats a part of it: written out, it has that itself
        holder.value[holder.value.index(task)] = yaml.compose(NOTHING, Loader=yaml.SafeLoader)
        kept = yaml.serialize(document, Dumper=yaml.SafeDumper, width=1000)
    return kept


def _places(node: yaml.Node, line: int) -> Iterable[tuple[yaml.SequenceNode, yaml.Node]]:
    """The list with an item that begins on the line, and that item; the outermost first."""
    if isinstance(node, yaml.SequenceNode):
        yield from ((node, child) for child in node.value if child.start_mark.line == line)
        children = node.value
    else:
        children = [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else []
    for child in children:
        yield from _places(child, line)
