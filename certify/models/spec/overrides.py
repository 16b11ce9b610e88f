"""What the command line may say instead of the problem file."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, final

from certify.models.spec.yaml_document import Location


def _flag(flag: str, *at: str) -> Any:  # noqa: ANN401
    return field(default=None, metadata={"flag": flag, "at": at})


@final
@dataclass(frozen=True, slots=True)
class Overrides:
    """One value per flag; None leaves the file's.

    Attributes:
        model: path of the model.
        layers: entries of the list of layers.
        data: path of the data, relative to the working folder.
        inputs: name of the inputs, or names of columns.
        targets: name of the targets, or names of columns.
        loss: name of the loss.
        reduction: `mean` or `sum`.
        scale: factor on the loss.
        unobserved_weight: of entries that are not in the data of a factorization.
        weight_decay: replaces the whole penalty.
        matched: whether a product of norms replaces weight decay.
        hidden_bias: `penalized`, `free` or `absent`.
        output_bias: `penalized`, `free` or `absent`.
        relative_gap: tolerance relative to the objective.
        absolute_gap: tolerance in units of the objective.
        budget_seconds: wall clock seconds.
        scope: `model` or `head`.
    """

    model: str | None = _flag("model", "model", "path")
    layers: tuple[Any, ...] | None = _flag("--layers", "model", "layers")
    data: str | None = _flag("--data", "data", "path")
    inputs: str | tuple[str, ...] | None = _flag("--inputs", "data", "inputs")
    targets: str | tuple[str, ...] | None = _flag("--targets", "data", "targets")
    loss: str | None = _flag("--loss", "loss", "name")
    reduction: str | None = _flag("--reduction", "loss", "reduction")
    scale: float | None = _flag("--scale", "loss", "scale")
    unobserved_weight: float | None = _flag("--unobserved-weight", "loss", "unobserved_weight")
    weight_decay: float | None = _flag("--weight-decay", "penalty", "weight_decay")
    matched: bool | None = _flag("--penalty", "penalty", "matched")
    hidden_bias: str | None = _flag("--hidden-bias", "biases", "hidden")
    output_bias: str | None = _flag("--output-bias", "biases", "output")
    relative_gap: float | None = _flag("--relative-gap", "tolerance", "relative_gap")
    absolute_gap: float | None = _flag("--absolute-gap", "tolerance", "absolute_gap")
    budget_seconds: float | None = _flag("--budget", "budget", "seconds")
    scope: str | None = _flag("--scope", "scope")


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
