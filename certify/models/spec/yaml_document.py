"""YAML 1.2 (core schema) with the position of every key and value; no aliases, tags, duplicates or code.

Differences from PyYAML's default, which is YAML 1.1: `1e-6` is a number, `no` and `on` are strings, `012` is
twelve, `0o14` is octal. Source: YAML 1.2.2, section 10.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
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
        message = f"{self.place(location)}: {problem}"
        return UsageError(message, code, f"{message}\n{self.excerpt(location)}")


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
    return _built(path, text)


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


# libyaml's parser where PyYAML has it, ten times faster.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _built(path: Path, text: str) -> YamlDocument:
    try:
        return _Builder(path, text).build()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = " ".join((error.problem or error.context or "not YAML").split())
        raise _fault(path, text, Position(1, 1) if mark is None else _position(mark), problem) from error
    except yaml.reader.ReaderError as error:
        start = text[: error.position]
        position = Position(start.count("\n") + 1, error.position - start.rfind("\n"))
        raise _fault(path, text, position, f"character {error.character!r} is not allowed in YAML") from error


def _fault(path: Path, text: str, position: Position, problem: str) -> UsageError:
    message = f"{_place(path, position)}: {problem}"
    return UsageError(message, code="yaml", shown=f"{message}\n{pointed_at(text.splitlines(), position)}")


@final
class _Builder:
    """Turns the events of a file into values, and notes where each of them stands."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text = path, text
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._positions: dict[Location, Position] = {}
        self._keys: dict[Location, Position] = {}

    def build(self) -> YamlDocument:
        """The document, the only one of the file."""
        next(self._events)
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise UsageError(f"{_place(self._path, Position(1, 1))}: the file is empty", code="yaml")
        content = self._value(next(self._events), ())
        next(self._events)
        if not isinstance(after := next(self._events), yaml.StreamEndEvent):
            raise self._error(after, "another document begins; a file holds one")
        tables = MappingProxyType(self._positions), MappingProxyType(self._keys)
        return YamlDocument(self._path, content, *tables, tuple(self._text.splitlines()))

    def _value(self, event: yaml.Event, location: Location) -> Any:  # noqa: ANN401
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise self._error(event, "anchors (&) and aliases (*) are refused")
        if len(location) >= MAX_DEPTH:
            raise self._error(event, "nested too deeply")
        self._positions[location] = _position(event.start_mark)
        match event:
            case yaml.MappingStartEvent(tag=tag) if tag in (None, f"{_TAG}map"):
                return self._mapping(location)
            case yaml.SequenceStartEvent(tag=tag) if tag in (None, f"{_TAG}seq"):
                return self._list(location)
            case yaml.ScalarEvent():
                return self._scalar(event)
        raise self._error(event, f"tag {getattr(event, 'tag', None)!r} is refused; write plain values")

    def _list(self, location: Location) -> list[Any]:
        content: list[Any] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            content.append(self._value(event, (*location, len(content))))
        return content

    def _mapping(self, location: Location) -> dict[str, Any]:
        content: dict[str, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._scalar(event) if isinstance(event, yaml.ScalarEvent) else None
            if not isinstance(key, str):
                raise self._error(event, "keys must be text")
            if key in content:
                first = self._keys[(*location, key)]
                raise self._error(event, f"duplicate key '{key}', first on line {first.line}")
            self._keys[(*location, key)] = _position(event.start_mark)
            content[key] = self._value(next(self._events), (*location, key))
        return content

    def _scalar(self, event: yaml.ScalarEvent) -> str | int | float | bool | None:
        text: str = event.value
        if event.anchor:
            raise self._error(event, "anchors (&) and aliases (*) are refused")
        if event.tag in ("!", f"{_TAG}str") or (event.tag is None and not event.implicit[0]):
            return text
        found = next((name for name, pattern in _CORE.items() if pattern.match(text)), "str")
        name = found if event.tag is None else event.tag.removeprefix(_TAG)
        if name == "str":
            return text
        if name not in _CORE or not _CORE[name].match(text):
            raise self._error(event, f"tag {event.tag!r} is refused; write plain values")
        if len(text) > MAX_DIGITS:
            raise self._error(event, f"a number with {len(text)} digits is refused")
        return _converted(name, text)

    def _error(self, event: yaml.Event, problem: str) -> UsageError:
        return _fault(self._path, self._text, _position(event.start_mark), problem)


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


def _position(mark: Any) -> Position:  # noqa: ANN401
    return Position(mark.line + 1, mark.column + 1)


def _place(path: Path, position: Position) -> str:
    return f"{path}:{position.line}:{position.column}"
