"""Validate a problem, and say of every fault where it is: `FILE:LINE:COLUMN: key: message`, or the flag."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from certify.errors import UsageError
from certify.models.spec.yaml_document import Location

# From the location of a value, and whether its key is at fault, to the words that open the message.
M = TypeVar("M", bound=BaseModel)
Place = Callable[[Location, bool], str]


def validated(
    kind: type[M],
    content: Any,  # noqa: ANN401
    folder: Path,
    place: Place,
    excerpt: Place | None = None,
    *,
    code: str,
) -> M:
    """`content` as a `kind`.

    Args:
        kind: the model.
        content: plain data.
        folder: what relative paths in the content are relative to.
        place: names where a fault is.
        excerpt: shows the line where it is, if there is one.
        code: of the error.

    Raises:
        UsageError: one line per fault.
    """
    try:
        return kind.model_validate(content, context={"folder": folder})
    except ValidationError as error:
        faults = error.errors(include_url=False)
    # Each fault once, however many rules it breaks.
    found = {_line(kind, fault, place): _excerpt(fault, excerpt) for fault in faults}
    raise UsageError("\n".join(found), code, "\n".join(line + shown for line, shown in found.items()))


def did_you_mean(found: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` and the known names, to append to a message about an unknown name."""
    names = list(known)
    close = difflib.get_close_matches(found, names, n=1)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"{hint} (known: {', '.join(names)})"


def _line(kind: type[BaseModel], fault: ErrorDetails, place: Place) -> str:
    location: Location = fault["loc"]
    unknown = fault["type"] == "extra_forbidden"
    key = ".".join(str(part) for part in location)
    return f"{place(location, unknown)}: {key + ': ' if key else ''}{_message(kind, fault)}"


def _excerpt(fault: ErrorDetails, excerpt: Place | None) -> str:
    return "\n" + excerpt(fault["loc"], fault["type"] == "extra_forbidden") if excerpt else ""


def _message(kind: type[BaseModel], fault: ErrorDetails) -> str:
    match fault["type"]:
        case "missing":
            return "required key is missing"
        case "extra_forbidden":
            found = str(fault["loc"][-1])
            return "unknown key" + did_you_mean(found, _known_keys(kind, fault["loc"][:-1]))
        case "value_error":
            return str(fault["ctx"]["error"])
        case "model_type" | "model_attributes_type":
            return f"needs keys and values, found {_shown(fault['input'])}"
        case _:
            needed = fault["msg"].removeprefix("Input should be ")
            return f"must be {needed}, found {_shown(fault['input'])}"


def _known_keys(kind: type[BaseModel], location: Location) -> list[str]:
    for part in location:
        field = next(f for name, f in kind.model_fields.items() if (f.alias or name) == part)
        options = getattr(field.annotation, "__args__", (field.annotation,))
        kind = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return [field.alias or name for name, field in kind.model_fields.items()]


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
