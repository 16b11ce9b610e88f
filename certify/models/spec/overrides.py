"""What the command line may say instead of the problem file."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, final

from certify.models.spec.yaml_document import Location


@final
@dataclass(frozen=True, slots=True)
class Overrides:
    """One value per flag; None leaves the file's.

    Attributes:
        model: path of the model.
        data: path of the data, relative to the working folder.
        inputs: name of the inputs, or names of columns.
        targets: name of the targets, or names of columns.
        loss: name of the loss.
        reduction: `mean` or `sum`.
        scale: factor on the loss.
        weight_decay: replaces the whole penalty.
        hidden_bias: `penalized`, `free` or `absent`.
        output_bias: `penalized`, `free` or `absent`.
        relative_gap: tolerance relative to the objective.
        absolute_gap: tolerance in units of the objective.
        budget_seconds: wall clock seconds.
        scope: `model` or `head`.
    """

    model: str | None = field(default=None, metadata={"at": ("model", "path"), "flag": "model"})
    data: str | None = field(default=None, metadata={"at": ("data", "path"), "flag": "--data"})
    inputs: str | tuple[str, ...] | None = field(default=None, metadata={"at": ("data", "inputs"), "flag": "--inputs"})
    targets: str | tuple[str, ...] | None = field(
        default=None, metadata={"at": ("data", "targets"), "flag": "--targets"}
    )
    loss: str | None = field(default=None, metadata={"at": ("loss", "name"), "flag": "--loss"})
    reduction: str | None = field(default=None, metadata={"at": ("loss", "reduction"), "flag": "--reduction"})
    scale: float | None = field(default=None, metadata={"at": ("loss", "scale"), "flag": "--scale"})
    weight_decay: float | None = field(
        default=None, metadata={"at": ("penalty", "weight_decay"), "flag": "--weight-decay"}
    )
    hidden_bias: str | None = field(default=None, metadata={"at": ("biases", "hidden"), "flag": "--hidden-bias"})
    output_bias: str | None = field(default=None, metadata={"at": ("biases", "output"), "flag": "--output-bias"})
    relative_gap: float | None = field(
        default=None, metadata={"at": ("tolerance", "relative_gap"), "flag": "--relative-gap"}
    )
    absolute_gap: float | None = field(
        default=None, metadata={"at": ("tolerance", "absolute_gap"), "flag": "--absolute-gap"}
    )
    budget_seconds: float | None = field(default=None, metadata={"at": ("budget", "seconds"), "flag": "--budget"})
    scope: str | None = field(default=None, metadata={"at": ("scope",), "flag": "--scope"})


OVERRIDE_FLAGS: dict[Location, str] = {
    **{entry.metadata["at"]: entry.metadata["flag"] for entry in fields(Overrides)},
    ("data",): "--data",
    ("penalty",): "--weight-decay",
}


def merged(content: dict[str, Any], overrides: Overrides) -> dict[str, Any]:
    """`content` of a problem file with the overrides in their places."""
    sections = {key: dict(part) if isinstance(part, dict) else part for key, part in content.items()}
    if overrides.weight_decay is not None:
        sections["penalty"] = {}
    if overrides.data is not None and "path" not in sections.get("data", {}):
        sections["data"] = {}
    for entry in fields(Overrides):
        value = getattr(overrides, entry.name)
        if value is not None:
            *section, key = entry.metadata["at"]
            place = sections.setdefault(section[0], {}) if section else sections
            place[key] = value
    return sections
