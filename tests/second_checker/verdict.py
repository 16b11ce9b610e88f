"""The whole check."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from .container import canonical, read
from .dual import dual_point, dual_value, objective_of
from .exact import rational
from .losses import check_targets
from .proofs.cones import cone_tree
from .proofs.majorants import scalar_majorant, vector_majorant
from .proofs.norms import norm_products, quadratic_form, randomized, sorting, spectral, zero
from .proofs.task import Task
from .rejection import Rejected, require
from .schema import check_schema, number
from .statement import Shapes, statement_of

# For each kind: the activations that it serves, and the proof.
PROOFS: dict[str, tuple[set[str], Callable[[Task], None]]] = {
    "zero": ({"none", "kink", "square"}, zero),
    "spectral": ({"none"}, spectral),
    "randomized": ({"none"}, randomized),
    "quadratic-form": ({"square"}, quadratic_form),
    "norm-products": ({"kink"}, norm_products),
    "sorting": ({"kink"}, sorting),
    "cone-tree": ({"kink"}, cone_tree),
    "scalar-majorant": ({"kink"}, scalar_majorant),
    "vector-majorant": ({"kink"}, vector_majorant),
}


@dataclass(frozen=True)
class Verdict:
    """What a check finds.

    Attributes:
        rule: the rule that does not hold, or None.
        upper, lower: the claim that holds; None without one.
    """

    rule: str | None
    upper: Fraction | None = None
    lower: Fraction | None = None

    @property
    def accepted(self) -> bool:
        """The certificate is valid."""
        return self.rule is None


def check(content: bytes) -> Verdict:
    """All rules of sections 1 to 6; raises TooLarge where exact arithmetic would take too long."""
    try:
        upper, lower = checked(content)
    except Rejected as error:
        return Verdict(error.rule)
    return Verdict(None, upper, lower)


def checked(content: bytes) -> tuple[Fraction, Fraction]:
    """The claim of a valid certificate."""
    header, arrays = read(content)
    check_schema(header)
    stated: dict[str, Any] = header["statement"]
    name: str = stated["loss"]["name"]
    require(header["sources"]["statement"] == hashlib.sha256(canonical(stated)).hexdigest(), "statement-digest")
    shapes = Shapes(arrays)
    problem = statement_of(stated, shapes)
    if stated["features"] is not None:
        require(stated["features"] == hashlib.sha256(arrays["X"].tobytes()).hexdigest(), "features-digest")
    check_targets(name, problem.targets)
    given = rational(shapes.take("A", *problem.targets.shape))
    upper, lower = number(header["claim"]["upper"]), number(header["claim"]["lower"])
    dual = dual_point(name, number(header["dual"]["scale"]), given, problem)
    objective, value = objective_of(name, problem), dual_value(name, problem, dual)
    require(objective.is_at_most(upper), "objective")
    require((-value).is_at_most(-lower), "dual-value")
    require(not (value - objective).is_positive(), "objective-below-bound")
    for at, (branch, proof) in enumerate(zip(problem.branches, header["proofs"], strict=True)):
        bound = number(proof["upper"])
        served, prove = PROOFS[proof["kind"]]
        require(branch.geometry.kind in served, "proof-kind")
        require(bound >= 0, "polar")
        prove(Task(branch, branch.scores(given), bound, f"P{at}", shapes))
        dual.check_polar(branch, bound, problem.has_free_inputs)
    require(not shapes.left, "shape")
    return upper, lower
