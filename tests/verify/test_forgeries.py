"""Forged certificates, with a right digest: no false claim is accepted, and nothing malformed is read."""

import hashlib
import json
import math
import os
import random
import subprocess
import sys

import numpy as np
import pytest

from certify.verify import verify_bytes
from certify.verify.statement.certificate import KINDS

from .building import LINEAR, RELU, Branch, build
from .packing import MAGIC, body_of, compact, packed, sealed, unpacked
from .test_polars import searched

CONVOLUTION = ("convolution", {"kernel": [2], "stride": [1], "padding": [1], "dilation": [1]})
POOL = ("average_pool", {"kernel": [2], "stride": [1], "padding": [1], "counts_padding": False})
CONES = Branch(("linear", ("leaky_relu", {"slope": 0.25}), "linear"), "cone-tree", bias="free")
NEW = {"op": "select", "columns": [0]}


@pytest.fixture(scope="module")
def spectral():
    return build(Branch(LINEAR, "spectral", bias="penalized"), outside=[("ones", 0.0)]).data


@pytest.fixture(scope="module")
def cones():
    return build(CONES, loss="huber", outside=[("ones", 0.0)], outputs=1).data


@pytest.fixture(scope="module")
def softmax():
    return build(Branch(RELU, "norm-products"), loss="cross-entropy", outside=[("ones", 0.05)]).data


@pytest.fixture(scope="module")
def scalar():
    return build(Branch(RELU, "majorant", bias="free"), outputs=1, weighted=True, masked=True).data


@pytest.fixture(scope="module")
def vector():
    return build(Branch(RELU, "majorant"), outputs=2).data


@pytest.fixture(scope="module")
def sorting():
    return build(Branch(RELU, "sorting", bias="free"), loss="huber", outside=[("ones", 0.0)], inputs=(1,)).data


@pytest.fixture(scope="module")
def products():
    return build(Branch(RELU, "products", bias="free"), outputs=1).data


@pytest.fixture(scope="module")
def signs():
    return build(Branch(RELU, "signs", bias="free"), outputs=1).data


@pytest.fixture(scope="module")
def randomized():
    return build(Branch(LINEAR, "randomized"), outside=[("ones", 0.05)]).data


@pytest.fixture(scope="module")
def mixed():
    """Branches of every form, a convex part and an offset."""
    return build(
        Branch(
            (CONVOLUTION, "abs", POOL, "linear"), "cone-tree", bias="penalized", strengths=(0.3, 0.1), bias_decay=0.2
        ),
        Branch((("select", {"columns": [2, 0]}), "linear", "square", "linear"), "quadratic-form"),
        Branch(("linear", "times_inputs", "linear"), "spectral"),
        inputs=(1, 3),
        outside=[("ones", 0.02), ("inputs", 0.03)],
        offset="array",
        samples=6,
    ).data


@pytest.fixture(scope="module")
def everything(spectral, cones, softmax, scalar, vector, sorting, products, signs, randomized, mixed):  # noqa: PLR0913
    return [spectral, cones, softmax, scalar, vector, sorting, products, signs, randomized, mixed]


def forged(data, change):
    header, arrays = unpacked(data)
    result = change(header, arrays)
    return packed(*(result if result is not None else (header, arrays)))


def rule(data):
    verdict = verify_bytes(data)
    assert verdict.status != "valid"
    return verdict.rule


def hexed(text, factor=1.0, shift=0.0):
    return (float.fromhex(text) * factor + shift).hex()


def test_unchanged_certificates_survive_repacking(everything):
    for data in everything:
        assert packed(*unpacked(data)) == data
        assert verify_bytes(data).status == "valid"


def test_any_changed_byte_is_refused(everything):
    generator = random.Random(0)
    for data in everything:
        places = [*range(64), *range(len(data) - 40, len(data)), *generator.sample(range(len(data)), 60)]
        for place in places:
            flipped = bytearray(data)
            flipped[place] ^= 1 << generator.randrange(8)
            assert verify_bytes(bytes(flipped)).status == "refused"


def test_truncation_and_trailing_bytes_are_refused(spectral):
    for length in (0, 1, 21, 30, 61, 62, len(spectral) // 2, len(spectral) - 1):
        assert verify_bytes(spectral[:length]).status == "refused"
    assert verify_bytes(spectral + b"\0").status == "refused"
    header, arrays = unpacked(spectral)
    body = body_of(arrays)
    assert rule(packed(header, body=body + b"\0" * 8)) == "trailing-bytes"
    assert rule(packed(header, body=body[:-8])) == "array-layout"


def test_every_key_is_needed_and_no_other_is_known(everything):
    for data in everything:
        header, arrays = unpacked(data)
        for section in sections(header):
            for key in list(section):
                value = section.pop(key)
                # What `packed` itself writes cannot be left out this way.
                if key not in ("statement", "sources", "arrays"):
                    assert verify_bytes(packed(header, arrays)).status == "refused", key
                section[key] = value
            section["unknown"] = None
            assert rule(packed(header, arrays)) in ("schema", "shape")
            del section["unknown"]


def sections(value):
    """All objects in a header but the table of arrays, which `packed` writes."""
    if isinstance(value, dict):
        yield value
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        if key != "arrays":
            yield from sections(entry)


def test_other_spellings_of_the_header_are_refused(spectral):
    header, arrays = unpacked(spectral)
    body = body_of(arrays)
    text = compact(header)
    assert verify_bytes(sealed(text, body)).status == "valid"
    for other in (
        json.dumps(header, sort_keys=True).encode(),
        text[:-1] + b',"schema":"certify.certificate/2"}',
        b'{"arrays":[],' + text[1:],
        text.replace(b'"widths":"all"', b'"widths":"all","widths":"all"'),
        text.replace(b"null", b"NaN", 1),
        text.replace(b"null", b"1.5", 1),
        b"[" * 5000 + b"]" * 5000,
        b"",
        b"[]",
        b"\xff",
    ):
        assert verify_bytes(sealed(other, body)).status == "refused"


def test_other_versions_are_refused(spectral):
    content = spectral.replace(MAGIC, b"certify certificate 1\n")[:-32]
    assert rule(content + hashlib.sha256(content).digest()) == "magic"
    assert rule(forged(spectral, lambda h, a: h.update(schema="certify.certificate/1"))) == "schema"


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "0x1.0p+300", "1.0", "0x1p0", "", "0x1.00p+0", 1, None, [], True]
)
def test_numbers_that_are_not_canonical_and_finite_are_refused(spectral, value):
    for section, key in (
        (lambda h: h["claim"], "upper"),
        (lambda h: h["claim"], "lower"),
        (lambda h: h["dual"], "scale"),
        (lambda h: h["proofs"][0], "upper"),
        (lambda h: h["statement"]["loss"], "scale"),
        (lambda h: h["statement"]["outside"][0], "decay"),
        (lambda h: h["statement"]["branches"][0]["penalty"]["strengths"], 1),
        (lambda h: h["statement"]["branches"][0]["penalty"], "bias"),
    ):
        assert rule(forged(spectral, lambda h, a, s=section, k=key: s(h).__setitem__(k, value))) == "schema"


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_arrays_with_values_out_of_range_are_refused(everything, value):
    for data in everything:
        for name in unpacked(data)[1]:

            def change(header, arrays, name=name):
                if arrays[name].dtype == np.float64 and arrays[name].size:
                    arrays[name].flat[0] = value
                else:
                    header["schema"] = ""

            assert verify_bytes(forged(data, change)).status == "refused"


def test_missing_added_swapped_and_retyped_arrays_are_refused(everything):
    for data in everything:
        header, arrays = unpacked(data)
        names = list(arrays)
        for name in names:
            without = {n: v for n, v in arrays.items() if n != name}
            assert verify_bytes(packed(header, without)).status == "refused"
            as_bytes = np.zeros(arrays[name].shape, np.uint8)
            retyped = as_bytes if arrays[name].dtype == np.float64 else as_bytes.astype(np.float64)
            assert verify_bytes(packed(header, arrays | {name: retyped})).status == "refused"
            assert verify_bytes(packed(header, arrays | {name: arrays[name].astype(">f8")})).status == "refused"
            assert verify_bytes(packed(header, arrays | {name: arrays[name][None]})).status == "refused"
            if len(arrays[name]):
                shorter = verify_bytes(packed(header, arrays | {name: arrays[name][:-1]}))
                assert shorter.status == "refused" or name.split(".")[-1] in ("splits", "tangents", "multipliers")
                assert shorter.status != "valid"
        assert verify_bytes(packed(header, arrays | {"more": np.zeros(1)})).status == "refused"
        assert verify_bytes(packed(header, dict(reversed(arrays.items())))).status == "refused"
        assert verify_bytes(packed(header, {})).status == "refused"


@pytest.mark.parametrize(
    "shape", [[2**31 - 1, 2**31 - 1, 2**31 - 1], [2**31, 1], [-1, 3], [12, 3.0], "12", [True, 3], [1, 1, 1, 1]]
)
def test_declared_sizes_are_checked_before_anything_is_read(spectral, shape):
    header, arrays = unpacked(spectral)
    body = body_of(arrays)
    header["arrays"][0]["shape"] = shape
    assert verify_bytes(packed(header, body=body)).status == "refused"


@pytest.mark.parametrize("offset", [8, -8, 2**62, None, 0.0, True])
def test_arrays_that_overlap_or_leave_gaps_are_refused(spectral, offset):
    header, arrays = unpacked(spectral)
    body = body_of(arrays)
    header["arrays"][1]["offset"] = offset
    assert verify_bytes(packed(header, body=body)).status == "refused"


def test_a_declared_width_without_any_bytes_is_refused(spectral):
    header, arrays = unpacked(spectral)
    arrays["F0.0"], arrays["F0.bias"], arrays["F0.1"] = np.zeros((2**30, 0)), np.zeros(0), np.zeros((0, 2))
    assert verify_bytes(packed(header, arrays)).status == "refused"


def test_claims_better_than_the_numbers_are_invalid(everything):
    for data in everything:
        verdict = verify_bytes(data)
        (low, high), bottom = verdict.objective, verdict.dual_value[0]
        claim = lambda upper, lower: lambda h, a: h["claim"].update(upper=upper.hex(), lower=lower.hex())  # noqa: E731
        assert rule(forged(data, claim(math.nextafter(low, -math.inf), verdict.lower))) == "objective"
        assert rule(forged(data, claim(verdict.upper, math.nextafter(verdict.dual_value[1], math.inf)))) == "dual-value"
        assert rule(forged(data, claim(verdict.upper, verdict.upper))) == "dual-value"
        assert verify_bytes(forged(data, claim(verdict.upper + 1, verdict.lower - 1))).status == "valid"
        assert high >= low
        assert bottom <= verdict.dual_value[1]


def test_dual_points_outside_the_domain_are_invalid(softmax, cones):
    def change(header, arrays):
        arrays["A"][0] += [2.0, -1.0, -1.0]

    assert rule(forged(softmax, change)) == "dual-domain"
    assert rule(forged(cones, lambda h, a: a["A"].__setitem__((0, 0), 1e3))) == "dual-domain"


def test_row_and_column_sums_must_vanish_exactly(softmax, spectral, cones):
    def nudge(header, arrays):
        arrays["A"][0, 0] = np.nextafter(arrays["A"][0, 0], 0)

    assert rule(forged(softmax, nudge)) == "dual-row-sums"
    assert rule(forged(spectral, nudge)) == "dual-column-sums"
    assert rule(forged(cones, nudge)) == "dual-column-sums"


def test_scales_beyond_the_polar_or_below_zero_are_invalid(everything):
    for data in everything:
        scale = lambda value: lambda h, a: h["dual"].update(scale=value)  # noqa: E731
        current = unpacked(data)[0]["dual"]["scale"]
        assert rule(forged(data, scale(hexed(current, -1.0)))) == "dual-scale"
        assert rule(forged(data, scale(hexed(current, 1e3)))) in ("polar-scale", "dual-domain")
        assert rule(forged(data, scale((2.0**199).hex()))) in ("polar-scale", "dual-domain")


def test_a_smaller_bound_on_the_polar_is_invalid(everything):
    for data in everything:
        for index, proof in enumerate(unpacked(data)[0]["proofs"]):
            upper = proof["upper"]
            for value in (hexed(upper, 0.5), hexed(upper, -1.0), (0.0).hex(), (2.0**-180).hex()):
                change = lambda h, a, i=index, v=value: h["proofs"][i].update(upper=v)  # noqa: E731
                assert rule(forged(data, change)) in ("polar", "randomized-test")


def test_other_kinds_of_proof_do_not_fit(everything):
    for data in everything:
        header, arrays = unpacked(data)
        for kind in (*KINDS, "lanczos", ""):
            if kind != header["proofs"][0]["kind"]:
                changed = json.loads(json.dumps(header))
                changed["proofs"][0] |= {"kind": kind, "steps": ["project"] if kind == "cone-tree" else []}
                assert verify_bytes(packed(changed, arrays)).status != "valid"


def test_a_probability_that_no_test_reaches_or_no_one_accepts_is_rejected(randomized, spectral):
    def chance(value):
        return rule(forged(randomized, lambda h, a: h["claim"].update(failure_probability=value)))

    for value in (1e-100, 1e-300):
        assert chance(value.hex()) == "randomized-test"
    for value in ((0.5).hex(), (0.0).hex(), (-1e-12).hex(), None, "1e-12", 0):
        assert chance(value) == "schema"
    smaller = forged(randomized, lambda h, a: h["claim"].update(failure_probability=(1e-20).hex()))
    assert verify_bytes(smaller).failure_probability == 1e-20
    stray = forged(spectral, lambda h, a: h["claim"].update(failure_probability=(1e-12).hex()))
    assert rule(stray) == "schema"


def test_an_edge_that_leaves_no_room_or_is_too_small_is_rejected(randomized):
    def edge(factor):
        return rule(forged(randomized, lambda h, a: a.update({"P0.edge": a["P0.edge"] * factor})))

    assert edge(0.5) == "polar"
    for factor in (2.0, 0.0, -1.0):
        assert edge(factor) == "randomized-test"


def test_sorting_needs_one_input_and_a_free_bias():
    for settings in ({"bias": "penalized"}, {"bias": "free"}):
        branch = Branch(RELU, "norm-products", **settings)
        header, arrays = build(branch, inputs=(1,) if branch.bias == "penalized" else (3,)).made
        header["proofs"][0]["kind"] = "sorting"
        assert rule(packed(header, arrays)) == "sorting-inputs"


def test_other_problems_are_not_proven(everything):
    """The strengths, the scale of the loss and the reduction decide what the optimum is."""
    for data in everything:
        for index, _ in enumerate(unpacked(data)[0]["statement"]["branches"]):
            for factor, rules in ((0.5, ("polar-scale",)), (2.0, ("objective",))):

                def restrengthen(header, arrays, index=index, factor=factor):
                    penalty = header["statement"]["branches"][index]["penalty"]
                    if "strength" in penalty:
                        penalty["strength"] = hexed(penalty["strength"], factor)
                    else:
                        penalty["strengths"] = [hexed(value, factor) for value in penalty["strengths"]]

                found = verify_bytes(forged(data, restrengthen))
                # A branch whose polar leaves room may be penalized less; a network of more branches may still pay.
                assert found.rule in rules or len(unpacked(data)[0]["proofs"]) > 1
        header, arrays = unpacked(data)
        for index, block in enumerate(header["statement"]["outside"]):
            # Where the dual point sums to zero, its value does not depend on the decay.
            moved = np.abs(arrays["A"].sum(0)).max() > 1e-6
            for factor in (0.25, 4.0):
                if float.fromhex(block["decay"]) and (moved or factor > 1):

                    def redecay(header, arrays, index=index, factor=factor):
                        entry = header["statement"]["outside"][index]
                        entry["decay"] = hexed(entry["decay"], factor)

                    assert rule(forged(data, redecay)) == ("dual-value" if factor < 1 else "objective")
        for factor in (0.5, 2.0):

            def rescale(header, arrays, factor=factor):
                header["statement"]["loss"]["scale"] = hexed(header["statement"]["loss"]["scale"], factor)

            assert rule(forged(data, rescale)) in ("objective", "dual-value", "dual-domain")
        summed = lambda h, a: h["statement"]["loss"].update(reduction="sum")  # noqa: E731
        assert rule(forged(data, summed)) in ("objective", "dual-value")


def test_an_unequal_decay_of_the_bias_is_part_of_the_polar(mixed):
    def redecay(header, arrays):
        header["statement"]["branches"][0]["penalty"]["bias"] = (0.01).hex()

    assert rule(forged(mixed, redecay)) == "polar"


def test_branches_that_are_left_out_or_swapped_are_found(mixed):
    def drop(header, arrays):
        header["proofs"].pop()

    assert rule(forged(mixed, drop)) == "schema"

    def swap(header, arrays):
        header["proofs"].reverse()

    assert verify_bytes(forged(mixed, swap)).status != "valid"

    def unstate(header, arrays):
        header["statement"]["branches"].pop()
        header["proofs"].pop()

    assert rule(forged(mixed, unstate)) == "shape"


@pytest.mark.parametrize(
    "change",
    [
        lambda layers: layers[0].update(stride=[2]),
        lambda layers: layers[0].update(padding=[0]),
        lambda layers: layers[0].update(kernel=[1]),
        lambda layers: layers[0].update(dilation=[2]),
        lambda layers: layers.__setitem__(1, {"op": "relu"}),
        lambda layers: layers.__setitem__(1, {"op": "leaky_relu", "slope": (-1.5).hex()}),
        lambda layers: layers.__delitem__(1),
        lambda layers: layers.__delitem__(2),
        lambda layers: layers[2].update(counts_padding=True),
        lambda layers: layers[2].update(kernel=[3]),
        lambda layers: layers.insert(0, dict(NEW)),
    ],
)
def test_other_layers_are_not_what_was_proven(mixed, change):
    """The objective is claimed as the checker found it, so that any other network has another."""
    verdict = verify_bytes(forged(mixed, lambda h, a: change(h["statement"]["branches"][0]["layers"])))
    if verdict.status == "valid":
        # The outputs may fit the targets better by chance; the claim is then true of the other network.
        assert verdict.objective[1] <= verdict.upper
        assert verdict.objective != verify_bytes(mixed).objective
    else:
        assert verdict.rule in ("shape", "layers", "polar", "objective", "proof-kind")


def test_another_offset_is_another_problem(mixed):
    def move(header, arrays):
        arrays["offset"] = arrays["offset"] + 10.0

    assert rule(forged(mixed, move)) in ("objective", "dual-value")
    assert rule(forged(mixed, lambda h, a: h["statement"].update(offset=None))) == "shape"
    assert rule(forged(mixed, lambda h, a: h["statement"].update(offset="inputs"))) == "shape"


def test_a_wrong_statement_digest_is_invalid(spectral):
    header, arrays = unpacked(spectral)
    body = body_of(arrays)
    header["sources"]["statement"] = "0" * 64
    assert rule(sealed(compact(header), body)) == "statement-digest"
    header["sources"]["statement"] = "g" * 64
    assert rule(sealed(compact(header), body)) == "schema"


def test_other_weights_and_data_break_the_claim(everything):
    for data in everything:
        for name in ("F0.0", "F0.1", "X", "Y"):

            def change(header, arrays, name=name):
                arrays[name] = arrays[name] * 10 if name != "Y" else arrays[name] * 0.1

            assert verify_bytes(forged(data, change)).status != "valid"


def test_trees_with_dropped_doubled_or_impossible_nodes_are_invalid(cones):
    def tree(change):
        def apply(header, arrays):
            names = ("P0.splits", "P0.tangents")
            arrays |= dict(zip(names, change(*(arrays[name].copy() for name in names)), strict=True))

        return rule(forged(cones, apply))

    splits, tangents = (unpacked(cones)[1][name] for name in ("P0.splits", "P0.tangents"))
    assert splits.any()
    assert tree(lambda s, t: (s[:-1], t[:-1])) == "cone-tree-shape"
    assert tree(lambda s, t: (np.append(s, s[-1:]), np.append(t, t[-1:], 0))) == "cone-tree-shape"
    assert tree(lambda s, t: (s, t[:-1])) == "cone-tree-shape"
    assert tree(lambda s, t: (s, np.append(t, t[-1:], 0))) == "cone-tree-shape"
    assert tree(lambda s, t: (s[:0], t[:0])) == "cone-tree-shape"
    first = int(np.flatnonzero(splits)[0])
    assert tree(lambda s, t: (np.delete(s, first), t)) == "cone-tree-shape"
    assert tree(lambda s, t: (np.where(s > 0, 255, s).astype(np.uint8), t)) == "cone-tree-split"


def test_a_tree_too_deep_is_invalid(cones):
    def change(header, arrays):
        chain = np.append(np.ones(300, np.uint8), np.zeros(301, np.uint8))
        dimension = arrays["P0.tangents"].shape[1]
        roots = 2 ** (dimension + 1)
        arrays["P0.splits"] = np.append(chain, np.zeros(roots - 1, np.uint8))
        arrays["P0.tangents"] = np.ones((300 + roots, dimension), np.uint8)

    assert rule(forged(cones, change)) in ("cone-tree-depth", "cone-tree-midpoint")


def test_other_tangents_and_splits_prove_only_what_they_prove(cones):
    """Any tangent and any complete tree is a proof, of no less than the polar that a search finds."""
    generator, polar = np.random.default_rng(0), searched(CONES, (3,), unpacked(cones)[1])
    for trial in range(20):

        def change(header, arrays, trial=trial):
            tangents = arrays["P0.tangents"]
            if trial == 0:
                roots = 2 << tangents.shape[1]
                arrays |= {"P0.splits": np.zeros(roots, np.uint8), "P0.tangents": tangents[:1].repeat(roots, 0)}
            where = generator.random(len(tangents)) < 0.2
            tangents[where] = generator.integers(0, 256, tangents.shape)[where]

        verdict = verify_bytes(forged(cones, change))
        assert verdict.status == "valid" or verdict.rule == "polar"
        assert verdict.polar_upper[0] >= polar * (1 - 1e-12)


def test_frames_and_rows_are_not_trusted(cones):
    polar = searched(CONES, (3,), unpacked(cones)[1])
    for name in ("P0.rows", "P0.frame", "P0.column", "P0.center"):

        def change(header, arrays, name=name):
            arrays[name] = arrays[name] * 0.5

        verdict = verify_bytes(forged(cones, change))
        assert verdict.rule == "polar" or name in ("P0.column", "P0.center")
        assert verdict.polar_upper[0] >= polar * (1 - 1e-12)
    assert rule(forged(cones, lambda h, a: a["P0.column"].fill(0.0))) == "cone-tree-column"


def test_multipliers_are_not_trusted(scalar, vector, products, signs):
    for data, names in (
        (scalar, ("curvatures", "levels", "column")),
        (vector, ("mixings", "envelopes")),
        (products, ("cross", "levels", "column")),
        (signs, ("multipliers", "column")),
    ):
        for name in names:

            def shrink(header, arrays, name=name):
                arrays[f"P0.{name}"] = arrays[f"P0.{name}"] * 0.01

            assert verify_bytes(forged(data, shrink)).status == "invalid", name

            def negate(header, arrays, name=name):
                arrays[f"P0.{name}"] = -arrays[f"P0.{name}"]

            assert verify_bytes(forged(data, negate)).status == "invalid", name


def test_masks_and_sample_weights_are_checked(scalar):
    assert rule(forged(scalar, lambda h, a: a["mask"].fill(2))) == "mask"
    assert rule(forged(scalar, lambda h, a: a["mask"].fill(0))) in ("mask", "dual-domain")
    assert rule(forged(scalar, lambda h, a: a["sample_weights"].fill(-1))) == "sample-weights"


def soft_thresholded(y, strength):
    """X = I, ½|Z − Y|² + λ |Z|_*: the optimum is the soft-thresholded singular value decomposition."""
    left, values, right = np.linalg.svd(y, full_matrices=False)
    kept = np.maximum(values - strength, 0)
    removed, root = values - kept, np.sqrt(kept)
    arrays = {"X": np.eye(len(y)), "Y": y, "A": -(left * removed) @ right}
    arrays |= {"F0.0": (left * root).T, "F0.1": root[:, None] * right}
    branch = Branch(LINEAR, "spectral", strengths=(strength, strength), width=len(values))
    shape = {"inputs": (len(y),), "outputs": y.shape[1], "samples": len(y)}
    built = build(branch, **shape, reduction="sum", scale=0.5, arrays=arrays)
    return built, float((removed**2).sum() / 2 + strength * kept.sum())


def test_a_bound_at_a_true_optimum_is_certified():
    built, optimum = soft_thresholded(np.random.default_rng(3).standard_normal((6, 5)), 0.8)
    header, arrays = built.made
    header["statement"]["tolerance"]["relative"] = (1e-7).hex()
    verdict = verify_bytes(packed(header, arrays))
    assert verdict.certified
    assert verdict.lower <= optimum <= verdict.upper
    assert verdict.upper - verdict.lower < 1e-7


def test_polar_below_threshold_without_alignment_is_not_certified():
    """The zero network has polar ≤ λ after scaling, but its objective is far above the dual value."""
    built, _ = soft_thresholded(3 * np.random.default_rng(3).standard_normal((6, 5)), 0.8)

    def zeroed(header, arrays):
        arrays["F0.0"][:] = 0
        header["claim"]["upper"] = (2.0**20).hex()

    verdict = verify_bytes(forged(built.data, zeroed))
    assert verdict.status == "valid"
    assert not verdict.certified


@pytest.mark.parametrize("seed", range(8))
def test_random_mutants_never_prove_more_than_the_truth(seed):
    """X = I, ½|Z − Y|² + λ |Z|_*: whatever is accepted lies on the right side of the known optimum."""
    generator = np.random.default_rng(seed)
    built, optimum = soft_thresholded(generator.standard_normal((4, 3)), 0.5)
    accepted = 0
    for _ in range(150):
        header, arrays = unpacked(built.data)
        for _ in range(generator.integers(1, 3)):
            mutate(header, arrays, generator)
        verdict = verify_bytes(packed(header, arrays))
        if verdict.status == "valid":
            accepted += 1
            z = arrays["X"] @ arrays["F0.0"].T @ arrays["F0.1"]
            first, second = (float.fromhex(v) for v in header["statement"]["branches"][0]["penalty"]["strengths"])
            strength, weight = math.sqrt(first * second), float.fromhex(header["statement"]["loss"]["scale"])
            values = np.linalg.svd(arrays["Y"], compute_uv=False)
            # scale · Σ (s − t)² + λ Σ t is least at t = s − λ/(2 scale).
            kept = np.maximum(values - strength / (2 * weight), 0)
            least = float(weight * ((values - kept) ** 2).sum() + strength * kept.sum())
            if bool((arrays["X"] == np.eye(4)).all()):
                assert verdict.lower <= least + 1e-12
            penalty = (first * (arrays["F0.0"] ** 2).sum() + second * (arrays["F0.1"] ** 2).sum()) / 2
            assert verdict.upper >= weight * float(((z - arrays["Y"]) ** 2).sum()) + penalty - 1e-12
    assert accepted < 150
    assert optimum > 0


def mutate(header, arrays, generator):
    target = generator.integers(0, 3)
    if target == 0:
        strengths = header["statement"]["branches"][0]["penalty"]["strengths"]
        section, key = [
            (header["claim"], "upper"),
            (header["claim"], "lower"),
            (header["dual"], "scale"),
            (header["proofs"][0], "upper"),
            (header["statement"]["loss"], "scale"),
            (strengths, int(generator.integers(2))),
        ][generator.integers(0, 6)]
        section[key] = hexed(section[key], float(np.exp(generator.normal() * 10.0 ** -generator.integers(0, 12))))
    else:
        name = list(arrays)[generator.integers(0, len(arrays))]
        flat = arrays[name].reshape(-1)
        flat[generator.integers(0, flat.size)] += generator.normal() * 10.0 ** -generator.integers(0, 14)


def test_verdicts_are_the_same_without_asserts(tmp_path, spectral):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(spectral)
    bad.write_bytes(forged(spectral, lambda h, a: h["proofs"][0].update(upper=hexed(h["proofs"][0]["upper"], 0.5))))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    for path, code in ((good, 0), (bad, 1)):
        command = [sys.executable, "-O", "-m", "certify.cli.main", "verify", str(path)]
        source = "import sys; from certify.cli.main import main; sys.argv = ['certify', 'verify', sys.argv[1]]; main()"
        command = [sys.executable, "-O", "-c", source, str(path)]
        assert subprocess.run(command, capture_output=True, env=environment, check=False).returncode == code
