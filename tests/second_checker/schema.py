"""Rule 9: exactly these keys, of these types."""

import re
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

from .container import MAGNITUDE, is_integer
from .rejection import require

Check = Callable[[Any], bool]
LOSSES = "mse huber binary-cross-entropy soft-margin squared-hinge poisson cross-entropy"


def number(text: str) -> Fraction:
    return Fraction(float.fromhex(text))


def is_number(value: Any) -> bool:
    """Spelled as `float.hex` spells it."""
    spelled = isinstance(value, str) and re.fullmatch(r"-?0x[01]\.[0-9a-f]+p(\+[0-9]{1,3}|-[0-9]{1,4})", value)
    return bool(spelled) and abs(float.fromhex(value)) <= MAGNITUDE and value == float.fromhex(value).hex()


def matching(pattern: str) -> Check:
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value) is not None


def one_of(words: str) -> Check:
    return matching("|".join(words.split()))


def either(*checks: Check) -> Check:
    return lambda value: any(check(value) for check in checks)


def list_of(check: Check, low: int = 0, high: int = 2**20) -> Check:
    return lambda value: isinstance(value, list) and low <= len(value) <= high and all(map(check, value))


def entries(**checks: Check) -> Check:
    return lambda value: (
        isinstance(value, dict) and set(value) == set(checks) and all(checks[key](value[key]) for key in checks)
    )


def of_type(kind: type) -> Check:
    return lambda value: type(value) is kind


NULL, BOOL, OPTIONAL = of_type(type(None)), of_type(bool), either(of_type(type(None)), is_number)
TEXT, DIGEST, AXES = of_type(str), matching("[0-9a-f]{64}"), list_of(is_integer, 1, 2)
WINDOWS = {"kernel": AXES, "stride": AXES, "padding": AXES}
LAYER = either(
    entries(op=one_of("linear relu abs square times_inputs")),
    entries(op=one_of("gate"), weights=list_of(is_number), bias=is_number),
    entries(op=one_of("select"), columns=list_of(is_integer)),
    entries(op=one_of("convolution"), dilation=AXES, **WINDOWS),
    entries(op=one_of("leaky_relu"), slope=is_number),
    entries(op=one_of("average_pool"), counts_padding=BOOL, **WINDOWS),
)
DECAY = entries(name=one_of("weight-decay"), strengths=list_of(is_number, 2), bias=OPTIONAL)
PRODUCT = entries(name=one_of("product-of-norms"), strength=is_number, powers=list_of(is_integer, 2))
SIDE = entries(l1=is_number, l2=is_number, linf=is_number, nonnegative=BOOL)
FACTORS = entries(name=one_of("factor-norms"), strength=is_number, left=SIDE, right=SIDE)
ENTRIES = entries(op=one_of("entries"), shape=list_of(lambda value: is_integer(value, 1), 1), scale=is_number)
DECAYS = entries(name=one_of("weight-decay counted-weight-decay"), strengths=list_of(is_number), bias=NULL)
POWERS = entries(
    name=one_of("product-of-norms"), strength=is_number, powers=list_of(lambda value: is_integer(value, 1), 1)
)
NORMS = entries(name=one_of("factor-norms"), strength=is_number, norms=list_of(SIDE))
PENALTY, BIASES = either(DECAY, PRODUCT, FACTORS), one_of("absent free penalized")
ROWS = entries(layers=list_of(LAYER), bias=BIASES, penalty=PENALTY, function=one_of("identity"))
TIED = entries(
    layers=lambda value: value == [{"op": "linear"}, {"op": "transposed"}],
    bias=BIASES,
    penalty=entries(name=one_of("weight-decay"), strengths=list_of(is_number, 1, 1), bias=OPTIONAL),
    function=one_of("identity"),
)
PLACES = entries(
    layers=list_of(ENTRIES, 1, 1),
    bias=one_of("absent"),
    penalty=either(DECAYS, POWERS, NORMS),
    function=one_of("identity"),
)
LOSS = {"name": one_of(LOSSES), "reduction": one_of("mean sum"), "scale": is_number}
COLUMNS = either(NULL, TEXT, list_of(TEXT, 1))
NAMES = entries(inputs=COLUMNS, targets=COLUMNS, sample_weights=COLUMNS, mask=COLUMNS)
STATEMENT = entries(
    inputs=list_of(lambda value: is_integer(value, 1), 1, 3),
    branches=either(list_of(either(ROWS, TIED)), list_of(PLACES, 1, 1)),
    outside=list_of(entries(features=one_of("ones inputs (counted-)?axis-[0-3]"), decay=is_number)),
    offset=either(NULL, one_of("inputs array")),
    loss=either(entries(**LOSS), entries(unobserved_weight=is_number, **LOSS)),
    sample_weights=BOOL,
    mask=BOOL,
    features=either(NULL, DIGEST),
    departures=list_of(TEXT),
    data=entries(sha256=DIGEST, names=either(NULL, NAMES)),
    tolerance=entries(relative=is_number, absolute=is_number),
)
PART = entries(
    name=TEXT, axis=either(NULL, lambda value: is_integer(value, 0)), group=lambda value: is_integer(value, 1)
)
PARTS = list_of(PART, 1)
PARAMETERS = either(NULL, lambda value: isinstance(value, dict) and all(map(PARTS, value.values())))
SCHEMA = one_of(r"certify\.certificate/2")
LINE = entries(point=lambda value: is_integer(value, 0), scale=is_number)
DUAL = either(entries(scale=is_number), entries(lines=list_of(LINE, 1, 64)))
CLAIM = entries(upper=is_number, lower=is_number, widths=one_of("all"), failure_probability=OPTIONAL)
PROOFS = list_of(entries(kind=TEXT, steps=list_of(TEXT), upper=is_number))
SOURCES, ARRAYS = entries(model=DIGEST, statement=DIGEST, parameters=PARAMETERS), of_type(list)
HEADER = entries(
    schema=SCHEMA, claim=CLAIM, statement=STATEMENT, dual=DUAL, proofs=PROOFS, sources=SOURCES, arrays=ARRAYS
)


def is_of_entries(statement: dict[str, Any]) -> bool:
    return any(layer["op"] == "entries" for branch in statement["branches"] for layer in branch["layers"])


def check_schema(header: dict[str, Any], kinds: Iterable[str]) -> None:
    require(HEADER(header), "schema")
    proofs, branches = header["proofs"], header["statement"]["branches"]
    points = 1 + max(line["point"] for line in header["dual"].get("lines", [{"point": 0}]))
    require(len(proofs) == points * len(branches) and {proof["kind"] for proof in proofs} <= {*kinds}, "schema")
    require("scale" in header["dual"] or bool(branches), "schema")
    for proof, branch in zip(proofs, branches * points, strict=True):
        weights = sum(layer["op"] in ("linear", "convolution") for layer in branch["layers"])
        peels = ["peel"] * (weights - 2) if proof["kind"] != "zero" else []
        require(proof["steps"] == peels + (["project"] if proof["kind"] == "cone-tree" else []), "schema")
    for branch in branches:
        is_decayed = branch["bias"] == "penalized" and branch["penalty"]["name"] == "weight-decay"
        require((branch["penalty"].get("bias") is not None) == is_decayed, "schema")
    statement = header["statement"]
    axes = len(statement["branches"][0]["layers"][0]["shape"]) if is_of_entries(statement) else 0
    allowed = {"ones", *(f"{name}-{axis}" for axis in range(axes) for name in ("axis", "counted-axis"))}
    allowed |= set() if axes else {"inputs"}
    require(all(part["features"] in allowed for part in statement["outside"]), "schema")
    parameters, names = header["sources"]["parameters"], {array["name"] for array in header["arrays"]}
    require(parameters is None or set(parameters) == {name for name in names if name[0] in "FC"}, "schema")
    probability = header["claim"]["failure_probability"]
    require((probability is not None) == any(proof["kind"] == "randomized" for proof in proofs), "schema")
    require(probability is None or 0 < number(probability) <= Fraction(0.01), "schema")
