"""YAML 1.2 (core schema) with the position of every key and value; no aliases, tags, duplicates or code.

Differences from PyYAML's default, which is YAML 1.1: `1e-6` is a number, `no` and `on` are strings, `012` is
twelve, `0o14` is octal. Source: YAML 1.2.2, section 10.3.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, final

import yaml

from certify.errors import UsageError
from certify.models.readers.input_file import open_input

MAX_YAML_BYTES = 2**20
MAX_DEPTH = 32
MAX_DIGITS = 400
# Of a long line an error shows this many characters, and at most this many of them before the column.
SHOWN_LENGTH = 100
SHOWN_BEFORE = 60

Location = tuple[str | int, ...]

_TAG = "tag:yaml.org,2002:"
_CORE: dict[str, re.Pattern[str]] = {
    "null": re.compile(r"(?:~|null|Null|NULL|)$"),
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"),
    "float": re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
}


@final
@dataclass(frozen=True, slots=True)
class Position:
    """Line and column, both from 1."""

    line: int
    column: int


@final
@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A parsed file.

    Attributes:
        path: the file.
        content: mappings with text keys, lists, and scalars.
        positions: where each value starts, by its location; `()` is the whole document.
        keys: where each mapping key starts, by the location of its value.
        lines: the text.
    """

    path: Path
    content: Any
    positions: Mapping[Location, Position]
    keys: Mapping[Location, Position]
    lines: tuple[str, ...]

    def position(self, location: Location, *, of_key: bool = False) -> Position:
        """Where a value starts, or its key; the nearest enclosing value where it has none."""
        tables = (self.keys, self.positions) if of_key else (self.positions,)
        for length in range(len(location), -1, -1):
            for table in tables:
                if location[:length] in table:
                    return table[location[:length]]
        return Position(1, 1)

    def place(self, location: Location, *, of_key: bool = False) -> str:
        """`FILE:LINE:COLUMN` of `position`."""
        return _place(self.path, self.position(location, of_key=of_key))

    def excerpt(self, location: Location, *, of_key: bool = False) -> str:
        """The line of `position` with a caret under the column."""
        return pointed_at(self.lines, self.position(location, of_key=of_key))

    def fault(self, location: Location, problem: str, code: str) -> UsageError:
        """An error about the value at a location."""
        return _fault(self.path, self.lines, self.position(location), problem, code)


def pointed_at(lines: Sequence[str], position: Position) -> str:
    """Two lines: the source line, cut to a readable length around the column, and a caret under the column."""
    line = lines[position.line - 1] if position.line <= len(lines) else ""
    start = max(0, position.column - 1 - SHOWN_BEFORE)
    cut = line[start : start + SHOWN_LENGTH].replace("\t", " ")
    text = "".join(character if character.isprintable() else "?" for character in cut)
    margin = f"{position.line:>5} | "
    return f"{margin}{text}\n{' ' * (len(margin) - 2)}| {' ' * (position.column - 1 - start)}^"


def load_yaml(path: Path, role: str) -> YamlDocument:
    """Read a YAML file.

    Args:
        path: the file.
        role: what it is to the user, such as 'problem file'.

    Raises:
        UsageError: missing, not UTF-8, not YAML, or YAML that is not plain data; names line and column.
        RefusedError: larger than `MAX_YAML_BYTES`.
    """
    with open_input(path, role, MAX_YAML_BYTES) as file:
        raw = file.stream.read(MAX_YAML_BYTES + 1)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{path}:{line}:1: the {role} is not UTF-8 text", code="yaml") from error
    return _Builder(path, text).build(_composed(path, text))


def yaml_text(content: Mapping[str, Any]) -> str:
    """A mapping as block-style YAML that reads back, with either version's rules, as the same content."""

    class Dumper(yaml.SafeDumper):
        """Quotes every string that some YAML would take for something else."""

    def represent(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
        plain = plain_scalar(text)
        style = None if isinstance(plain, str) else '"'
        return dumper.represent_scalar(f"{_TAG}str", text, style=style)

    Dumper.add_representer(str, represent)
    return yaml.dump(dict(content), Dumper=Dumper, sort_keys=False, allow_unicode=True)


def plain_scalar(text: str) -> str | int | float | bool | None:
    """What a plain scalar of this text means in the core schema."""
    stripped = text.strip()
    for name, pattern in _CORE.items():
        if pattern.match(stripped) and len(stripped) <= MAX_DIGITS:
            return _converted(name, stripped)
    return text


class _Composer(yaml.SafeLoader):
    """Composes nodes with the core schema's implicit tags; builds no objects."""

    yaml_implicit_resolvers: dict[str | None, list[Any]] = {}
    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:  # noqa: ANN401
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise yaml.MarkedYAMLError(problem="anchors (&) and aliases (*) are refused", problem_mark=event.start_mark)
        if self._depth >= MAX_DEPTH:
            raise yaml.MarkedYAMLError(problem="nested too deeply", problem_mark=event.start_mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


for _name, _pattern in _CORE.items():
    _Composer.add_implicit_resolver(_TAG + _name, _pattern, None)


def _composed(path: Path, text: str) -> yaml.Node:
    try:
        node = yaml.compose(text, Loader=_Composer)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = Position(mark.line + 1, mark.column + 1) if mark else Position(1, 1)
        problem = " ".join((error.problem or error.context or "not YAML").split())
        raise _fault(path, text.splitlines(), position, problem) from error
    except yaml.reader.ReaderError as error:
        start = text[: error.position]
        position = Position(start.count("\n") + 1, error.position - start.rfind("\n"))
        problem = f"character {error.character!r} is not allowed in YAML"
        raise _fault(path, text.splitlines(), position, problem) from error
    if node is None:
        raise UsageError(f"{_place(path, Position(1, 1))}: the file is empty", code="yaml")
    return node


def _fault(path: Path, lines: Sequence[str], position: Position, problem: str, code: str = "yaml") -> UsageError:
    message = f"{_place(path, position)}: {problem}"
    return UsageError(message, code, f"{message}\n{pointed_at(lines, position)}")


@final
class _Builder:
    """Turns nodes into values, and notes where each of them stands."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._lines = path, tuple(text.splitlines())
        self._positions: dict[Location, Position] = {}
        self._keys: dict[Location, Position] = {}

    def build(self, root: yaml.Node) -> YamlDocument:
        content = self._value(root, ())
        tables = MappingProxyType(self._positions), MappingProxyType(self._keys)
        return YamlDocument(self._path, content, *tables, self._lines)

    def _value(self, node: yaml.Node, location: Location) -> Any:  # noqa: ANN401
        self._positions[location] = _position(node)
        match node:
            case yaml.MappingNode(tag=tag) if tag == _TAG + "map":
                return self._mapping(node, location)
            case yaml.SequenceNode(tag=tag) if tag == _TAG + "seq":
                return [self._value(item, (*location, i)) for i, item in enumerate(node.value)]
            case yaml.ScalarNode():
                return self._scalar(node)
            case _:
                raise self._error(node, f"tag {node.tag!r} is refused; write plain values")

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalar(key_node) if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise self._error(key_node, "keys must be text")
            if key in content:
                first = self._keys[(*location, key)]
                raise self._error(key_node, f"duplicate key '{key}', first on line {first.line}")
            self._keys[(*location, key)] = _position(key_node)
            content[key] = self._value(value_node, (*location, key))
        return content

    def _scalar(self, node: yaml.ScalarNode) -> str | int | float | bool | None:
        text: str = node.value
        name = node.tag.removeprefix(_TAG)
        if name == "str" or node.tag == "!":
            return text
        if name not in _CORE or not _CORE[name].match(text):
            raise self._error(node, f"tag {node.tag!r} is refused; write plain values")
        if len(text) > MAX_DIGITS:
            raise self._error(node, f"a number with {len(text)} digits is refused")
        return _converted(name, text)

    def _error(self, node: yaml.Node, problem: str) -> UsageError:
        return _fault(self._path, self._lines, _position(node), problem)


def _converted(name: str, text: str) -> int | float | bool | None:
    match name:
        case "null":
            return None
        case "bool":
            return text.lower() == "true"
        case "int" if text[:2] in ("0o", "0x"):
            return int(text[2:], 8 if text[1] == "o" else 16)
        case "int":
            return int(text)
        case _:
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


def _position(node: yaml.Node) -> Position:
    return Position(node.start_mark.line + 1, node.start_mark.column + 1)


def _place(path: Path, position: Position) -> str:
    return f"{path}:{position.line}:{position.column}"
