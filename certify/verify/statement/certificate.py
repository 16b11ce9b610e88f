"""What a certificate says: claim, problem in full, dual point and kind of proof; a closed schema."""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np
import numpy.typing as npt

from certify.verify.container import LARGEST_MAGNITUDE, canonical, read_container
from certify.verify.rejection import refuse, require

SCHEMA = "certify.certificate/1"
FAMILIES = ("linear", "relu", "quadratic", "single-layer")
POLICIES = ("absent", "free", "penalized")
PARAMETERS = ("W1", "b1", "W2", "b2", "S")
CONE_DIMENSIONS = range(1, 15)
# Largest probability of accepting a false claim that a certificate may ask for.
LARGEST_FAILURE_PROBABILITY = 0.01
# Entries of the largest array derived from the ones in the file.
LARGEST_DERIVED = 2**28

_KEYS = {
    "": ("arrays", "claim", "dual", "problem", "proof", "schema", "sources"),
    "claim": ("failure_probability", "lower", "upper", "widths"),
    "dual": ("scale",),
    "problem": (
        *(
            "family",
            "features",
            "hidden_bias",
            "lambda",
            "loss",
            "mask",
            "output_bias",
            "penalty",
            "powers",
            "reduction",
        ),
        *("sample_weights", "scale", "skip", "strength", "tolerance_absolute", "tolerance_relative"),
    ),
    "proof": ("kind", "upper"),
    "sources": ("data", "data_names", "model", "parameters", "problem"),
}
# Kind of proof, and the families that it serves.
KINDS = {
    "zero": ("linear", "relu", "quadratic", "single-layer"),
    "vacuous": ("single-layer",),
    "spectral": ("linear",),
    "randomized": ("linear",),
    "quadratic-form": ("quadratic",),
    "norm-products": ("relu",),
    "sorting": ("relu",),
    "cone-tree": ("relu",),
    "scalar-majorant": ("relu",),
    "vector-majorant": ("relu",),
}


@final
@dataclass(frozen=True, slots=True)
class Certificate:
    """A well-formed certificate; nothing about it has been checked yet.

    Attributes:
        upper: claimed: the network's objective is at most this.
        lower: claimed: no network of any width has a smaller objective.
        family: `linear`, `relu`, `quadratic`, or `single-layer` for no subnetworks at all.
        loss: name of the loss.
        reduction: `mean` or `sum`.
        scale: factor on the loss.
        penalty: `weight-decay` or `product-of-norms`.
        strength: its strength; λ.
        powers: exponents of the norms, of `product-of-norms`.
        hidden_bias: policy of b1.
        output_bias: policy of b2.
        skip: policy of S.
        relative: tolerance relative to the objective.
        absolute: tolerance in units of the objective.
        features: digest of X where it holds features that frozen layers computed; None where it holds the inputs.
        dual_scale: s; the dual point is the real matrix s A.
        kind: of the proof.
        polar_upper: claimed bound U on the polar at −A.
        failure_probability: with which a checker may accept a false claim; None for proofs without randomness.
        sources: digests and names that link to files.
        arrays: all arrays by name.
    """

    upper: float
    lower: float
    family: str
    loss: str
    reduction: str
    scale: float
    penalty: str
    strength: float
    powers: tuple[int, ...]
    hidden_bias: str
    output_bias: str
    skip: str
    relative: float
    absolute: float
    features: str | None
    dual_scale: float
    kind: str
    polar_upper: float
    failure_probability: float | None
    sources: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]

    @property
    def free_hidden(self) -> bool:
        """Whether the constant input of the hidden layer has an unpenalized weight in the polar."""
        return self.family == "relu" and self.hidden_bias == "free"


def read_certificate(data: bytes) -> Certificate:
    """Parse a certificate.

    Raises:
        Rejection: refused; names the rule.
    """
    header, arrays = read_container(data)
    _keys(header, "")
    for part in ("claim", "dual", "problem", "proof", "sources"):
        _keys(header[part], part)
    claim, problem, proof = header["claim"], header["problem"], header["proof"]
    _choice("schema", header["schema"], (SCHEMA,))
    _choice("claim.widths", claim["widths"], ("all",))
    powers = problem["powers"]
    if not isinstance(powers, list) or not all(type(p) is int and 1 <= p <= 2 for p in powers):
        refuse("schema", f"problem.powers: {powers!r:.40}")
    certificate = Certificate(
        upper=_number(claim, "upper"),
        lower=_number(claim, "lower"),
        family=_choice("problem.family", problem["family"], FAMILIES),
        loss=_text(problem, "loss"),
        reduction=_choice("problem.reduction", problem["reduction"], ("mean", "sum")),
        scale=_number(problem, "scale"),
        penalty=_choice("problem.penalty", problem["penalty"], ("weight-decay", "product-of-norms")),
        strength=_number(problem, "strength"),
        powers=tuple(powers),
        hidden_bias=_choice("problem.hidden_bias", problem["hidden_bias"], POLICIES),
        output_bias=_choice("problem.output_bias", problem["output_bias"], POLICIES),
        skip=_choice("problem.skip", problem["skip"], POLICIES),
        relative=_number(problem, "tolerance_relative"),
        absolute=_number(problem, "tolerance_absolute"),
        features=_features(problem),
        dual_scale=_number(header["dual"], "scale"),
        kind=_choice("proof.kind", proof["kind"], tuple(KINDS)),
        polar_upper=_number(proof, "upper"),
        failure_probability=_failure_probability(claim, proof["kind"]),
        sources=header["sources"],
        arrays=arrays,
    )
    _flags(problem)
    _shapes(certificate, problem["sample_weights"], problem["mask"])
    _sources(certificate, problem)
    if certificate.features is not None:
        found = hashlib.sha256(certificate.arrays["X"].tobytes()).hexdigest()
        require(found == certificate.features, "features-digest", f"the bytes of X have SHA-256 {found}")
    require(_number(problem, "lambda") == certificate.strength, "lambda", "λ is the strength of the penalty")
    return certificate


def _keys(section: object, name: str) -> None:
    if not isinstance(section, dict) or tuple(sorted(section)) != tuple(sorted(_KEYS[name])):
        found = sorted(section) if isinstance(section, dict) else type(section).__name__
        refuse("schema", f"{name or 'header'}: needs exactly the keys {sorted(_KEYS[name])}, found {found!r:.200}")


def _choice(name: str, value: object, allowed: tuple[str, ...]) -> str:
    if not isinstance(value, str) or value not in allowed:
        refuse("schema", f"{name}: {value!r:.60} is not one of {', '.join(allowed)}")
    return value


def _text(section: dict[str, Any], key: str) -> str:
    if not isinstance(section[key], str):
        refuse("schema", f"{key}: {section[key]!r:.60} is not text")
    return str(section[key])


def _number(section: dict[str, Any], key: str) -> float:
    """A float, written exactly as `float.hex` writes it."""
    try:
        value = float.fromhex(section[key])
    except (TypeError, ValueError, OverflowError):
        refuse("schema", f"{key}: {section[key]!r:.60} is not a hexadecimal number")
    if value.hex() != section[key] or not abs(value) <= LARGEST_MAGNITUDE:
        refuse("schema", f"{key}: {section[key]!r:.60} is not a canonical finite hexadecimal number")
    return value


def _failure_probability(claim: dict[str, Any], kind: str) -> float | None:
    if kind != "randomized":
        if claim["failure_probability"] is not None:
            refuse("schema", f"claim.failure_probability: a proof of kind '{kind}' is not randomized; needs null")
        return None
    value = _number(claim, "failure_probability")
    if not 0 < value <= LARGEST_FAILURE_PROBABILITY:
        refuse("schema", f"claim.failure_probability: {value!r} is not between 0 and {LARGEST_FAILURE_PROBABILITY}")
    return value


def _features(problem: dict[str, Any]) -> str | None:
    value = problem["features"]
    if value is not None and not (isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value)):
        refuse("schema", "problem.features: needs a SHA-256 in hexadecimal, or null")
    return None if value is None else str(value)


def _flags(problem: dict[str, Any]) -> None:
    for key in ("mask", "sample_weights"):
        if type(problem[key]) is not bool:
            refuse("schema", f"problem.{key}: needs true or false")


def _shapes(certificate: Certificate, weighted: bool, masked: bool) -> None:
    """Every array that must be there is, in this order, with the shape that follows from X, Y and W1; no other."""
    arrays = certificate.arrays
    for name, ndim in (("X", 2), ("Y", 2), ("W1", 2)):
        if name not in arrays or arrays[name].ndim != ndim:
            refuse("shape", f"array '{name}' with {ndim} axes is missing")
    (n, d), c, r = arrays["X"].shape, arrays["Y"].shape[1], arrays["W1"].shape[0]
    free = certificate.free_hidden
    width = d + (certificate.hidden_bias != "absent")
    derived = max(n * max(width, c, r), c * width if certificate.family == "linear" else c * width**2)
    if not (n >= 1 and d >= 1 and c >= 1) or derived > LARGEST_DERIVED:
        refuse("size-limit", f"n = {n}, d = {d}, c = {c}, r = {r}")
    f8: dict[str, tuple[int, ...]] = {"X": (n, d), "Y": (n, c)}
    f8 |= {"sample_weights": (n,)} if weighted else {}
    f8 |= {"mask": (n, c)} if masked else {}
    f8 |= {"W1": (r, d)} | ({"b1": (r,)} if certificate.hidden_bias != "absent" else {}) | {"W2": (c, r)}
    f8 |= {"b2": (c,)} if certificate.output_bias != "absent" else {}
    f8 |= ({"S": (c, d)} if certificate.skip != "absent" else {}) | {"A": (n, c)}
    inner = d + 1 if free else width
    match certificate.kind:
        case "cone-tree":
            rank = arrays["frame"].shape[-1] if "frame" in arrays and arrays["frame"].ndim == 2 else 0
            leaves = arrays["tangents"].shape[0] if "tangents" in arrays and arrays["tangents"].ndim == 2 else 0
            nodes = arrays["splits"].size if "splits" in arrays else 0
            if rank + free not in CONE_DIMENSIONS:
                refuse("size-limit", f"a cone tree in {rank + free} dimensions")
            f8 |= {
                "frame": (width - free, rank),
                "rows": (n, rank),
                "splits": (nodes,),
                "tangents": (leaves, rank + free),
            }
            f8 |= {"center": (d,), "column": (1,)} if free else {}
        case "randomized":
            f8 |= {"edge": (1,)}
        case "scalar-majorant":
            f8 |= {"curvatures": (2, n), "slopes": (2, n), "caps": (2, n), "levels": (2,)}
            f8 |= {"center": (d,), "column": (2,)} if free else {}
        case "vector-majorant":
            f8 |= {"curvatures": (2, n, c), "slopes": (2, n, c), "mixings": (2, c), "envelopes": (c, inner, inner)}
            f8 |= {"center": (d,), "column": (1,)} if free else {}
    if list(arrays) != list(f8):
        refuse("shape", f"needs exactly the arrays {', '.join(f8)}, in this order; found {', '.join(arrays)}")
    for name, shape in f8.items():
        item = "|u1" if name in ("mask", "splits", "tangents") else "<f8"
        if arrays[name].shape != shape or arrays[name].dtype != np.dtype(item):
            refuse("shape", f"array '{name}' is {arrays[name].dtype.str} {arrays[name].shape}, needs {item} {shape}")


def _sources(certificate: Certificate, problem: dict[str, Any]) -> None:
    sources = certificate.sources
    for key in ("model", "data", "problem"):
        if not isinstance(sources[key], str) or not re.fullmatch("[0-9a-f]{64}", sources[key]):
            refuse("schema", f"sources.{key} is not a SHA-256 in hexadecimal")
    require(sources["problem"] == hashlib.sha256(canonical(problem)).hexdigest(), "problem-digest", "of `problem`")
    names, there = sources["parameters"], _named(certificate)
    if names is not None and not (
        isinstance(names, dict) and sorted(names) == sorted(there) and all(isinstance(v, str) for v in names.values())
    ):
        refuse("schema", "sources.parameters: needs the name of every parameter, or null")
    data = sources["data_names"]
    if data is not None and not (
        isinstance(data, dict)
        and sorted(data) == ["inputs", "mask", "sample_weights", "targets"]
        and all(v is None or isinstance(v, str) or _is_names(v) for v in data.values())
    ):
        refuse("schema", "sources.data_names: needs inputs, targets, sample_weights and mask, or null")


def _named(certificate: Certificate) -> list[str]:
    """Roles of the parameters that a model file holds: all that are there, but no weights of no hidden units."""
    left_out = ("W1", "W2") if certificate.family == "single-layer" else ()
    return [name for name in PARAMETERS if name in certificate.arrays and name not in left_out]


def _is_names(value: object) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(isinstance(name, str) for name in value)


def within_tolerance(upper: float, lower: float, certificate: Certificate) -> bool:
    """Whether a − b ≤ max(absolute, relative·|a|), exactly; NaN fails."""
    if not (math.isfinite(upper) and math.isfinite(lower)):
        return False
    relative, absolute = Fraction(certificate.relative), Fraction(certificate.absolute)
    gap = Fraction(upper) - Fraction(lower)
    return relative >= 0 and absolute >= 0 and gap <= max(absolute, relative * abs(Fraction(upper)))
