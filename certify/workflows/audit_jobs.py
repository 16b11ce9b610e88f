"""What the process of an audit's item does: the whole check; `audit_recheck` is the one for a cached verdict."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from certify.audits.job_folder import LEFT, PROGRESS
from certify.certificates.gap import relative_gap
from certify.errors import CertifyError
from certify.models.loading import Problem
from certify.models.spec.problem_file import spec_from_content
from certify.progress import Progress, paced
from certify.reports.result_json import error_object, result_object
from certify.workflows.check import CheckOptions, run_check
from certify.workflows.threads import use_threads

# Progress is written at most this often.
PROGRESS_SECONDS = 0.25


def check_item(folder: Path, content: dict[str, Any], *, device: str, seed: int, threads: int | None) -> dict[str, Any]:
    """Check one model; leaves the certificate in the folder.

    Args:
        folder: of this process alone.
        content: a whole problem, paths relative to the working folder.
        device: `cpu`, `cuda` or `cuda:N`.
        seed: of all randomness.
        threads: of torch; None lets the size of the problem decide.

    Returns:
        A `certify.result/1` object, or an error object.
    """
    started = time.perf_counter()
    try:
        spec = spec_from_content(content, Path(), lambda at, key: "audit")
        problem = Problem.from_files(spec, device)
        use_threads(threads, problem)
        options = CheckOptions(seed=seed, load_seconds=time.perf_counter() - started)
        outcome = run_check(problem, options, paced(lambda event: _tell(event, folder / PROGRESS), PROGRESS_SECONDS))
    except CertifyError as error:
        return error_object(content["model"]["path"], error.code, int(error.exit_code), str(error))
    if outcome.certificate is not None:
        (folder / LEFT).write_bytes(outcome.certificate)
    return result_object(outcome.result)


def _tell(event: Progress, file: Path) -> None:
    """Leave the latest state in a file, for whoever looks."""
    upper, lower = event.objective, event.lower_bound
    gap = math.inf if upper is None or lower is None else relative_gap(upper - lower, upper)
    state = {"phase": event.phase, "gap": gap if math.isfinite(gap) else None}
    file.write_text(json.dumps(state), encoding="utf-8")
