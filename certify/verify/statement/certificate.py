"""What a certificate says: statement, claim, dual point and proofs; a closed schema."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, final

import numpy as np

from certify.verify.container import canonical
from certify.verify.proofs.proof import Proof
from certify.verify.reals import Arrays
from certify.verify.rejection import refuse, require
from certify.verify.statement.fields import choice, digest, integer, listed, number, section, text
from certify.verify.statement.problem import Problem, read_problem
from certify.verify.statement.tables import require_shapes

SCHEMA = "certify.certificate/2"
# Kinds of proofs, and the steps before them.
KINDS: Mapping[str, list[str]] = {
    **dict.fromkeys(("zero", "spectral", "randomized", "vertices", "semidefinite"), []),
    **dict.fromkeys(("quadratic-form", "eigenvalue", "norm-products", "sorting"), []),
    **{
        "cone-tree": ["project"],
        "sign-tree": [],
        "scalar-majorant": [],
        "vector-majorant": [],
        "doubly-nonnegative": [],
        "unfolding": [],
        "symmetric-unfolding": [],
    },
}
# Lines below the loss, where degrees are not equal.
MOST_LINES = 64
# Largest probability of accepting a false claim that a certificate may ask for.
LARGEST_FAILURE_PROBABILITY = 0.01


@final
@dataclass(frozen=True, slots=True)
class Part:
    """A tensor of a model file, as rows of a parameter.

    Attributes:
        name: in the file.
        axis: of length rows · group; None where the tensor is the whole parameter, in another shape.
        group: entries of each row along that axis.
    """

    name: str
    axis: int | None
    group: int


Recipes = Mapping[str, tuple[Part, ...]]


@final
@dataclass(frozen=True, slots=True)
class Certificate:
    """A well-formed certificate; nothing about it has been checked yet.

    Attributes:
        upper: claimed: the network's objective is at most this.
        lower: claimed: no network of any width has a smaller objective.
        failure_probability: with which a checker may accept a false claim; None for proofs without randomness.
        dual_scale: s; the dual point is the real matrix s A.
        lines: where degrees are not equal, in place of s: the number of a dual point and its s, for each line.
        proofs: of the polars, one for each branch, dual point after dual point.
        parameters: how each parameter is put together from the model file, or None.
    """

    problem: Problem
    upper: float
    lower: float
    failure_probability: float | None
    dual_scale: float
    lines: tuple[tuple[int, float], ...]
    proofs: tuple[Proof, ...]
    model_sha256: str
    parameters: Recipes | None
    arrays: Arrays

    @property
    def points(self) -> tuple[Certificate, ...]:
        """With each dual point as the only one."""
        count = len(self.proofs) // self._stride if self.lines else 0
        return tuple(self.at(place, 1.0) for place in range(count)) or (self,)

    def at(self, place: int, scale: float) -> Certificate:
        """With a dual point, and its s, as the only one."""
        proofs = self.proofs[place * self._stride : (place + 1) * self._stride]
        arrays = {**self.arrays, "A": self.arrays[f"A.{place}"]}
        return replace(self, lines=(), dual_scale=scale, proofs=proofs, arrays=arrays)

    @property
    def _stride(self) -> int:
        return len(self.problem.branches)

    @property
    def within_tolerance(self) -> bool:
        """Whether the gap is within the tolerance that is stated."""
        return within(self.upper, self.lower, self.problem.relative, self.problem.absolute)


def within(upper: float, lower: float, relative: float, absolute: float) -> bool:
    """Whether a − b ≤ max(absolute, relative·|a|), exactly; NaN fails."""
    if not all(map(math.isfinite, (upper, lower, relative, absolute))):
        return False
    gap, most = Fraction(upper) - Fraction(lower), Fraction(relative) * abs(Fraction(upper))
    return relative >= 0 and absolute >= 0 and gap <= max(Fraction(absolute), most)


def read_certificate(header: Mapping[str, Any], arrays: Arrays) -> Certificate:
    """The certificate that a header and arrays make.

    Raises:
        Rejection: refused; names the rule.
    """
    section(header, "header", ("schema", "statement", "claim", "dual", "proofs", "sources", "arrays"))
    choice(header["schema"], "schema", (SCHEMA,))
    claim = section(header["claim"], "claim", ("upper", "lower", "widths", "failure_probability"))
    choice(claim["widths"], "claim.widths", ("all",))
    sources = section(header["sources"], "sources", ("model", "statement", "parameters"))
    problem = read_problem(header["statement"])
    stated = listed(header["proofs"], "proofs")
    scale, lines = _dual(header["dual"])
    points = 1 + max(place for place, _ in lines) if lines else 1
    if len(stated) != points * len(problem.branches) or (lines and not stated):
        refuse("schema", f"proofs: {len(stated)} for {len(problem.branches)} branches, {points} dual points")
    pairs = zip(stated, problem.branches * points, strict=True)
    entries = [_proof_entry(entry, branch.peels) for entry, branch in pairs]
    kinds = [kind for kind, _ in entries]
    chance = _failure_probability(claim["failure_probability"], kinds)
    require_shapes(problem, kinds, tuple(f"A.{place}" for place in range(points)) if lines else ("A",), arrays)
    certificate = Certificate(
        problem=problem,
        upper=number(claim["upper"], "claim.upper"),
        lower=number(claim["lower"], "claim.lower"),
        failure_probability=chance,
        dual_scale=scale,
        lines=lines,
        proofs=_proofs(entries, chance, arrays),
        model_sha256=digest(sources["model"], "sources.model"),
        parameters=_recipes(sources["parameters"], problem.parameters),
        arrays=arrays,
    )
    _require_digests(header, problem, arrays)
    return certificate


def _dual(value: object) -> tuple[float, tuple[tuple[int, float], ...]]:
    """The scale of one dual point, or lines of several."""
    if not isinstance(value, dict) or "lines" not in value:
        return number(section(value, "dual", ("scale",))["scale"], "dual.scale"), ()
    entries = listed(section(value, "dual", ("lines",))["lines"], "dual.lines")
    found = [section(entry, "dual.lines", ("point", "scale")) for entry in entries]
    if not 1 <= len(found) <= MOST_LINES:
        refuse("schema", f"dual.lines: {len(found)}, needs 1 to {MOST_LINES}")
    lines = ((integer(line["point"], "dual.lines"), number(line["scale"], "dual.lines")) for line in found)
    return 1.0, tuple(lines)


def _proof_entry(value: object, peels: int) -> tuple[str, float]:
    """Kind and claimed bound of a branch of which so many weights are to be peeled off."""
    entry = section(value, "proofs", ("steps", "kind", "upper"))
    kind = choice(entry["kind"], "proofs.kind", tuple(KINDS))
    steps = ["peel"] * (peels if kind != "zero" else 0) + KINDS[kind]
    if entry["steps"] != steps:
        refuse("schema", f"proofs.steps: '{kind}' comes after the steps {steps}")
    return kind, number(entry["upper"], "proofs.upper")


def _failure_probability(value: object, kinds: list[str]) -> float | None:
    if "randomized" not in kinds:
        if value is not None:
            refuse("schema", "claim.failure_probability: no proof is randomized; needs null")
        return None
    chance = number(value, "claim.failure_probability")
    if not 0 < chance <= LARGEST_FAILURE_PROBABILITY:
        refuse("schema", f"claim.failure_probability: {chance!r} is not between 0 and {LARGEST_FAILURE_PROBABILITY}")
    return chance


def _proofs(entries: list[tuple[str, float]], chance: float | None, arrays: Arrays) -> tuple[Proof, ...]:
    """Randomized proofs share the probability that the certificate admits."""
    count = sum(kind == "randomized" for kind, _ in entries)
    found = []
    for index, (kind, upper) in enumerate(entries):
        prefix = f"P{index}."
        own = {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}
        share = chance / count if chance is not None and kind == "randomized" else None
        found.append(Proof(kind, upper, share, own))
    return tuple(found)


def _recipes(value: object, names: tuple[str, ...]) -> Recipes | None:
    if value is None:
        return None
    recipes = section(value, "sources.parameters", names)
    return {name: tuple(_part(part, name) for part in listed(recipes[name], name)) for name in names}


def _part(value: object, name: str) -> Part:
    place = f"sources.parameters, {name}"
    part = section(value, place, ("name", "axis", "group"))
    axis = None if part["axis"] is None else integer(part["axis"], place)
    return Part(text(part["name"], place), axis, integer(part["group"], place, 1))


def _require_digests(header: Mapping[str, Any], problem: Problem, arrays: Arrays) -> None:
    stated = digest(header["sources"]["statement"], "sources.statement")
    found = hashlib.sha256(canonical(header["statement"])).hexdigest()
    require(stated == found, "statement-digest", f"the statement has SHA-256 {found}")
    if problem.features is not None:
        found = hashlib.sha256(np.ascontiguousarray(arrays["X"], "<f8").tobytes()).hexdigest()
        require(found == problem.features, "features-digest", f"the bytes of X have SHA-256 {found}")
