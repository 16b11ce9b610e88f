"""`certify verify`: read the files, and run the independent checker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from certify.errors import RefusedError, UsageError
from certify.verify import Verdict, verify_bytes

# Largest input read, in bytes; the checker has its own limits on what is inside.
LARGEST_INPUT = 8 * 2**30
INSTALL_EXACT = "pip install 'certify-optimality[exact]'"


def verify(  # noqa: PLR0913 - one for each flag of the command
    certificate: str | Path,
    model: str | Path | None = None,
    data: Sequence[str | Path] = (),
    *,
    problem: str | Path | None = None,
    relative_gap: float | None = None,
    absolute_gap: float | None = None,
    exact: bool = False,
) -> Verdict:
    """Check a certificate file.

    Args:
        certificate: the file.
        model: a model file whose weights must be those of the certificate.
        data: a data file, or a `.npy` pair, whose data must be those of the certificate.
        problem: a problem file; the certificate must be about this problem, its tolerance included. Needs torch.
        relative_gap: tolerance in place of the certificate's; the one that is not given is then 0.
        absolute_gap: likewise.
        exact: compute in integers and rigorous balls, with python-flint.

    Raises:
        UsageError: a file is missing or unreadable, or python-flint is not installed.
        RefusedError: a file is over the size limit, or the certificate too large for exact arithmetic.
        UnsupportedError: a problem outside the theory.
    """
    check = _exact_checker() if exact else verify_bytes
    files, content = tuple(_bytes(path, "data file") for path in data), _bytes(certificate, "certificate")
    verdict = check(content, None if model is None else _bytes(model, "model file"), files)
    if verdict.rule == "too-large-for-exact":
        raise RefusedError(f"{certificate}: not checked: {verdict.message}", code="too-large-for-exact")
    if problem is not None and verdict.status == "valid":
        verdict = _about(verdict, content, Path(problem))
    if relative_gap is None and absolute_gap is None:
        return verdict
    return verdict.by_tolerance(relative_gap or 0.0, absolute_gap or 0.0)


def _about(verdict: Verdict, content: bytes, path: Path) -> Verdict:
    from certify.models.loading import Problem
    from certify.models.spec.problem_file import load_problem_file
    from certify.workflows.same_problem import differences

    found = differences(content, Problem.from_files(load_problem_file(path)))
    if found:
        return replace(verdict, status="invalid", certified=False, rule="problem", message=f"{path}: {found}")
    return replace(verdict, message=f"it states the problem of {path}, weights and data of its files included")


def _exact_checker() -> Callable[[bytes, bytes | None, tuple[bytes, ...]], Verdict]:
    try:
        import flint  # noqa: F401
    except ImportError as error:
        message = f"--exact needs python-flint, which cannot be imported: {error}; {INSTALL_EXACT}"
        raise UsageError(message, code="missing-package") from error
    from certify.verify.exact import verify_bytes_exactly

    return verify_bytes_exactly


def _bytes(path: str | Path, role: str) -> bytes:
    place = Path(path)
    try:
        if not place.is_file():
            raise UsageError(f"{path}: {role} not found, or not a regular file", code="missing-file")
        if place.stat().st_size > LARGEST_INPUT:
            raise RefusedError(f"{path}: {role} is over the limit of {LARGEST_INPUT} bytes", code="over-limit")
        return place.read_bytes()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot read the {role}: {error}", code="unreadable-file") from error
