"""Which problem a command is about, and that none of the files it reads is written over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from certify.cli.flags import ProblemFlags
from certify.errors import UsageError

if TYPE_CHECKING:
    from certify.models.spec.problem_file import ProblemSpec


def problem_spec(model: str, flags: ProblemFlags) -> ProblemSpec:
    """The problem file that belongs to a model, with the flags applied; or the flags alone.

    Raises:
        UsageError: the model or the problem file is missing, or what they say does not serve.
    """
    from certify.models.spec.problem_file import find_problem_file, load_problem_file, spec_from_flags

    if not Path(model).is_file():
        found = "is a folder, not a model file" if Path(model).is_dir() else "no such file"
        raise UsageError(f"{model}: {found}", code="missing-file")
    path = flags.problem_file or find_problem_file(model)
    if path is None:
        if (fitted := _spec_of_decomposition(model, flags)) is not None:
            return fitted
        return spec_from_flags(model, flags.overrides)
    return load_problem_file(path).with_overrides(replace(flags.overrides, model=model))


def _spec_of_decomposition(model: str, flags: ProblemFlags) -> ProblemSpec | None:
    """Of a file of scikit-learn's that says what it minimized."""
    if Path(model).suffix != ".skops":
        return None
    from certify.models.fitted_file import spec_of_decomposition

    return spec_of_decomposition(model, flags.overrides)


def files_read(spec: ProblemSpec, flags: ProblemFlags, *, blank: bool = False) -> list[Path]:
    """The data, the problem file where one is named, and unless it is blank the model with the one beside it."""
    from certify.models.spec.problem_file import problem_file_beside

    chosen = (spec.data.path, spec.data.inputs, spec.data.targets, flags.problem_file)
    model = [] if blank else [spec.model.path, problem_file_beside(spec.model.path)]
    return [*model, *(Path(entry) for entry in chosen if isinstance(entry, str | Path))]


def require_writable(outputs: Iterable[str | None], read: Sequence[Path]) -> None:
    """Check, before long work, that the outputs that are given can be written and are none of the files read.

    Raises:
        UsageError: one of them is, with the code `overwrite`, or cannot be written.
    """
    from certify.whole_file import ensure_writable

    for path in outputs:
        if path:
            if Path(path).exists() and any(entry.exists() and Path(path).samefile(entry) for entry in read):
                raise UsageError(f"{path}: this is an input; write the output elsewhere", code="overwrite")
            ensure_writable(path)
