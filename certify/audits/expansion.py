"""From entries to single cases: globs to files, the matrix to its combinations, less what is excluded."""

from __future__ import annotations

import glob
import itertools
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from certify.audits.audit_file import AuditDocument, Entry, Exclusion, merged
from certify.audits.substitution import with_axes
from certify.errors import UsageError
from certify.models.spec.problem_validation import did_you_mean, validated
from certify.models.spec.yaml_document import Location

# Most items of one audit: a matrix grows fast.
MAX_ITEMS = 100_000

Combination = Mapping[str, Any]


def combinations(audit: AuditDocument, entry: int) -> list[tuple[Combination, Entry]]:
    """Every combination of the matrix that is not excluded, with the entry as it then reads.

    Raises:
        UsageError: the entry is not one, or an axis is unknown.
    """
    raw = merged(audit.top.defaults, audit.top.models[entry])
    axes = _axes(audit, entry, raw)
    count = math.prod(map(len, axes.values()))
    if count > MAX_ITEMS:
        raise _fault(audit, entry, ("matrix",), f"the matrix has {count} combinations, more than {MAX_ITEMS}")
    found: list[tuple[Combination, Entry]] = []
    for values in itertools.product(*axes.values()):
        combination = dict(zip(axes, values, strict=True))
        read = _entry_of(audit, entry, raw, combination)
        if not any(_is_excluded(audit, entry, rule, combination) for rule in (*audit.top.exclude, *read.exclude)):
            found.append((combination, read))
    return found


def files_of(audit: AuditDocument, entry: Entry) -> list[str]:
    """The model paths that an entry names, relative to the audit file and sorted; a plain path need not exist."""
    left_out = {
        path
        for rule in (*audit.top.exclude, *entry.exclude)
        if isinstance(rule, str)
        for path in (_matches(audit.folder, rule) if is_glob(audit.folder, rule) else [os.path.normpath(rule)])
    }
    found = _matches(audit.folder, entry.path) if is_glob(audit.folder, entry.path) else [entry.path]
    return [path for path in found if os.path.normpath(path) not in left_out]


def is_glob(folder: Path, path: str) -> bool:
    """Whether a path is a pattern; one that exists as it is written is none."""
    return glob.has_magic(path) and not os.path.exists(folder / path)  # noqa: PTH110 - takes paths that are none, too


def _matches(folder: Path, pattern: str) -> list[str]:
    found = glob.iglob(pattern, root_dir=folder, recursive=True)
    return sorted(path for path in found if os.path.isfile(os.path.join(folder, path)))  # noqa: PTH113, PTH118 - fast


def _axes(audit: AuditDocument, entry: int, raw: Mapping[str, Any]) -> dict[str, Sequence[Any]]:
    """The axes of all entries and of this one, on top."""
    own = raw.get("matrix", {})
    if not isinstance(own, Mapping) or not all(isinstance(values, list) and values for values in own.values()):
        # Without a combination the entry would never be read; its validation says what is wrong.
        _entry_of(audit, entry, {"path": "-", "matrix": own}, {})
    return {**audit.top.matrix, **own}


def _entry_of(audit: AuditDocument, entry: int, raw: Mapping[str, Any], combination: Combination) -> Entry:
    content = with_axes(raw, combination, lambda at, problem: _fault(audit, entry, at, problem))
    return validated(Entry, content, audit.folder, *audit.readers(entry), code="audit-file")


def _is_excluded(audit: AuditDocument, entry: int, rule: Exclusion, combination: Combination) -> bool:
    if isinstance(rule, str):
        return False
    for axis in rule:
        if axis not in combination:
            hint = did_you_mean(axis, combination) if combination else "; there is no matrix"
            raise _fault(audit, entry, ("exclude",), f"the matrix has no axis '{axis}'{hint}")
    return all(combination[axis] == value for axis, value in rule.items())


def _fault(audit: AuditDocument, entry: int, at: Location, problem: str) -> UsageError:
    return audit.fault(audit.located(entry, at), problem)


def label(combination: Combination) -> str:
    """`[wd=0.1,seed=2]`, or nothing without a matrix."""
    shown = {axis: str(value).lower() if isinstance(value, bool) else value for axis, value in combination.items()}
    return f"[{','.join(f'{axis}={value}' for axis, value in shown.items())}]" if combination else ""


def all_cases(audit: AuditDocument, *, allow_empty: bool) -> Iterator[tuple[int, Combination, Entry, list[str]]]:
    """Number of the entry, combination, entry and model paths of every group of items.

    Raises:
        UsageError: an entry is not one, a glob matches nothing, or there are too many items.
    """
    total = 0
    for number in range(len(audit.top.models)):
        for combination, entry in combinations(audit, number):
            files = files_of(audit, entry)
            if not files and not allow_empty:
                problem = f"no file matches '{entry.path}' in {audit.folder.resolve()} that is not excluded"
                raise _fault(audit, number, ("path",), problem + "; --allow-empty accepts that")
            total += len(files)
            if total > MAX_ITEMS:
                raise _fault(audit, number, ("path",), f"more than {MAX_ITEMS} items")
            yield number, combination, entry, files
