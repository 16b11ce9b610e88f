"""Rule 9: exactly these keys, of these types."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from .container import MAGNITUDE, is_integer
from .rejection import require

Check = Callable[[Any], bool]
KINDS = [
    *("zero", "spectral", "randomized", "quadratic-form", "norm-products"),
    *("sorting", "cone-tree", "scalar-majorant", "vector-majorant"),
]
LOSSES = ["mse", "huber", "binary-cross-entropy", "soft-margin", "squared-hinge", "poisson", "cross-entropy"]


def number(text: Any) -> Fraction:
    """The value of a number in text."""
    return Fraction(float.fromhex(text))


def is_number(value: Any) -> bool:
    """Spelled as `float.hex` spells it, or as `%a` does, without zeros at the end."""
    if not isinstance(value, str) or not re.fullmatch(r"-?0x[01](\.[0-9a-f]+)?p[+-][0-9]+", value):
        return False
    try:
        exact = float.fromhex(value)
    except OverflowError:
        return False
    spelled = exact.hex()
    return abs(exact) <= MAGNITUDE and value in (spelled, re.sub(r"\.?0*p", "p", spelled))


def is_digest(value: Any) -> bool:
    """SHA-256 in lower-case hexadecimal."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def one_of(*values: str) -> Check:
    return lambda value: isinstance(value, str) and value in values


def either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def is_null(value: Any) -> bool:
    return value is None


def is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def is_text(value: Any) -> bool:
    return isinstance(value, str)


def list_of(check: Check, low: int = 0, high: int = 2**20) -> Check:
    return lambda value: isinstance(value, list) and low <= len(value) <= high and all(map(check, value))


def entries(**checks: Check) -> Check:
    """An object with exactly these keys."""
    return lambda value: (
        isinstance(value, dict)
        and set(value) == set(checks)
        and all(check(value[key]) for key, check in checks.items())
    )


def is_count(value: Any) -> bool:
    return is_integer(value, 1)


def is_size(value: Any) -> bool:
    return is_integer(value, 0)


AXES = list_of(is_integer, 1, 2)
WINDOWS = {"kernel": AXES, "stride": AXES, "padding": AXES}
LAYER_KEYS: dict[str, dict[str, Check]] = {
    "gate": {"weights": list_of(is_number), "bias": is_number},
    "select": {"columns": list_of(is_size)},
    "linear": {},
    "convolution": WINDOWS | {"dilation": AXES},
    "relu": {},
    "leaky_relu": {"slope": is_number},
    "abs": {},
    "square": {},
    "average_pool": WINDOWS | {"counts_padding": is_bool},
    "times_inputs": {},
}


def is_layer(value: Any) -> bool:
    """An object with the keys of its `op`."""
    op = value.get("op") if isinstance(value, dict) else None
    return isinstance(op, str) and op in LAYER_KEYS and entries(op=is_text, **LAYER_KEYS[op])(value)


def is_branch(value: Any) -> bool:
    """A subnetwork; the decay of a bias is there if the bias is penalized."""
    weight_decay = entries(
        name=one_of("weight-decay"), strengths=list_of(is_number, 2, 2), bias=either(is_null, is_number)
    )
    product = entries(name=one_of("product-of-norms"), strength=is_number, powers=list_of(is_integer, 2, 2))
    known = entries(
        layers=list_of(is_layer),
        bias=one_of("absent", "free", "penalized"),
        penalty=either(weight_decay, product),
        function=one_of("identity"),
    )
    if not known(value):
        return False
    penalty = value["penalty"]
    return penalty["name"] != "weight-decay" or is_null(penalty["bias"]) == (value["bias"] != "penalized")


COLUMNS = either(is_null, is_text, list_of(is_text))
NAMES = entries(inputs=COLUMNS, targets=COLUMNS, sample_weights=COLUMNS, mask=COLUMNS)
STATEMENT = entries(
    inputs=list_of(is_count, 1, 3),
    branches=list_of(is_branch),
    outside=list_of(entries(features=one_of("ones", "inputs"), decay=is_number)),
    offset=either(is_null, one_of("inputs", "array")),
    loss=entries(name=one_of(*LOSSES), reduction=one_of("mean", "sum"), scale=is_number),
    sample_weights=is_bool,
    mask=is_bool,
    features=either(is_null, is_digest),
    data=either(is_null, entries(sha256=is_digest, names=either(is_null, NAMES))),
    tolerance=entries(relative=is_number, absolute=is_number),
)
PART = entries(name=is_text, axis=either(is_null, is_integer), group=is_count)
HEADER = entries(
    schema=one_of("certify.certificate/2"),
    claim=entries(
        upper=is_number, lower=is_number, widths=one_of("all"), failure_probability=either(is_null, is_number)
    ),
    statement=STATEMENT,
    dual=entries(scale=is_number),
    proofs=list_of(entries(kind=one_of(*KINDS), steps=list_of(is_text), upper=is_number)),
    sources=entries(
        model=is_digest,
        statement=is_digest,
        parameters=either(
            is_null,
            lambda value: isinstance(value, dict) and all(map(list_of(PART, 1), value.values())),
        ),
    ),
    arrays=lambda value: isinstance(value, list),
)


def check_schema(header: dict[str, Any]) -> None:
    """Every key of the header, and what keys say about each other."""
    require(HEADER(header), "schema")
    proofs = header["proofs"]
    require(len(proofs) == len(header["statement"]["branches"]), "schema")
    for proof in proofs:
        require(proof["steps"] == (["project"] if proof["kind"] == "cone-tree" else []), "schema")
    probability = header["claim"]["failure_probability"]
    require((probability is not None) == any(proof["kind"] == "randomized" for proof in proofs), "schema")
    require(probability is None or 0 < number(probability) <= Fraction(0.01), "schema")
