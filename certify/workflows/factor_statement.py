"""What a certificate of a factorization states, and the arrays of its factors and biases."""

from __future__ import annotations

from typing import Any

from certify.bounds.stated_arrays import Array, array_of
from certify.models.factors.factor_model import FactorModel, Table
from certify.problem import FactorNorms, SideNorm, WeightDecay

Section = dict[str, Any]


def factor_sections(model: FactorModel) -> Section:
    """Branches, what is outside of them, and the offset."""
    layer = {"op": "entries", "shape": list(model.shape), "scale": model.scale}
    branch = {"layers": [layer], "bias": "absent", "penalty": _penalty(model), "function": "identity"}
    outside = [] if model.constant is None else [{"features": "ones", "decay": model.constant[1]}]
    counted = "counted-" if model.counted else ""
    outside += [{"features": f"{counted}axis-{bias.axis}", "decay": bias.decay} for bias in model.biases]
    return {"branches": [branch], "outside": outside}


def factor_arrays(model: FactorModel) -> dict[str, Array]:
    """Factors, with one row a term, and biases, with one row a place, as the file has them."""
    values = model.graph.parameters
    found = {}
    for place, factor in enumerate(model.factors):
        table = values[factor.name]
        found[f"F0.{place}"] = array_of(table if factor.transposed else table.T)
    return found | {f"C{place}": array_of(values[n].reshape(-1, 1)) for place, n in enumerate(_biases(model))}


def factor_recipes(model: FactorModel) -> Section:
    """How the arrays are put together from the model file."""
    prefix = model.graph.prefix
    found: Section = {f"F0.{place}": [_columns(prefix, factor)] for place, factor in enumerate(model.factors)}
    whole = ({"name": prefix + name, "axis": None, "group": 1} for name in _biases(model))
    return found | {f"C{place}": [recipe] for place, recipe in enumerate(whole)}


def _biases(model: FactorModel) -> list[str]:
    return [*([] if model.constant is None else [model.constant[0]]), *(bias.name for bias in model.biases)]


def _columns(prefix: str, factor: Table) -> Section:
    return {"name": prefix + factor.name, "axis": 0 if factor.transposed else 1, "group": 1}


def _penalty(model: FactorModel) -> Section:
    penalty = model.penalty
    if isinstance(penalty, WeightDecay):
        name = "counted-weight-decay" if model.counted else "weight-decay"
        return {"name": name, "strengths": list(penalty.strengths), "bias": None}
    if isinstance(penalty, FactorNorms):
        norms = [side_section(side) for side in penalty.sides]
        return {"name": "factor-norms", "strength": penalty.strength, "norms": norms}
    powers = list(getattr(penalty, "powers", ()))
    return {"name": "product-of-norms", "strength": penalty.gauge(model.kind).coefficient, "powers": powers}


def side_section(norm: SideNorm) -> Section:
    """The norm of one factor."""
    return {"l1": norm.l1, "l2": norm.l2, "linf": norm.linf, "nonnegative": norm.nonnegative}
