"""Error terms of the checker, found in its source, and taken out of it: `Term` names one, `removed` checks without."""

import __future__

import ast
import importlib
import textwrap
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

CHECKER = Path(__file__).parents[2] / "certify" / "verify"
# Calls and attributes by which results are rounded outward, or radii and ends are read.
FUNCTIONS, ATTRIBUTES = {"gamma", "nextafter"}, {"nextafter", "rad", "low", "high", "error", "rest"}


@dataclass(frozen=True)
class Term:
    """An error term: its function or constant, its text there, and what stands in its place when it is left out."""

    place: str
    text: str
    without: str

    @property
    def file(self):
        return self.place.split(": ")[0]

    def __str__(self):
        return f"{self.place}: {self.text}"


@contextmanager
def removed(*terms):
    """The checker without some error terms."""
    with pytest.MonkeyPatch.context() as patch:
        for place in dict.fromkeys(term.place for term in terms):
            _replace(patch, place, [term for term in terms if term.place == place])
        yield


def _replace(patch, place, terms):
    path, name = place.split(": ")
    module = importlib.import_module("certify.verify." + path.removesuffix(".py").replace("/", "."))
    text = segment(place)
    for term in terms:
        assert text.count(term.text) == 1, f"{term} must occur once"
        text = text.replace(term.text, term.without)
    found = dict(vars(module))
    exec(compile(textwrap.dedent(text), path, "exec", __future__.annotations.compiler_flag), found)
    *owner, name = name.split(".")
    old = vars(vars(module)[owner[0]])[name] if owner else vars(module)[name]
    if isinstance(old, float):
        patch.setattr(module, name, found[name])
    else:
        # Those who imported the function get the other code, too.
        patch.setattr(_plain(old), "__code__", _plain(found[name]).__code__)


def _plain(function):
    return getattr(function, "fget", None) or getattr(function, "__func__", function)


@cache
def places(path):
    """Functions, methods and constants of a file, with their nodes."""
    return dict(_places(path))


def _places(path):
    for node in ast.parse((CHECKER / path).read_text()).body:
        parts, owner = (node.body, f"{node.name}.") if isinstance(node, ast.ClassDef) else ([node], "")
        for part in parts:
            if isinstance(part, ast.FunctionDef):
                yield f"{path}: {owner}{part.name}", part
            elif isinstance(part, ast.Assign | ast.AnnAssign):
                yield f"{path}: {owner}{ast.unparse(getattr(part, 'target', None) or part.targets[0])}", part


def lines_of(node):
    first = min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])
    return first - 1, node.end_lineno


def segment(place):
    """The source of a function or constant."""
    path = place.split(": ")[0]
    first, last = lines_of(places(path)[place])
    return "".join((CHECKER / path).read_text().splitlines(keepends=True)[first:last])


def is_small(node):
    """Whether a number is what an error term is made of: beside 0 or 1, or a negative power of two."""
    match node:
        case ast.BinOp(
            left=ast.Constant(value=2.0), op=ast.Pow(), right=ast.UnaryOp(op=ast.USub(), operand=ast.Constant())
        ):
            return True
        case ast.Constant(value=float(value)):
            return 0 < abs(value) < 1e-6 or 0 < abs(value - 1) < 0.02
    return False


def files():
    """All but those that read files and compare bits."""
    found = (str(path.relative_to(CHECKER)) for path in CHECKER.rglob("*.py"))
    return sorted(path for path in found if not path.startswith("links/"))


def constants():
    """Constants made of small numbers, and those made of them."""
    names = set()
    nodes = [(place.split(": ")[1], node) for path in files() for place, node in places(path).items()]
    for _ in range(3):
        for name, node in nodes:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value:
                parts = list(ast.walk(node.value))
                if any(is_small(part) or (isinstance(part, ast.Name) and part.id in names) for part in parts):
                    names.add(name)
    return names


def occurrences():
    """Every error term in the source: its place, where in the text of the place it stands, and what it is."""
    names = constants() | FUNCTIONS
    for path in files():
        for place, node in places(path).items():
            text, first = segment(place).encode().splitlines(keepends=True), lines_of(node)[0]
            for part in ast.walk(node):
                name = isinstance(part, ast.Name) and part.id in names
                read = isinstance(part, ast.Attribute) and part.attr in ATTRIBUTES
                if is_small(part) or ((name or read) and isinstance(part.ctx, ast.Load)):
                    # Of `x.high`, where `high` stands.
                    line, column = part.end_lineno - 1 - first, part.end_col_offset
                    end = len(b"".join(text[:line]).decode()) + len(text[line][:column].decode())
                    shown = ast.unparse(part)
                    yield place, end - len(part.attr if read else "x"), end, shown


@dataclass(frozen=True)
class Overlap:
    """A term whose absence alone makes no claim false; a case may be false without it and those beside it."""

    term: Term
    reason: str
    beside: tuple[Term, ...] = ()
    case: Callable[[], bool] | None = None
