"""`certify verify`: read the files, and run the independent checker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from certify.errors import RefusedError, UsageError
from certify.verify import Verdict, verify_bytes

# Largest input read, in bytes; the checker has its own limits on what is inside.
LARGEST_INPUT = 8 * 2**30
INSTALL_EXACT = "pip install 'certify-optimality[exact]'"


def verify(
    certificate: str | Path, model: str | Path | None = None, data: Sequence[str | Path] = (), *, exact: bool = False
) -> Verdict:
    """Check a certificate file, and compare it with a model file and a data file, or a `.npy` pair, where given.

    With `exact` it is computed in integers and rigorous balls, with python-flint.

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
