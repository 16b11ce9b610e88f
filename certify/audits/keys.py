"""What a result depends on, as one digest: the model, the data, the problem, the tool and how it was run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from certify.audits.plan import PlannedItem
from certify.models.spec.problem_file import ProblemSpec
from certify.version import __version__

# Keys of `data:` that are files where it has no `path`.
PAIR = ("inputs", "targets", "sample_weights", "mask")


def data_files(spec: ProblemSpec) -> dict[str, Path]:
    """The files of the data, by their key; a `.npy` pair in the order in which it is read."""
    if spec.data.path is not None:
        return {"path": spec.data.path}
    chosen = {name: getattr(spec.data, name) for name in PAIR}
    return {name: Path(value) for name, value in chosen.items() if isinstance(value, str)}


def with_absolute_paths(content: Mapping[str, Any]) -> dict[str, Any]:
    """A problem as plain data, whose files are found from any working folder."""
    model, data = content["model"], content["data"]
    files = ("path",) if data.get("path") else PAIR
    found = {name: str(Path(value).absolute()) if name in files else value for name, value in data.items()}
    return {**content, "model": {**model, "path": str(Path(model["path"]).absolute())}, "data": found}


def asked_digest(item: PlannedItem, seed: int, device: str) -> str:
    """Digest of what a plan knows of an item without opening a file."""
    inline = isinstance(item.problem, ProblemSpec)
    content = {
        "tool": __version__,
        "problem": item.problem.model_dump_json() if isinstance(item.problem, ProblemSpec) else str(item.problem),
        # An inline problem has taken the changes in.
        "changes": None if inline else asdict(item.changes),
        "seed": seed,
        "device": device,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def result_key(spec: ProblemSpec, digest: Callable[[Path, str], str | None], seed: int, device: str) -> str | None:
    """Digest of everything that a result depends on; None where the digest of a file is not known.

    `digest` leads from a path and its role to the SHA-256 of the content; the device is `cpu` or `cuda`.
    """
    files = {f"data.{name}": digest(path, "data file") for name, path in data_files(spec).items()}
    files["model"] = digest(spec.model.path, "model file")
    if None in files.values():
        return None
    statement = spec.model_dump(mode="json", by_alias=True)
    # Where the files are does not matter, only what is in them.
    statement["model"].pop("path")
    for name in data_files(spec):
        statement["data"].pop(name)
    content = {"tool": __version__, "problem": statement, "files": files, "seed": seed, "device": device}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
