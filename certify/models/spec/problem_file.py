"""The problem file, schema `certify.problem/1`: which model, data, loss, penalty and biases are meant."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, final

from pydantic import Field

from certify.errors import UnsupportedError
from certify.models.spec.overrides import OVERRIDE_FLAGS, Overrides, merged
from certify.models.spec.problem_sections import (
    BiasSpec,
    BudgetSpec,
    DataSpec,
    LossSection,
    ModelSpec,
    PenaltySpec,
    Section,
    ToleranceSpec,
)
from certify.models.spec.problem_validation import Place, validated
from certify.models.spec.yaml_document import Location, load_yaml

SCHEMA = "certify.problem/1"


@final
class ProblemSpec(Section):
    """A whole problem file; paths are relative to it.

    Attributes:
        version: `certify.problem/1`.
        model: the model.
        data: the data that the loss is over.
        loss: the loss.
        penalty: the penalty.
        biases: how biases are treated.
        skip: how a linear skip is treated.
        scope: `model`, or `head`: the last two weight layers, or one, given what the layers before, frozen, compute.
        tolerance: what counts as optimal.
        budget: how long to try.
    """

    version: Literal["certify.problem/1"] = Field(alias="schema")
    model: ModelSpec
    data: DataSpec
    loss: LossSection = LossSection()
    penalty: PenaltySpec
    biases: BiasSpec = BiasSpec()
    skip: Literal["penalized", "free"] | None = None
    scope: Literal["model", "head"] = "model"
    tolerance: ToleranceSpec = ToleranceSpec()
    budget: BudgetSpec = BudgetSpec()

    def with_overrides(self, overrides: Overrides) -> ProblemSpec:
        """This problem with what the command line says instead; paths there are relative to the working folder.

        Raises:
            UsageError: names the flag whose value does not serve.
        """
        return spec_from_content(merged(self.model_dump(by_alias=True, exclude_none=True), overrides), Path(), _flag)


def load_problem_file(path: str | Path) -> ProblemSpec:
    """Read a problem file.

    Raises:
        UsageError: missing, not YAML, or not a problem; one line per fault, each with file, line and column.
        UnsupportedError: a penalty that has no certificate yet.
    """
    document = load_yaml(Path(path), "problem file")
    return spec_from_content(
        document.content,
        document.path.parent,
        lambda at, key: document.place(at, of_key=key),
        lambda at, key: document.excerpt(at, of_key=key),
    )


def spec_from_flags(model: str | Path, overrides: Overrides) -> ProblemSpec:
    """The problem that flags alone describe.

    Raises:
        UsageError: names the flag that is missing or does not serve.
    """
    return spec_from_content(merged({"schema": SCHEMA, "model": {"path": str(model)}}, overrides), Path(), _flag)


def spec_from_arguments(
    caller: str, content: Mapping[str, Any], gaps: tuple[float, float], seconds: float
) -> ProblemSpec:
    """The problem of a live model and arrays.

    Args:
        caller: the function whose arguments they are, for messages.
        content: the other sections, as in a problem file.
        gaps: relative and absolute tolerance.
        seconds: wall clock.

    Raises:
        UsageError: an argument that does not serve.
    """
    relative, absolute = gaps
    whole = {
        **content,
        "schema": SCHEMA,
        "model": {"path": "live"},
        "data": {"path": "live"},
        "tolerance": {"relative_gap": relative, "absolute_gap": absolute},
        "budget": {"seconds": seconds},
    }
    return validated(ProblemSpec, whole, Path(), lambda _location, _of_key: caller, code="problem-file")


def spec_from_content(
    content: Any,  # noqa: ANN401
    folder: Path,
    place: Place,
    excerpt: Place | None = None,
) -> ProblemSpec:
    """The problem that plain data describe.

    Args:
        content: as in a problem file.
        folder: what relative paths are relative to.
        place: names where a fault is.
        excerpt: shows the line where it is, if there is one.

    Raises:
        UsageError: not a problem; one line per fault.
        UnsupportedError: a penalty that has no certificate yet.
    """
    spec = validated(ProblemSpec, content, folder, place, excerpt, code="problem-file")
    product = spec.penalty.product_of_norms
    euclidean = [2] * len(product.powers) if product else []
    if product and "norms" in product.model_fields_set and list(product.norms) != euclidean:
        where = place(("penalty", "product_of_norms", "norms"), False)
        raise UnsupportedError(
            f"{where}: penalty.product_of_norms.norms: {list(product.norms)} has no certificate here; use {euclidean}",
            code="unsupported-penalty",
        )
    return spec


def find_problem_file(model: str | Path) -> Path | None:
    """`model.problem.yaml` beside `model.pt`, if it is there."""
    found = problem_file_beside(model)
    return found if found.is_file() else None


def problem_file_beside(model: str | Path) -> Path:
    """Where the problem file of a model belongs."""
    path = Path(model)
    return path.parent / f"{path.stem}.problem.yaml"


def _flag(location: Location, _of_key: bool) -> str:
    for length in range(len(location), 0, -1):
        flag = OVERRIDE_FLAGS.get(location[:length])
        if flag:
            return flag
    return "command line"
