"""The results file: JSON lines, appended and synced one by one, so that nothing that was finished is ever lost.

Lines are the start of an audit, its items as they end, and its end. A line that was torn by a crash, and any line that
is none of these, is passed over. Several audits may append to one file.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, final

from certify.errors import UsageError

SCHEMA = "certify.audit-record/1"
# No item takes longer, in seconds.
MOST_SECONDS = 1e10
_KINDS: dict[str, Any] = {
    "name": str,
    "key": str,
    "seconds": float | int,
    "certificate": str | None,
    "result": dict,
    "asked": str,
    "inputs": list,
}


@final
@dataclass(frozen=True, slots=True)
class Record:
    """One finished item.

    Attributes:
        key: what its result depends on; see `result_key`.
        seconds: wall clock of its process.
        certificate: SHA-256 of the certificate file in the cache, or None.
        result: a `certify.result/1` object or an error object.
        asked: digest of what the plan knew of the item; see `asked_digest`.
        inputs: absolute path and SHA-256 of every file that the item was made from.
    """

    name: str
    key: str
    seconds: float
    certificate: str | None
    result: Mapping[str, Any]
    asked: str = ""
    inputs: Sequence[Sequence[str]] = ()


@final
class ResultsFile:
    """What earlier audits found, open for appending."""

    def __init__(self, path: Path) -> None:
        """Read the file and open it for appending; it is made if it is not there.

        Raises:
            UsageError: cannot be read or written.
        """
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            self._lines = _objects(path.read_bytes())
        except OSError as error:
            raise UsageError(
                f"{path}: cannot keep the results here: {error.strerror}; choose another place with --cache",
                code="unwritable",
            ) from error
        self._run = ""
        self._latest = {line["key"]: _record(line) for line in self._lines if "result" in line}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)

    def verdict_of(self, key: str) -> Record | None:
        """The last record of a key, if it has a verdict."""
        found = self._latest.get(key)
        return found if found is not None and found.result.get("verdict") else None

    def by_name(self) -> dict[str, Record]:
        """The last record of each item."""
        return {line["name"]: _record(line) for line in self._lines if "result" in line}

    def interrupted(self, audit: str) -> dict[str, Record]:
        """What the last audit of a file (absolute path) had finished, by key, if it did not come to its end."""
        starts = {line["run"]: line for line in self._lines if line.get("audit") == audit}
        if not starts:
            return {}
        run = next(reversed(starts))
        if any("ended" in line and line["run"] == run for line in self._lines):
            return {}
        chain = {run}
        while (earlier := starts.get(run, {}).get("resumes")) and earlier not in chain:
            chain.add(earlier)
            run = earlier
        return {line["key"]: _record(line) for line in self._lines if "result" in line and line["run"] in chain}

    def start(self, audit: str, *, resume: bool) -> None:
        """Note that the audit of a file (absolute path) begins; with `resume` it goes on with the last one."""
        before = [line["run"] for line in self._lines if line.get("audit") == audit]
        self._run = secrets.token_hex(8)
        self._append({"audit": audit, "started": _now(), "resumes": before[-1] if resume and before else None})

    def add(self, record: Record) -> None:
        """Keep a finished item; it is on the disk when this returns."""
        self._append(asdict(record))
        self._latest[record.key] = record

    def end(self) -> None:
        """Note that the audit came to its end."""
        self._append({"ended": _now()})

    def _append(self, content: dict[str, Any]) -> None:
        line = json.dumps({"schema": SCHEMA, "run": self._run, **content}, ensure_ascii=False, allow_nan=False)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            # A line that a crash has torn is closed first.
            size = os.fstat(self._descriptor).st_size
            torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
            os.write(self._descriptor, b"\n" * torn + line.encode(errors="surrogatepass") + b"\n")
            os.fsync(self._descriptor)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)


def _objects(content: bytes) -> list[dict[str, Any]]:
    found = []
    for line in content.split(b"\n"):
        try:
            entry = json.loads(line) if line else None
        except (ValueError, RecursionError):
            continue
        if isinstance(entry, dict) and entry.get("schema") == SCHEMA and isinstance(entry.get("run"), str):
            is_other = "result" not in entry and isinstance(entry.get("resumes"), str | None)
            found += [entry] if is_other or _is_record(entry) else []
    return found


def _is_record(entry: Mapping[str, Any]) -> bool:
    """Whether it has the fields of a record, and its certificate is a SHA-256, which leads nowhere else."""
    return (
        all(name in entry and isinstance(entry[name], kind) for name, kind in _KINDS.items())
        and 0 <= entry["seconds"] < MOST_SECONDS
        and re.fullmatch("[0-9a-f]{64}", entry["certificate"] or "0" * 64) is not None
        and all(isinstance(pair, list) and [*map(type, pair)] == [str, str] for pair in entry["inputs"])
    )


def _record(line: Mapping[str, Any]) -> Record:
    return Record(**{name: line[name] for name in _KINDS})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
