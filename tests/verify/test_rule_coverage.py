"""Every numbered rule of the format rejects a certificate that is valid but for that rule."""

import ast
import copy
import re
import struct
from pathlib import Path

import numpy as np
import pytest

from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly

from . import families
from .forging import (
    array,
    bound_without_its_constant,
    chain,
    claiming,
    damaged,
    entry,
    featured,
    free_policy,
    high_dimension,
    linked,
    negative_zero,
    other_inputs,
    raw,
    recipe,
    rehashed,
    scalar_with_two_outputs,
    stretched,
    table,
    text,
    unnamed,
    weights,
    wide_network,
    with_digests,
    without_second_branch,
    wrong_statement_digest,
)
from .handmade import (
    CONVOLUTION,
    LINEAR,
    POOL,
    SIGNS,
    bilinear,
    bytes_of,
    cone_tree,
    convolution,
    free_cone_tree,
    free_majorant,
    free_skip,
    free_vector_majorant,
    handmade,
    hub_majorant,
    leaky,
    leaves,
    moved,
    product,
    randomized,
    scalar_majorant,
    shifted,
    single_layer,
    softmax,
    sorting,
    tilted,
    tilted_majorant,
    two_branches,
    unequal,
    vector_majorant,
)
from .packing import MAGIC, packed

ROOT = Path(__file__).parents[2]


def uneven(**settings):
    return handmade(arrays={"A": np.array([[-1.5], [0.5]])}, **settings)


def quadratic(**settings):
    return product(arrays={"X": np.array([[1.0], [0.5]])}, upper=0.8, **settings)


def quadratic_vector():
    return quadratic(c=2)


def norm_products():
    return handmade(family="relu", kind="norm-products", upper=2.1)


def masked():
    return handmade(arrays={"mask": np.ones((2, 1), np.uint8)})


def weighted():
    return handmade(arrays={"sample_weights": np.ones(2)})


def five():
    return cone_tree(d=5)


def gated(weights=(1.0,), **settings):
    """A gate that x = 1 passes: the polar is 1."""
    gate = {"op": "gate", "weights": list(weights), "bias": 0.0}
    return handmade(layers=[gate, LINEAR, LINEAR], **settings)


def on_the_border(made):
    """Samples whose x·g is positive by what no precision shows beside its terms, and too many to add them up."""
    d = 2**9
    sample = np.full(d, 2.0**-1074)
    sample[[0, -1]] = 2.0**200, -(2.0**200)
    weights = np.where(np.abs(sample) > 1, 2.0**200, sample)
    signs = np.tile(SIGNS, (d // 2 + 1, 1))
    arrays = {"X": np.tile(sample, (d + 2, 1)), "Y": signs, "A": -signs}
    return packed(*gated(weights.tolist(), d=d, arrays=arrays))


BRANCH = "statement.branches.0"
LAYER = f"{BRANCH}.layers"


def kinked(**settings):
    """The convolution with ReLU: with a bias Σ |S_ip| |h_ip| = 2 (√2/2 + 1 + 1/2) = 4.41…."""
    header, arrays = convolution(**({"kind": "norm-products", "upper": 4.5} | settings))
    header["statement"]["branches"][0]["layers"].insert(1, {"op": "relu"})
    return header, arrays


def free_bias(made):
    """A bias that was penalized."""
    header, arrays = made
    header["statement"]["branches"][0] |= {"bias": "free"}
    header["statement"]["branches"][0]["penalty"]["bias"] = None
    return packed(header, arrays)


def selecting():
    """Two columns, of which the second is read, and is zero."""
    layers = [{"op": "select", "columns": [1]}, LINEAR, LINEAR]
    return handmade(d=2, layers=layers, arrays={"F0.0": np.zeros((1, 1))}, upper=0.5)


def strided():
    """Rows (x, x) and (0, 0) of inputs (x, x, 0, 0): Σ |A_i| |h_ip| = 2 √2; other taps read (x, 0) twice, worth 4."""
    layers = [CONVOLUTION | {"stride": [2], "padding": [0]}, {"op": "relu"}, LINEAR]
    arrays = {"X": SIGNS * [1.0, 1, 0, 0], "F0.0": np.zeros((1, 2)), "F0.1": np.zeros((1, 2))}
    return handmade(layers=layers, kind="norm-products", inputs=[1, 4], d=4, arrays=arrays, upper=2.9)


def other_taps(made):
    made[0]["statement"]["branches"][0]["layers"][0] |= {"stride": [1], "dilation": [2]}
    return packed(*made)


def padded_pool():
    """Each of two positions averaged with padding: G = (−1, 0); if padding did not count, (−2, 0)."""
    layers = [CONVOLUTION | {"kernel": [1], "padding": [0]}, POOL | {"stride": [2], "padding": [1]}, LINEAR]
    arrays = {"F0.0": np.zeros((1, 1)), "F0.1": np.zeros((1, 2))}
    return handmade(layers=layers, inputs=[1, 2], d=2, arrays=arrays, upper=1.1)


def uneven_inputs():
    """X = (1, 1/2): G = −1/2; times the inputs it would be −3/4."""
    return handmade(arrays={"X": np.array([[1.0], [0.5]])}, upper=0.6)


def leaky_cone_tree():
    return cone_tree(layers=leaky_layers(), upper=0.55)


def leaky_sorting():
    """Slope −1/2: the response to x = ±1 is 2 at one breakpoint and 1 at the other."""
    return sorting(layers=leaky_layers(), upper=2.05)


def leaky_majorant():
    """The ReLU scores are 3/2 of those of ReLU, and lin loses X̃ᵀq/2 = ±1: |lin| = 1/2, M = k = 3/8 at p = 3/8."""
    header, arrays = scalar_majorant(layers=leaky_layers(), upper=1.5)
    return header, arrays | {"P0.curvatures": np.full((2, 2), 0.375), "P0.levels": np.full((2, 1), 0.6)}


def leaky_layers():
    return leaky()[0]["statement"]["branches"][0]["layers"]


# number of the rule -> (name that the checker gives, a valid certificate, what makes it break the rule)
RULES = [
    (1, "magic", *raw(lambda data: rehashed(data[:-32].replace(b"certificate 2", b"certificate 3")))),
    (2, "digest", *raw(lambda data: data[:-1] + bytes([data[-1] ^ 1]))),
    (2, "truncated", *raw(lambda data: data[:61])),
    (
        3,
        "header-length",
        *raw(lambda data: rehashed(MAGIC + struct.pack("<Q", len(data)) + data[len(MAGIC) + 8 : -32])),
    ),
    (4, "header", *text(lambda header: header.replace(b":", b": ", 1))),
    (4, "header", *text(lambda header: header.replace(b"null", b"0.5", 1))),
    (4, "header", *text(lambda header: header.replace(b'"arrays":', b'"arrays":[],"arrays":', 1))),
    (5, "array-table", *table(lambda entries, body: entries[1].update(name="X"))),
    (5, "array-table", *table(lambda entries, body: entries[0].update(dtype=[]))),
    (5, "array-table", *table(lambda entries, body: entries[0].update(dtype="<f4"))),
    (5, "array-table", *table(lambda entries, body: entries[0].update(shape=[2**31, 0]))),
    (5, "array-table", *table(lambda entries, body: entries[0].update(shape=[2**31 - 1, 2**31 - 1, 0]))),
    (6, "array-layout", *table(lambda entries, body: entries[1].update(offset=0))),
    (6, "array-layout", *table(lambda entries, body: body[:-8])),
    (6, "trailing-bytes", *table(lambda entries, body: body + bytes(8))),
    (7, "finite", *array(handmade, Y=np.array([[np.nan], [-1]]))),
    (7, "finite", *weights(handmade, first=np.array([[np.nextafter(2.0**200, np.inf)]]))),
    (8, "size-limit", handmade, wide_network),
    (9, "schema", *entry(handmade, "more", None)),
    (9, "schema", *entry(handmade, "claim.widths", "1")),
    (9, "schema", *entry(handmade, "claim.lower", "nan")),
    (9, "schema", *entry(handmade, "statement.loss.scale", "0x1p-1")),
    (9, "schema", *entry(handmade, "claim.failure_probability", 0.5)),
    (10, "shape", *array(handmade, A=None)),
    (10, "shape", *array(handmade, A=np.zeros((2, 2)))),
    (10, "shape", *entry(handmade, "statement.mask", True)),
    (11, "size-limit", cone_tree, high_dimension),
    (12, "statement-digest", handmade, wrong_statement_digest),
    (9, "schema", *entry(featured, "statement.features", "0")),
    (43, "features-digest", *array(featured, X=np.array([[1.0], [-0.5]]))),
    (14, "degree", *entry(product, f"{BRANCH}.penalty.powers", [1, 1])),
    (14, "degree", *entry(handmade, f"{BRANCH}.layers", [LINEAR, {"op": "square"}, LINEAR])),
    (14, "strength", *entry(handmade, f"{BRANCH}.penalty.strengths", [3.0, -3.0])),
    (14, "strength", *entry(unequal, f"{BRANCH}.penalty.bias", 0.0)),
    (14, "strength", *entry(product, f"{BRANCH}.penalty.strength", 0.0)),
    (14, "strength", *entry(single_layer, "statement.outside.0.decay", -3.0)),
    (14, "unbounded-polar", *entry(lambda: product(hidden_bias="penalized"), f"{BRANCH}.bias", "free")),
    (14, "unbounded-polar", lambda: bilinear(hidden_bias="penalized", upper=1), free_bias),
    (14, "unbounded-polar", lambda: kinked(hidden_bias="penalized"), free_bias),
    (22, "dual-value", *entry(single_layer, "claim.lower", 7 / 12 + 2.0**-40)),
    (15, "scale", *entry(handmade, "statement.loss.scale", -0.5)),
    (15, "sample-weights", *array(weighted, sample_weights=np.array([1, -1.0]))),
    (15, "mask", *array(masked, mask=np.array([[1], [2]], np.uint8))),
    (15, "mask", *array(masked, mask=np.zeros((2, 1), np.uint8))),
    (16, "loss", *entry(handmade, "statement.loss.name", "l1")),
    (16, "targets", *entry(handmade, "statement.loss.name", "poisson")),
    (17, "objective", *entry(handmade, "claim.upper", 1 - 2.0**-40)),
    (18, "dual-scale", *entry(handmade, "dual.scale", -(2.0**-1074))),
    (19, "dual-domain", *array(masked, mask=np.array([[1], [0]], np.uint8))),
    (19, "dual-domain", *entry(uneven, "statement.loss.name", "huber")),
    (20, "dual-row-sums", *array(softmax, A=np.array([[-0.25, 0.25], [0.25, np.nextafter(-0.25, 0)]]))),
    (21, "dual-column-sums", uneven, free_policy),
    (21, "free-skip-rank", *array(free_skip, X=np.array([[1.0, 1], [-1, -1]]))),
    (22, "dual-value", *entry(handmade, "claim.lower", 0.75 + 2.0**-40)),
    # 0.6875 and 0.75 without what the penalized output bias or skip costs.
    (22, "dual-value", *entry(lambda: uneven(output_bias="penalized"), "claim.lower", 0.66)),
    (22, "dual-value", *entry(lambda: handmade(skip="penalized"), "claim.lower", 0.6)),
    (23, "polar", *entry(handmade, "proofs.0.upper", -2.5)),
    (24, "polar-scale", *entry(handmade, "dual.scale", 1.21)),
    (26, "polar", *entry(handmade, "proofs.0.kind", "zero")),
    (26, "proof-kind", *entry(handmade, "proofs.0.kind", "norm-products")),
    (27, "polar", *entry(handmade, "proofs.0.upper", 2 - 2.0**-40)),
    (28, "polar", *entry(quadratic, "proofs.0.upper", 0.75 - 2.0**-40)),
    (28, "polar", *entry(quadratic_vector, "proofs.0.upper", 0.75 - 2.0**-40)),
    (29, "polar", *entry(norm_products, "proofs.0.upper", 2 - 2.0**-40)),
    (30, "polar", *array(cone_tree, rows=np.array([[0.5], [-1.0]]))),
    (30, "polar", *array(cone_tree, frame=np.full((1, 1), 1.3))),
    (30, "polar", cone_tree, stretched),
    (30, "cone-tree-column", *array(free_cone_tree, column=np.zeros(1))),
    (30, "cone-tree-column", *array(free_cone_tree, column=np.full(1, 2.0**-1074))),
    (31, "cone-tree-shape", *array(cone_tree, **leaves(3, 1))),
    (31, "cone-tree-shape", *array(cone_tree, splits=np.zeros(5, np.uint8))),
    (32, "cone-tree-split", *array(free_cone_tree, **chain([2], 8, 2))),
    (32, "cone-tree-midpoint", *array(free_cone_tree, **chain([1] * 60, 8, 2))),
    (32, "cone-tree-depth", *array(five, **chain([e for e in (4, 7, 9, 10) for _ in range(52)], 64, 5))),
    (33, "polar", *entry(cone_tree, "proofs.0.upper", 1 - 2.0**-40)),
    (33, "polar", *entry(free_cone_tree, "proofs.0.upper", 2 - 2.0**-40)),
    (34, "majorant-column", *array(free_majorant, column=np.array([1, -1.0]))),
    (34, "majorant-curvatures", *array(scalar_majorant, curvatures=np.full((2, 2), -(2.0**-1074)))),
    (35, "polar", scalar_majorant, bound_without_its_constant),
    (34, "polar", free_majorant, claiming(3.4)),
    (34, "polar", free_vector_majorant, claiming(2.4)),
    # Did W enter as a whole, |W| by halves, or |g| not at all, U = 0.9 and 0.6 would follow; the polar is 1.
    (36, "polar", tilted_majorant, claiming(0.9, levels=np.zeros((2, 1)))),
    (36, "polar", tilted_majorant, claiming(0.9, levels=np.zeros((2, 1)), **tilted(np.array([[0.0, -2], [2, 0]])))),
    (36, "polar", scalar_majorant, claiming(0.6, levels=np.full((2, 1), 0.3), slopes=np.array([[1.0, -1], [-1, 1]]))),
    # Without τ' (ρ − 1), U = 2.6 would follow.
    (36, "polar", free_majorant, claiming(2.6)),
    (36, "majorant-outputs", vector_majorant, scalar_with_two_outputs),
    (36, "majorant-levels", *array(free_majorant, levels=np.array([[1.5, 1.5], [1.5, -1.5]]))),
    (36, "polar", *entry(scalar_majorant, "proofs.0.upper", 1.5 - 2.0**-40)),
    (36, "hub-links", *array(hub_majorant, links=np.full((8, 2, 1), -(2.0**-1074)))),
    (36, "hub-products", *array(hub_majorant, **{"hub-products": np.full((2, 2, 2), -0.51)})),
    (36, "polar", hub_majorant, claiming(1.0)),
    (36, "polar", *array(hub_majorant, **{"hub-products": np.zeros((2, 2, 2))})),
    (36, "polar", *array(hub_majorant, **{"hub-tilts": np.zeros((2, 2, 1))})),
    (36, "polar", *array(hub_majorant, links=np.zeros((8, 2, 1)))),
    (36, "polar", *array(hub_majorant, lifts=np.full((2, 2, 1), 0.5))),
    (37, "majorant-mixings", *array(vector_majorant, mixings=np.array([[1, 1], [1, 0.0]]))),
    (37, "polar", *array(vector_majorant, envelopes=np.array([[[2.49]], [[0.01]]]))),
    (37, "polar", *entry(vector_majorant, "proofs.0.upper", 1.58)),
    (41, "polar", *entry(sorting, "proofs.0.upper", 2 - 2.0**-40)),
    (41, "sorting-inputs", *entry(norm_products, "proofs.0.kind", "sorting")),
    (42, "polar", randomized, claiming(1.99, edge=np.array([1.98]))),
    (42, "randomized-test", *array(randomized, edge=np.array([2.5]))),
    (13, "layers", *entry(leaky, f"{LAYER}.1.op", "sigmoid")),
    (13, "layers", *entry(convolution, f"{LAYER}.0.kernel", [5])),
    (13, "layers", *entry(convolution, f"{LAYER}.1.padding", [2])),
    (13, "layers", *entry(selecting, f"{LAYER}.0.columns", [2])),
    (14, "gate-sign", gated, on_the_border),
    (13, "schema", *entry(leaky, f"{LAYER}.1.slope", "-0.5")),
    (9, "schema", *entry(handmade, f"{BRANCH}.function", "square")),
    (9, "schema", *entry(cone_tree, "proofs.0.steps", [])),
    (9, "schema", *entry(handmade, "proofs.0.steps", ["project"])),
    (9, "schema", two_branches, without_second_branch),
    (9, "schema", *entry(unequal, f"{BRANCH}.penalty.bias", None)),
    (10, "shape", *entry(convolution, f"{LAYER}.0.padding", [2])),
    (10, "shape", *entry(convolution, f"{LAYER}.1.stride", [2])),
    (10, "shape", *entry(convolution, f"{LAYER}.0.kernel", [1])),
    (10, "shape", *entry(selecting, f"{LAYER}.0.columns", [0, 1])),
    (10, "shape", *entry(shifted, "statement.offset", "array")),
    (10, "shape", *entry(bilinear, "statement.inputs", [1, 2])),
    (27, "polar", *entry(padded_pool, f"{LAYER}.1.counts_padding", False)),
    (27, "polar", *entry(selecting, f"{LAYER}.0.columns", [0])),
    (27, "polar", *entry(uneven_inputs, LAYER, [LINEAR, {"op": "times_inputs"}, LINEAR])),
    (29, "polar", strided, other_taps),
    (27, "polar", *entry(unequal, f"{BRANCH}.penalty.bias", 0.125)),
    (29, "polar", *entry(leaky, f"{LAYER}.1.slope", -1.25)),
    (33, "polar", *entry(leaky_cone_tree, f"{LAYER}.1.slope", 0.5)),
    (36, "polar", *entry(leaky_majorant, f"{LAYER}.1.slope", 0.5)),
    (41, "polar", *entry(leaky_sorting, f"{LAYER}.1.slope", -1.25)),
    (24, "polar-scale", *entry(unequal, f"{BRANCH}.penalty.strengths", [2.0, 0.5])),
    (24, "polar-scale", *entry(two_branches, "statement.branches.1.penalty.strengths", [4.0, 0.0625])),
    (23, "polar", *entry(two_branches, "proofs.1.upper", 1.9)),
    (17, "objective", *array(moved, offset=np.full((2, 1), 2.0))),
    (22, "dual-value", *entry(shifted, "claim.lower", -0.24)),
    (22, "dual-value", *array(moved, offset=np.array([[1.0], [-0.5]]))),
    *families.RULES,
]


@pytest.mark.parametrize("verify", [verify_bytes, verify_bytes_exactly])
@pytest.mark.parametrize(("number", "rule", "base", "forge"), RULES, ids=[f"{n}-{rule}" for n, rule, *_ in RULES])
def test_a_rule_rejects_what_is_valid_but_for_it(number, rule, base, forge, verify):
    honest = verify(bytes_of(base()))
    assert honest.status == "valid", (honest.rule, honest.message)
    verdict = verify(forge(base()))
    assert verdict.rule == rule, verdict.message
    assert verdict.status == ("refused" if number <= 11 or number == 13 else "invalid")


@pytest.mark.parametrize("make", [handmade, free_cone_tree, scalar_majorant, vector_majorant, free_majorant, softmax])
def test_a_gap_beyond_the_tolerance_is_valid_but_not_certified(make):
    header, arrays = make()
    verdict = verify_bytes(packed(header, arrays))
    assert verdict.certified
    for tolerance in (0.875 - 2.0**-40, -0.9):
        header["statement"]["tolerance"]["relative"] = tolerance.hex()
        verdict = verify_bytes(packed(header, arrays))
        assert verdict.status == "valid"
        assert not verdict.certified


LINKS = [
    (38, "model-digest", lambda h, a, model, data: (h, a, model + b" ", data)),
    (38, "data-digest", lambda h, a, model, data: (h, a, model, data + b" ")),
    (39, "model-link", negative_zero),
    (39, "model-link", unnamed("sources.parameters")),
    (
        39,
        "model-link",
        lambda h, a, model, data: (with_digests(h, linked("other")[2], data), a, linked("other")[2], data),
    ),
    (39, "model-link", recipe(name="first")),
    (39, "model-link", recipe(name="third")),
    (39, "model-link", recipe(axis=2)),
    (39, "model-link", recipe(group=2)),
    (39, "model-file", damaged("model")),
    (40, "data-link", other_inputs),
    (40, "data-link", unnamed("statement.data.names")),
    (40, "data-file", damaged("data")),
]


@pytest.mark.parametrize(("number", "rule", "forge"), LINKS, ids=[f"{n}-{rule}" for n, rule, _ in LINKS])
def test_a_link_rejects_what_is_valid_but_for_it(number, rule, forge):
    header, arrays, model, data = linked()
    honest = verify_bytes(packed(header, arrays), model, (data,))
    assert honest.status == "valid", honest.message
    assert honest.model_linked
    assert honest.data_linked
    header, arrays, model, data = forge(copy.deepcopy(header), arrays, model, data)
    assert verify_bytes(packed(header, arrays), model, (data,)).rule == rule


# Functions of the checker that reject, and which argument names the rule.
REJECTING = {"refuse": 0, "refuse_proof": 0, "require": 1}


def names_in_the_checker():
    """The rule named by every call that may reject."""
    found = set()
    for path in (ROOT / "certify" / "verify").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in REJECTING:
                given = node.args[REJECTING[node.func.id]]
                found.add(given.value if isinstance(given, ast.Constant) else ast.dump(given))
    return found


def test_every_rule_of_the_format_has_a_forgery():
    text = (ROOT / "docs" / "reference" / "certificate-format.md").read_text()
    numbers = {
        int(number)
        for number in re.findall(r"^(?:\| )?\[(\d+)\]|\. \[(\d+)\] `", text, re.M)
        for number in number
        if number
    }
    forged = {number for number, *_ in RULES + LINKS}
    # 25 is reported, not required: `test_a_gap_beyond_the_tolerance_is_valid_but_not_certified`.
    # 46 cannot be broken while the other rules are sound: `test_tripwire`.
    assert numbers == forged | {25, 46}
    # What is too large for balls is refused as such; it breaks no rule.
    assert names_in_the_checker() - {"too-large-for-exact", "objective-below-bound"} == {
        rule for _, rule, *_ in RULES + LINKS
    }
