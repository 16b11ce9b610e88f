"""The sections of a problem file: their keys, types and defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from certify.models.spec.layer_list import Listed, parse_layer, parse_layers
from certify.models.spec.loss_names import LOSS_NAMES
from certify.models.spec.problem_validation import did_you_mean

Policy = Literal["penalized", "free", "absent"]


def _joined(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str | Path) or not str(value).strip() or "\0" in str(value):
        raise ValueError("must be a path")
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / value


def _positive_strength(value: float) -> float:
    if value == 0:
        raise ValueError("is 0: no certificate without a penalty; give the weight decay that training used")
    if value < 0:
        raise ValueError(f"must be positive, found {value:g}")
    return value


def _known_loss(value: str) -> str:
    if value not in LOSS_NAMES:
        raise ValueError(f"unknown loss '{value}'" + did_you_mean(value, LOSS_NAMES))
    return value


def _readable_layer(value: object) -> object:
    parse_layer(value)
    return value


File = Annotated[Path, BeforeValidator(_joined)]
_NUMBER = {"type": "number", "exclusiveMinimum": 0}
Strength = Annotated[float, Field(allow_inf_nan=False), AfterValidator(_positive_strength), WithJsonSchema(_NUMBER)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Nonnegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_DECAY, _DECAYS = TypeAdapter(Strength), TypeAdapter(dict[str, Nonnegative])


def _decay(value: object) -> float | dict[str, float]:
    """One weight decay for all parameters, or one for each name or pattern."""
    if not isinstance(value, dict):
        return _DECAY.validate_python(value, strict=True)
    found = _DECAYS.validate_python(value, strict=True)
    if not any(found.values()):
        raise ValueError("is 0 for all parameters: no certificate without a penalty")
    return found


_NUMBERS = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}, "minProperties": 1}
Decay = Annotated[float | dict[str, float], PlainValidator(_decay), WithJsonSchema({"anyOf": [_NUMBER, _NUMBERS]})]


def _name_or_names(value: object) -> object:
    if isinstance(value, str) and value:
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(name, str) and name for name in value):
        return tuple(value)
    raise ValueError(f"must be a name or a list of names, found {value!r}")


_NAME = {"type": "string", "minLength": 1}
Selection = Annotated[
    Any,
    AfterValidator(_name_or_names),
    WithJsonSchema({"anyOf": [_NAME, {"type": "array", "items": _NAME, "minItems": 1}]}),
]
_ONE_KEY = {"minProperties": 1, "maxProperties": 1}
_NAMED_LAYER = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "object", "array"]},
    **_ONE_KEY,
}
Layer = Annotated[Any, AfterValidator(_readable_layer), WithJsonSchema({"anyOf": [_NAME, _NAMED_LAYER]})]


class Section(BaseModel):
    """A section: no other keys, no conversions."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class ModelSpec(Section):
    """`model:` — the file, and its layers where the file holds weights and no graph.

    Attributes:
        path: the model file, relative to this file; told by content.
        layers: the chain in the order in which it runs: `linear: NAME`, `relu`, `leaky_relu: SLOPE`, `abs`,
            `square`, `scale: FACTOR`; at most one `skip: NAME` and one `frozen: NAME`; or one entry `factorization`
            or `cp`, which names factors.
    """

    path: File
    layers: Annotated[tuple[Layer, ...], Field(strict=False)] | None = None

    @property
    def entries(self) -> Listed | None:
        """The layers, parsed."""
        return None if self.layers is None else parse_layers(self.layers)


@final
class DataSpec(Section):
    """`data:` — a file and the arrays in it, or no `path` and two `.npy` files as `inputs` and `targets`.

    Attributes:
        path: `.npz`, `.safetensors` or `.csv`; None for a `.npy` pair. A `.npz` with `rows`, `cols`, `values` and
            `shape`, and no names given here, is a matrix to complete.
        inputs: name of the inputs; a list of columns for `.csv`. By default `X`, or all other columns.
        targets: name of the targets (or list of columns); by default `y`.
        sample_weights: name of the weights (n,), if any.
        mask: name of the mask (n, c), if any.
    """

    path: File | None = None
    inputs: Selection = None
    targets: Selection = None
    sample_weights: str | None = None
    mask: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _pair(cls, content: Any, info: ValidationInfo) -> Any:  # noqa: ANN401
        if not isinstance(content, dict) or content.get("path") is not None:
            return content
        pair = {key: content.get(key) for key in ("inputs", "targets")}
        if not all(isinstance(name, str) and name.endswith(".npy") for name in pair.values()):
            raise ValueError("give 'path', or a pair of .npy files as 'inputs' and 'targets'")
        weights = {key: content[key] for key in ("sample_weights", "mask") if isinstance(content.get(key), str)}
        return {**content, **{key: str(_joined(name, info)) for key, name in {**pair, **weights}.items()}}


@final
class LossSection(Section):
    """`loss:` — a loss of `torch.nn.functional`.

    Attributes:
        name: of the loss.
        reduction: as in torch; `mean` divides by what torch divides by.
        scale: factor on the loss; 0.5 with `mse` is the half square.
        unobserved_weight: weight of every entry of a factorization that is not in the data, with target 0; for `mse`
            and `sum`.
    """

    name: Annotated[str, AfterValidator(_known_loss), WithJsonSchema({"enum": list(LOSS_NAMES)})] = "mse"
    reduction: Literal["mean", "sum"] = "mean"
    scale: Positive = 1.0
    unobserved_weight: Positive | None = None

    @model_validator(mode="after")
    def _of_squares(self) -> LossSection:
        if self.unobserved_weight is not None and (self.name, self.reduction) != ("mse", "sum"):
            raise ValueError(
                "'unobserved_weight' is for name: mse, as entries that are not observed cost squares, and reduction: "
                "sum, as a mean would leave open over which entries it is"
            )
        return self


_FACTORS = Field(strict=False, min_length=1, max_length=64)


@final
class ProductOfNormsSpec(Section):
    """`product_of_norms:` — λ Σ Π ‖W‖^power.

    Attributes:
        strength: λ.
        norms: of each factor.
        powers: of each norm.
    """

    strength: Strength
    norms: Annotated[tuple[int, ...], _FACTORS] = (2, 2)
    powers: Annotated[tuple[Annotated[int, Field(ge=1, le=64)], ...], _FACTORS] = (1, 1)


def _norm(value: object) -> str | dict[str, float]:
    """The norm of one factor: one of three by its name, or the weights of a mixture of two."""
    if isinstance(value, str) and value in ("l1", "l2", "linf"):
        return value
    if isinstance(value, dict) and set(value) == {"l1", "l2"}:
        return {name: _DECAY.validate_python(weight, strict=True) for name, weight in value.items()}
    raise ValueError(f"must be l1, l2, linf or a mixture {{l1: A, l2: B}}, found {value!r}")


_MIXTURE = {
    "type": "object",
    "properties": {"l1": _NUMBER, "l2": _NUMBER},
    "required": ["l1", "l2"],
    "additionalProperties": False,
}
Norm = Annotated[
    str | dict[str, float], PlainValidator(_norm), WithJsonSchema({"anyOf": [{"enum": ["l1", "l2", "linf"]}, _MIXTURE]})
]


@final
class FactorNormsSpec(Section):
    """`factor_norms:` — λ Σ N(u) N'(v) over u vᵀ, u of the first weight, v of the second; or λ Σ Π_k N_k(u_k).

    Attributes:
        strength: λ.
        left: N, by default l2.
        right: N', likewise.
        norms: N_k of three or four factors, in place of `left` and `right`.
        nonnegative: which of `left` and `right` are kept nonnegative; of `norms`, by number from 0.
    """

    strength: Strength
    left: Norm | None = None
    right: Norm | None = None
    norms: Annotated[tuple[Norm, ...] | None, Field(strict=False, min_length=2, max_length=4)] = None
    nonnegative: Annotated[tuple[Literal["left", "right", 0, 1, 2, 3], ...], Field(strict=False)] = ()

    @model_validator(mode="after")
    def _alike(self) -> FactorNormsSpec:
        if self.norms is not None and not self.left is self.right is None:
            raise ValueError("give either 'norms' or 'left' and 'right'")
        if wrong := set(self.nonnegative) - set(self._sides):
            raise ValueError(f"'nonnegative' names {sorted(wrong, key=str)[0]!r}, which is none of {list(self._sides)}")
        return self

    @property
    def of_factors(self) -> tuple[str | dict[str, float], ...]:
        """The norm of every factor."""
        return (self.left or "l2", self.right or "l2") if self.norms is None else self.norms

    @property
    def cones(self) -> tuple[bool, ...]:
        """Whether each factor is kept nonnegative."""
        return tuple(side in self.nonnegative for side in self._sides)

    @property
    def _sides(self) -> tuple[str | int, ...]:
        return ("left", "right") if self.norms is None else tuple(range(len(self.norms)))


_PENALTIES = ("weight_decay", "product_of_norms", "factor_norms")


@final
class PenaltySpec(Section):
    """`penalty:` — exactly one of its keys.

    Attributes:
        weight_decay: wd > 0, coupled as in SGD and Adam: (wd/2) Σ‖p‖² over penalized parameters; or a mapping from
            names of parameters, or patterns such as `fc1.*`, to their own wd: the first that matches, 0 for not
            penalized.
        product_of_norms: λ Σ Π ‖W‖^power over subnetworks.
        entry_counts: whether weight decay of every row of a factor is multiplied by its number of observed entries.
        factor_norms: λ Σ N(u) N'(v) over subnetworks without an activation.
        matched: whether weight decay of the subnetworks is replaced by the product of norms of their degrees whose λ is
            the least weight decay of a subnetwork with product 1.
    """

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": [key]} for key in _PENALTIES]})

    weight_decay: Decay | None = None
    product_of_norms: ProductOfNormsSpec | None = None
    factor_norms: FactorNormsSpec | None = None
    entry_counts: bool | None = None
    matched: bool | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> PenaltySpec:
        if [getattr(self, key) for key in _PENALTIES].count(None) != 2:
            raise ValueError("give exactly one of 'weight_decay', 'product_of_norms' and 'factor_norms'")
        if self.entry_counts and self.weight_decay is None:
            raise ValueError("'entry_counts' scales 'weight_decay', which is not given")
        if self.matched and (self.weight_decay is None or self.entry_counts):
            raise ValueError("'matched' (--penalty product_of_norms) replaces 'weight_decay' without 'entry_counts'")
        return self


@final
class BiasSpec(Section):
    """`biases:` — by default penalized where the layer has a bias.

    Attributes:
        hidden: of the hidden layer.
        output: of the output layer.
    """

    hidden: Policy | None = None
    output: Policy | None = None


@final
class ToleranceSpec(Section):
    """`tolerance:` — certified means gap ≤ max(absolute_gap, relative_gap · |objective|).

    Attributes:
        relative_gap: share of |objective|.
        absolute_gap: in units of the objective.
    """

    relative_gap: Nonnegative = 1e-3
    absolute_gap: Nonnegative = 0.0


@final
class BudgetSpec(Section):
    """`budget:` — how long to search and bound.

    Attributes:
        seconds: wall clock; a solver may overrun it by its last step.
    """

    seconds: Positive = 60.0
