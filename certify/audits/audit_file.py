"""The audit file, schema `certify.audit/1`: which models are checked, against what, within which limits.

An entry is the mapping under `models:` with that of `defaults:` below it. Entries are validated after `${...}` has been
replaced, so that numbers may come from the matrix or the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, final

from pydantic import AfterValidator, Field

from certify.audits.substitution import with_environment
from certify.certificates.audit_result import Expectation
from certify.errors import UsageError
from certify.models.spec.problem_sections import Nonnegative, Positive, Section
from certify.models.spec.problem_validation import Place, validated
from certify.models.spec.yaml_document import Location, YamlDocument, load_yaml

SCHEMA = "certify.audit/1"
# Sections of which an entry replaces the whole, where it has one.
REPLACED = ("penalty", "matrix", "exclude")

Scalar = str | int | float | bool
_AXIS = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_DEVICE = re.compile(r"cpu|cuda(:[0-9]+)?(,cuda:[0-9]+)*")


def _plain_path(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError("must be a path")
    return value


def _one_line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be printable text on one line")
    return value


def _path_or_mapping(value: object) -> object:
    if isinstance(value, str):
        return _plain_path(value)
    if isinstance(value, Mapping):
        return value
    raise ValueError(f"must be the path of a problem file, or a problem's keys and values, found {value!r}")


def _axes(value: dict[str, tuple[Scalar, ...]]) -> dict[str, tuple[Scalar, ...]]:
    for name in value:
        if not _AXIS.fullmatch(name):
            raise ValueError(f"'{name}' is no name of an axis: letters, digits, '_' and '-'")
    return value


def _shared_keys(value: dict[str, Any]) -> dict[str, Any]:
    for key in ("path", "name"):
        if key in value:
            raise ValueError(f"'{key}' belongs to an entry of 'models'")
    return value


def known_device(value: str) -> str:
    """The value, if it is `cpu` or CUDA devices.

    Raises:
        ValueError: it is not.
    """
    if not _DEVICE.fullmatch(value):
        raise ValueError(f"must be cpu, cuda, cuda:N or several such as cuda:0,cuda:1, found {value!r}")
    return value


PlainPath = Annotated[str, AfterValidator(_plain_path)]
Axis = Annotated[tuple[Scalar, ...], Field(strict=False, min_length=1)]
Matrix = Annotated[dict[str, Axis], AfterValidator(_axes)]
Exclusion = PlainPath | Annotated[dict[str, Scalar], Field(min_length=1)]
Exclusions = Annotated[tuple[Exclusion, ...], Field(strict=False)]


@final
class ToleranceChange(Section):
    """`tolerance:` — where given, instead of the problem's.

    Attributes:
        relative_gap: share of |objective|.
        absolute_gap: in units of the objective.
    """

    relative_gap: Nonnegative | None = None
    absolute_gap: Nonnegative | None = None


@final
class BudgetChange(Section):
    """`budget:` — where given, instead of the problem's.

    Attributes:
        seconds: wall clock for searching and bounding.
    """

    seconds: Positive | None = None


@final
class Limits(Section):
    """`limits:` — past these the process of an item is ended; that is the item's result and nobody else's.

    Attributes:
        seconds: wall clock; by default twice the budget and a minute.
        memory_gib: private memory, beyond what the interpreter and its libraries take; by default all of the machine's.
    """

    seconds: Positive | None = None
    memory_gib: Positive | None = None


@final
class Entry(Section):
    """One entry of `models:`, with the defaults below it.

    Attributes:
        path: a model file or a glob, relative to the audit file; `**` crosses folders.
        name: by default the path; for a glob it goes before the path.
        problem: the path of a problem file, or its content, in which `schema` and `model.path` may be left out; by
            default the `.problem.yaml` beside the model.
        matrix: axes and their values; the entry is taken once for each combination, with `${matrix.AXIS}` replaced.
        exclude: paths or globs to leave out, and combinations of the matrix to leave out.
        tolerance: instead of the problem's.
        budget: instead of the problem's.
        limits: hard limits of the process.
        expect: the verdict that the audit asks for; `any` takes every verdict, but no error.
        max_relative_gap: largest proven relative gap that the audit takes, whatever the verdict.
        device: `cpu`, `cuda:0`, or several CUDA devices of which a free one is taken; one item at a time on each.
    """

    path: PlainPath
    name: Annotated[str, AfterValidator(_one_line)] | None = None
    problem: Annotated[Any, AfterValidator(_path_or_mapping)] | None = None
    matrix: Matrix = Field(default_factory=dict)
    exclude: Exclusions = ()
    tolerance: ToleranceChange = ToleranceChange()
    budget: BudgetChange = BudgetChange()
    limits: Limits = Limits()
    expect: Expectation = "certified"
    max_relative_gap: Nonnegative | None = None
    device: Annotated[str, AfterValidator(known_device)] | None = None


@final
class AuditFile(Section):
    """The top level of the file.

    Attributes:
        version: `certify.audit/1`.
        defaults: keys of an entry, for all of them.
        models: the entries.
        matrix: axes for all entries; an entry's own axes come on top.
        exclude: paths and combinations to leave out of all entries.
    """

    version: Literal["certify.audit/1"] = Field(alias="schema")
    defaults: Annotated[dict[str, Any], AfterValidator(_shared_keys)] = Field(default_factory=dict)
    models: Annotated[tuple[dict[str, Any], ...], Field(strict=False, min_length=1)]
    matrix: Matrix = Field(default_factory=dict)
    exclude: Exclusions = ()


@final
@dataclass(frozen=True, slots=True)
class AuditDocument:
    """An audit file that has been read: its top level, and where everything in it stands."""

    document: YamlDocument
    top: AuditFile

    @property
    def folder(self) -> Path:
        """What paths in the file are relative to."""
        return self.document.path.parent

    def located(self, entry: int, location: Location) -> Location:
        """Where a value of a merged entry was written: in the entry, or else in the defaults."""
        own, default = ("models", entry, *location), ("defaults", *location)
        return default if self._depth(default) - 1 > self._depth(own) - 2 else own

    def readers(self, entry: int, *section: str) -> tuple[Place, Place]:
        """What names the places of values in a merged entry, or in a section of it, and what shows their lines."""

        def place(at: Location, of_key: bool) -> str:
            return self.document.place(self.located(entry, (*section, *at)), of_key=of_key)

        def excerpt(at: Location, of_key: bool) -> str:
            return self.document.excerpt(self.located(entry, (*section, *at)), of_key=of_key)

        return place, excerpt

    def fault(self, at: Location, problem: str) -> UsageError:
        """An error at a location of the file."""
        return self.document.fault(at, problem, code="audit-file")

    def _depth(self, location: Location) -> int:
        """How many steps of a location the file has."""
        known = self.document.positions
        return next(length for length in range(len(location), -1, -1) if location[:length] in known)


def load_audit_file(path: str | Path) -> AuditDocument:
    """Read an audit file and replace `${NAME}` by the environment; entries are not validated yet.

    Raises:
        UsageError: missing, not YAML, or not an audit; one line per fault, each with file, line and column.
        RefusedError: too large.
    """
    document = load_yaml(Path(path), "audit file")
    content = with_environment(
        document.content, os.environ, lambda at, problem: document.fault(at, problem, code="audit-file")
    )
    top = validated(
        AuditFile,
        content,
        document.path.parent,
        lambda at, key: document.place(at, of_key=key),
        lambda at, key: document.excerpt(at, of_key=key),
        code="audit-file",
    )
    return AuditDocument(document, top)


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` on top of `below`: mappings key by key, anything else replaced, and `REPLACED` sections as a whole."""
    found = dict(below)
    for key, value in above.items():
        under = found.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping) and key not in REPLACED
        found[key] = merged(under, value) if both and isinstance(under, Mapping) else value
    return found
