"""Certificates of global optimality for trained models.

The names below are the public interface; each is imported on first use, so that `import certify` is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from certify.version import __version__

if TYPE_CHECKING:
    from certify.certificates.result import Result
    from certify.errors import CertifyError, RefusedError, UnsupportedError, UsageError
    from certify.models.inspect import inspect_model as inspect
    from certify.models.loading import Problem
    from certify.workflows.check import check
    from certify.workflows.grow import GrowthResult, grow
    from certify.workflows.verify import verify

_HOMES = {
    "CertifyError": ("certify.errors", "CertifyError"),
    "GrowthResult": ("certify.workflows.grow", "GrowthResult"),
    "Problem": ("certify.models.loading", "Problem"),
    "RefusedError": ("certify.errors", "RefusedError"),
    "Result": ("certify.certificates.result", "Result"),
    "UnsupportedError": ("certify.errors", "UnsupportedError"),
    "UsageError": ("certify.errors", "UsageError"),
    "check": ("certify.workflows.check", "check"),
    "grow": ("certify.workflows.grow", "grow"),
    "inspect": ("certify.models.inspect", "inspect_model"),
    "verify": ("certify.workflows.verify", "verify"),
}

__all__ = [
    "CertifyError",
    "GrowthResult",
    "Problem",
    "RefusedError",
    "Result",
    "UnsupportedError",
    "UsageError",
    "__version__",
    "check",
    "grow",
    "inspect",
    "verify",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import a public name on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'certify' has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(import_module(module), attribute)
