"""`${NAME}` from the environment and `${matrix.AXIS}` from the matrix, only where they are written; `$${` is `${`.

A value that is nothing but one `${...}` is read as if the text stood there: `${WD}` with WD=1e-3 is a number. Within a
longer text the replacement is text. What was put in is not replaced again.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from certify.errors import UsageError
from certify.models.spec.yaml_document import Location, plain_scalar

MATRIX = "matrix."
# From a location and a problem to the error to raise.
Fault = Callable[[Location, str], UsageError]
_PATTERN = re.compile(r"\$\$\{|\$\{(?P<name>[^{}$]*)\}|\$\{")


def with_environment(content: Any, known: Mapping[str, str], fault: Fault) -> Any:  # noqa: ANN401
    """Plain data with every `${NAME}` in its texts replaced; `${matrix.…}` and `$${` are left for `with_axes`.

    Raises:
        UsageError: a name that is not set, or `${` that is not closed.
    """

    def swapped(text: str, at: Location) -> Any:  # noqa: ANN401
        def replaced(match: re.Match[str]) -> str:
            name = match["name"]
            if match[0] == "$${" or (name or "").startswith(MATRIX):
                return match[0]
            if not name:
                raise fault(at, "'${' needs a name and '}'; write '$${' for the characters themselves")
            if name not in known:
                raise fault(at, f"environment variable {name} is not set" + _close(name, known))
            return known[name].replace("${", "$${")

        found = _PATTERN.sub(replaced, text)
        return plain_scalar(found) if _PATTERN.fullmatch(text) and not _PATTERN.search(found) else found

    return _walked(content, (), swapped)


def with_axes(content: Any, values: Mapping[str, Any], fault: Fault) -> Any:  # noqa: ANN401
    """Plain data with every `${matrix.AXIS}` replaced by its value, and `$${` by `${`.

    Raises:
        UsageError: an axis that is not there.
    """

    def swapped(text: str, at: Location) -> Any:  # noqa: ANN401
        def value(match: re.Match[str]) -> Any:  # noqa: ANN401
            if match[0] == "$${":
                return "${"
            axis = match["name"].removeprefix(MATRIX)
            if axis not in values:
                raise fault(at, f"the matrix has no axis '{axis}'" + _close(axis, values))
            return values[axis]

        whole = _PATTERN.fullmatch(text)
        return value(whole) if whole else _PATTERN.sub(lambda match: str(value(match)), text)

    return _walked(content, (), swapped)


def _walked(content: Any, at: Location, swapped: Callable[[str, Location], Any]) -> Any:  # noqa: ANN401
    if isinstance(content, dict):
        return {key: _walked(value, (*at, key), swapped) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_walked(value, (*at, index), swapped) for index, value in enumerate(content)]
    return swapped(content, at) if isinstance(content, str) and "${" in content else content


def _close(name: str, known: Mapping[str, Any]) -> str:
    """A hint; only one close name, since the environment may be long and hold secrets."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
