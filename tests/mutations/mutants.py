"""The changes: mutmut's, and a few more, without those that only change a text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import unified_diff
from functools import cached_property
from pathlib import Path
from textwrap import indent
from types import CodeType

import libcst as cst
import libcst.matchers as m
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation import mutators
from mutmut.mutation.file_mutation import MutationVisitor, deep_replace
from mutmut.mutation.pragma_handling import IgnoredCode


@dataclass(frozen=True)
class Mutant:
    """A file with one change in one function."""

    path: Path
    source: str
    mutated: str
    lines: range
    function_lines: range

    @cached_property
    def diff(self) -> str:
        """What is changed."""
        pair = (self.source.splitlines(), self.mutated.splitlines())
        return "\n".join(unified_diff(*pair, str(self.path), f"line {self.lines[0]}", n=0, lineterm=""))

    @cached_property
    def key(self) -> str:
        """The same as long as the file is."""
        digest = hashlib.sha256((self.source + self.mutated).encode()).hexdigest()[:12]
        return f"{self.path.stem}:{digest}"

    def __str__(self) -> str:
        changed = [line for line in self.diff.splitlines()[3:] if line.startswith("+")]
        return f"{self.path.name}:{self.lines[0]} {' '.join(line[1:].strip() for line in changed)[:110]}"

    def codes(self, filename: str) -> tuple[CodeType, CodeType]:
        """The code of the function, and the mutant's."""
        found = [
            dict(_functions(compile(text, filename, "exec", dont_inherit=True)))
            for text in (self.source, self.mutated)
        ]
        (name,) = (name for name in found[0] if name[1] in self.function_lines)
        return found[0][name], found[1][name]


def _functions(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    """The functions of a module and the methods of its classes, by name and first line."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and not inner.co_name.startswith("<"):
            if inner.co_flags & 2:  # CO_NEWLOCALS: no class
                yield (inner.co_qualname, inner.co_firstlineno), inner
            else:
                yield from _functions(inner)


def mutants(path: Path) -> Iterator[Mutant]:
    """Everything that is changed in a file, one at a time."""
    source = path.read_text()
    wrapper = MetadataWrapper(cst.parse_module(source))
    visitor = _Visitor(OPERATORS, IgnoredCode(set(), set(), set()))
    module = wrapper.visit(visitor)
    where = wrapper.resolve(PositionProvider)

    def lines(node: cst.CSTNode) -> range:
        return range(where[node].start.line, where[node].end.line + 1)

    texts = source.splitlines(keepends=True)
    seen: set[str] = set()
    for one in visitor.mutations:
        function = one.contained_by_top_level_function
        if not isinstance(function, cst.FunctionDef):
            continue
        changed = deep_replace(function.with_changes(leading_lines=[]), one.original_node, one.mutated_node)
        assert isinstance(changed, cst.FunctionDef)
        text = module.code_for_node(changed)
        begin, end = lines((*function.decorators, function)[0])[0], lines(function)[-1]
        text = indent(text, " " * where[function].start.column)
        mutated = "".join([*texts[: begin - 1], text, *texts[end:]])
        if mutated not in seen | {source}:
            seen.add(mutated)
            place = one.original_node if one.original_node in where else function
            yield Mutant(path, source, mutated, lines(place), range(begin, end + 1))


class _Visitor(MutationVisitor):
    """mutmut leaves out decorated functions, for it copies them; here only their code is replaced."""

    def _skip_node_and_children(self, node: cst.CSTNode) -> bool:
        if isinstance(node, cst.FunctionDef):
            return False
        if isinstance(node, (cst.Param, cst.Decorator)) or m.matches(node, LOGGED | RAISED):
            return True
        return bool(super()._skip_node_and_children(node))


EQUALS = m.ComparisonTarget(operator=m.OneOf(m.Equal(), m.NotEqual(), m.In(), m.NotIn(), m.Is(), m.IsNot()))
LOGGED = m.Call(func=m.Attribute(value=m.Name("log")))
RAISED = m.Call(func=m.MatchIfTrue(lambda function: _last(function).endswith("Error")))


def _last(node: cst.BaseExpression) -> str:
    name = node.attr if isinstance(node, cst.Attribute) else node
    return name.value if isinstance(name, cst.Name) else ""


def _argument_removal(node: cst.Call) -> Iterable[cst.Call]:
    """One argument less. None in its place, as mutmut has it, breaks where it is used and says little."""
    for number in range(len(node.args)):
        yield node.with_changes(args=[*node.args[:number], *node.args[number + 1 :]])


def _statement_removal(node: cst.BaseSmallStatement) -> Iterable[cst.CSTNode]:
    """A call whose result nobody uses, and a refusal."""
    if isinstance(node, cst.Raise) or (
        isinstance(node, cst.Expr)
        and isinstance(node.value, (cst.Call, cst.Await))
        and not m.matches(node.value, LOGGED)
    ):
        yield cst.Pass()


def _negation(node: cst.If) -> Iterable[cst.If]:
    """The other way round, where no other change makes it so."""
    if m.matches(node.test, m.UnaryOperation(operator=m.Not()) | m.Comparison(comparisons=[EQUALS])):
        return
    inner = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
    negated = cst.UnaryOperation(cst.Not(), inner)
    yield node.with_changes(test=negated, whitespace_before_test=cst.SimpleWhitespace(" "))


def _constant(node: cst.Assign | cst.AnnAssign) -> Iterable[cst.CSTNode]:
    """Another constant. None in place of what was computed breaks where it is used, as above."""
    if m.matches(node.value or cst.Name("x"), m.SimpleString() | m.Name("None")):
        yield from mutators.operator_assignment(node)


def _element_removal(node: cst.Dict) -> Iterable[cst.CSTNode]:
    """One element less of what is written out."""
    if len(node.elements) > 1:
        for number in range(len(node.elements)):
            yield node.with_changes(elements=[*node.elements[:number], *node.elements[number + 1 :]])


LEFT_OUT = {
    mutators.operator_string,
    mutators.operator_arg_removal,
    mutators.operator_dict_arguments,
    mutators.operator_assignment,
}
OPERATORS: mutators.OPERATORS_TYPE = [
    *[pair for pair in mutators.mutation_operators if pair[1] not in LEFT_OUT],
    (cst.Call, _argument_removal),
    (cst.BaseSmallStatement, _statement_removal),
    (cst.If, _negation),
    (cst.Assign, _constant),
    (cst.AnnAssign, _constant),
    (cst.Dict, _element_removal),
]
