"""`certify verify`: read the files, run the independent checker, say what it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from certify.errors import RefusedError, UsageError
from certify.verify import Verdict, verify_bytes

# Largest input read, in bytes; the checker has its own limits on what is inside.
LARGEST_INPUT = 8 * 2**30


ARITHMETIC = {
    "floating-point": "floating-point arithmetic with rounding accounted for",
    "exact": "exact arithmetic: integers and rigorous balls, no rounding analysis",
}
INSTALL_EXACT = "pip install 'certify-optimality[exact]'"


def verify(
    certificate: str | Path, model: str | Path | None = None, data: Sequence[str | Path] = (), *, exact: bool = False
) -> Verdict:
    """Check a certificate file.

    Args:
        certificate: the file.
        model: the model file to compare the weights with, or None.
        data: the data file, or the files of a `.npy` pair, to compare the data with; may be empty.
        exact: whether to compute in integers and rigorous balls, with python-flint.

    Raises:
        UsageError: a file is missing or unreadable, or python-flint is not installed.
        RefusedError: a file is over the size limit, or the certificate too large for exact arithmetic.
    """
    check = _exact_checker() if exact else verify_bytes
    files = tuple(_bytes(path, "data file") for path in data)
    verdict = check(_bytes(certificate, "certificate"), None if model is None else _bytes(model, "model file"), files)
    if verdict.rule == "too-large-for-exact":
        raise RefusedError(f"{certificate}: not checked: {verdict.message}", code="too-large-for-exact")
    return verdict


def _exact_checker() -> Callable[[bytes, bytes | None, tuple[bytes, ...]], Verdict]:
    try:
        import flint  # noqa: F401
    except ImportError as error:
        message = f"--exact needs python-flint, which cannot be imported: {error}; {INSTALL_EXACT}"
        raise UsageError(message, code="missing-package") from error
    from certify.verify.exact import verify_bytes_exactly

    return verify_bytes_exactly


def verdict_object(verdict: Verdict, path: str) -> dict[str, Any]:
    """The verdict as a JSON object, schema `certify.verification/1`; numbers that are not finite become null."""
    return {
        "schema": "certify.verification/1",
        "certificate": path,
        "status": verdict.status,
        "rule": verdict.rule or None,
        "message": verdict.message or None,
        "objective_upper": verdict.upper,
        "optimum_lower": verdict.lower,
        "gap": None if verdict.gap is None else {"absolute": verdict.gap, "relative": verdict.relative_gap},
        "arithmetic": verdict.arithmetic,
        "widths": "all",
        "failure_probability": verdict.failure_probability,
        "certified": verdict.certified,
        "tolerance": None
        if verdict.tolerance is None
        else {"relative_gap": verdict.tolerance[0], "absolute_gap": verdict.tolerance[1]},
        "recomputed": {
            "objective": _interval(verdict.objective),
            "dual_value": _interval(verdict.dual_value),
            "polar_upper": _finite(verdict.polar_upper),
        },
        "scope": "model" if verdict.features is None else "head",
        "features": verdict.features,
        "problem": verdict.problem or None,
        "proof": verdict.kind or None,
        "model_compared": verdict.model_linked,
        "data_compared": verdict.data_linked,
    }


def verdict_lines(verdict: Verdict, path: str) -> list[str]:
    """The verdict as text."""
    if verdict.status != "valid":
        return [f"{path}: {verdict.status}: rule '{verdict.rule}' does not hold: {verdict.message}"]
    relative, absolute = verdict.tolerance or (0.0, 0.0)
    within = "within" if verdict.certified else "NOT within"
    compared = [name for name, done in (("model", verdict.model_linked), ("data", verdict.data_linked)) if done]
    found = f"compared with the {' and '.join(compared)} file" if compared else ""
    return [
        f"{path}: valid" + ("" if verdict.certified else ", but the gap it proves is NOT within the tolerance"),
        f"  problem  {verdict.problem}",
        f"  objective of the network        ≤ {verdict.upper!r}",
        f"  every network of every width    ≥ {verdict.lower!r}",
        f"  gap  {verdict.gap:.6g} absolute, {verdict.relative_gap:.6g} relative: {within} the tolerance "
        f"(relative {relative:g}, absolute {absolute:g})",
        f"  proof  {verdict.kind}, {ARITHMETIC[verdict.arithmetic]}{_chance(verdict)}",
        *([f"  {found}"] if found else []),
        *([f"  note: {verdict.message}"] if verdict.message else []),
    ]


def _chance(verdict: Verdict) -> str:
    if verdict.failure_probability is None:
        return ""
    return f"; this check would accept a false claim with probability at most {verdict.failure_probability:.2g}"


def _interval(ends: tuple[float, float] | None) -> list[float | None] | None:
    return None if ends is None else [_finite(end) for end in ends]


def _finite(value: float | None) -> float | None:
    return value if value is not None and abs(value) < float("inf") else None


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
