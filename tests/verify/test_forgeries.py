"""Forged certificates, with a right digest: no false claim is accepted, and nothing malformed is read."""

import json
import math
import os
import random
import subprocess
import sys

import numpy as np
import pytest
import torch

from certify.verify import verify_bytes
from certify.workflows.certificate_of import settled_certificate

from .cases import MAGIC, compact, make_case, packed, sealed, unpacked
from .test_accepted import soft_thresholded


def certificate(*args, kind, **settings):
    case = make_case(*args, **settings)
    return settled_certificate(case.problem, case.terms, case.bound(kind)).data


@pytest.fixture(scope="module")
def spectral():
    return certificate("linear", "mse", kind="spectral", output="free", hidden="penalized")


@pytest.fixture(scope="module")
def cones():
    return certificate("relu", "huber", kind="cone-tree", hidden="free", output="free", outputs=1)


@pytest.fixture(scope="module")
def softmax():
    return certificate("relu", "cross-entropy", kind="norm-products", output="penalized")


@pytest.fixture(scope="module")
def scalar():
    return certificate("relu", "mse", kind="majorant", outputs=1, hidden="free", weighted=True, masked=True)


@pytest.fixture(scope="module")
def vector():
    return certificate("relu", "mse", kind="majorant", outputs=2)


@pytest.fixture(scope="module")
def sorting():
    return certificate("relu", "huber", kind="sorting", hidden="free", output="free", inputs=1)


@pytest.fixture(scope="module")
def randomized():
    return certificate("linear", "mse", kind="randomized", output="penalized")


@pytest.fixture(scope="module")
def everything(spectral, cones, softmax, scalar, vector, sorting, randomized):
    return [spectral, cones, softmax, scalar, vector, sorting, randomized]


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
    body = b"".join(values.tobytes() for values in arrays.values())
    assert rule(packed(header, body=body + b"\0" * 8)) == "trailing-bytes"
    assert rule(packed(header, body=body[:-8])) == "array-layout"


def test_every_key_is_needed_and_no_other_is_known(everything):
    for data in everything:
        header, arrays = unpacked(data)
        for section in (header, *(header[name] for name in ("claim", "dual", "problem", "proof", "sources"))):
            for key in list(section):
                value = section.pop(key)
                # What `packed` itself writes cannot be left out this way.
                if key not in ("problem", "sources", "arrays"):
                    assert verify_bytes(packed(header, arrays)).status == "refused", key
                section[key] = value
            section["unknown"] = None
            assert rule(packed(header, arrays)) == "schema"
            del section["unknown"]


def test_other_spellings_of_the_header_are_refused(spectral):
    header, arrays = unpacked(spectral)
    body = b"".join(values.tobytes() for values in arrays.values())
    text = compact(header)
    assert verify_bytes(sealed(text, body)).status == "valid"
    for other in (
        json.dumps(header, sort_keys=True).encode(),
        text[:-1] + b',"schema":"certify.certificate/1"}',
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
    content = spectral.replace(MAGIC, b"certify certificate 2\n")[:-32]
    import hashlib

    assert rule(content + hashlib.sha256(content).digest()) == "magic"
    assert rule(forged(spectral, lambda h, a: h.update(schema="certify.certificate/2"))) == "schema"


@pytest.mark.parametrize(
    "value", ["nan", "inf", "-inf", "0x1.0p+300", "1.0", "0x1p0", "", "0x1.00p+0", 1, None, [], True]
)
def test_numbers_that_are_not_canonical_and_finite_are_refused(spectral, value):
    for section, key in (
        ("claim", "upper"),
        ("claim", "lower"),
        ("dual", "scale"),
        ("proof", "upper"),
        ("problem", "scale"),
    ):
        assert rule(forged(spectral, lambda h, a, s=section, k=key: h[s].__setitem__(k, value))) == "schema"


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_arrays_with_values_out_of_range_are_refused(everything, value):
    for data in everything:
        for name in unpacked(data)[1]:

            def change(header, arrays, name=name):
                if arrays[name].dtype == np.float64:
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
                assert shorter.status == "refused" or name in ("splits", "tangents")
                assert shorter.status != "valid"
        assert verify_bytes(packed(header, arrays | {"more": np.zeros(1)})).status == "refused"
        assert verify_bytes(packed(header, dict(reversed(arrays.items())))).status == "refused"
        assert verify_bytes(packed(header, {})).status == "refused"


@pytest.mark.parametrize(
    "shape", [[2**31 - 1, 2**31 - 1, 2**31 - 1], [2**31, 1], [-1, 3], [12, 3.0], "12", [True, 3], [1, 1, 1, 1]]
)
def test_declared_sizes_are_checked_before_anything_is_read(spectral, shape):
    header, arrays = unpacked(spectral)
    body = b"".join(values.tobytes() for values in arrays.values())
    header["arrays"][0]["shape"] = shape
    assert verify_bytes(packed(header, body=body)).status == "refused"


@pytest.mark.parametrize("offset", [8, -8, 2**62, None, 0.0, True])
def test_arrays_that_overlap_or_leave_gaps_are_refused(spectral, offset):
    header, arrays = unpacked(spectral)
    body = b"".join(values.tobytes() for values in arrays.values())
    header["arrays"][1]["offset"] = offset
    assert verify_bytes(packed(header, body=body)).status == "refused"


def test_a_declared_width_without_any_bytes_is_refused(spectral):
    header, arrays = unpacked(spectral)
    arrays["W1"], arrays["b1"], arrays["W2"] = np.zeros((2**30, 0)), np.zeros(0), np.zeros((2, 0))
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
        upper = unpacked(data)[0]["proof"]["upper"]
        for value in (hexed(upper, 0.5), hexed(upper, -1.0), (0.0).hex(), (2.0**-180).hex()):
            assert rule(forged(data, lambda h, a, v=value: h["proof"].update(upper=v))) in ("polar", "randomized-test")


def test_other_kinds_of_proof_do_not_fit(everything):
    for data in everything:
        header, arrays = unpacked(data)
        for kind in ("zero", "spectral", "quadratic-form", "norm-products", "cone-tree", "sorting", "lanczos", ""):
            if kind != header["proof"]["kind"]:
                changed = json.loads(json.dumps(header))
                changed["proof"]["kind"] = kind
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
        return rule(forged(randomized, lambda h, a: a.update(edge=a["edge"] * factor)))

    assert edge(0.5) == "polar"
    for factor in (2.0, 0.0, -1.0):
        assert edge(factor) == "randomized-test"


def test_sorting_needs_one_input_and_a_free_bias(cones):
    header, arrays = unpacked(certificate("relu", kind="norm-products", hidden="penalized", inputs=1))
    header["proof"]["kind"] = "sorting"
    assert rule(packed(header, arrays)) == "sorting-inputs"
    header, arrays = unpacked(certificate("relu", kind="norm-products", hidden="free", outputs=1))
    header["proof"]["kind"] = "sorting"
    assert rule(packed(header, arrays)) == "sorting-inputs"


def test_other_problems_are_not_proven(everything):
    """λ, the scale of the loss, the reduction and the penalty decide what the optimum is."""
    for data in everything:
        strength = unpacked(data)[0]["problem"]["strength"]
        smaller, larger = hexed(strength, 0.5), hexed(strength, 2.0)
        assert rule(forged(data, lambda h, a, v=larger: h["problem"].update({"lambda": v}))) == "lambda"
        assert rule(forged(data, lambda h, a, v=larger: h["problem"].update(strength=v))) == "lambda"
        for value, rules in ((smaller, ("polar-scale",)), (larger, ("objective",))):
            both = {"strength": value, "lambda": value}
            assert rule(forged(data, lambda h, a, b=both: h["problem"].update(b))) in (*rules, "dual-value")
        for factor in (0.5, 2.0):

            def rescale(header, arrays, factor=factor):
                header["problem"]["scale"] = hexed(header["problem"]["scale"], factor)

            assert rule(forged(data, rescale)) in ("objective", "dual-value", "dual-domain")
        assert rule(forged(data, lambda h, a: h["problem"].update(reduction="sum"))) in ("objective", "dual-value")


def test_a_wrong_problem_digest_is_invalid(spectral):
    header, arrays = unpacked(spectral)
    body = b"".join(values.tobytes() for values in arrays.values())
    header["sources"]["problem"] = "0" * 64
    assert rule(sealed(compact(header), body)) == "problem-digest"
    header["sources"]["problem"] = "g" * 64
    assert rule(sealed(compact(header), body)) == "schema"


def test_other_weights_and_data_break_the_claim(everything):
    for data in everything:
        for name in ("W1", "W2", "X", "Y"):

            def change(header, arrays, name=name):
                arrays[name] = arrays[name] * 10 if name != "Y" else arrays[name] * 0.1

            assert verify_bytes(forged(data, change)).status != "valid"


def test_trees_with_dropped_doubled_or_impossible_nodes_are_invalid(cones):
    def tree(change):
        def apply(header, arrays):
            arrays["splits"], arrays["tangents"] = change(arrays["splits"].copy(), arrays["tangents"].copy())

        return rule(forged(cones, apply))

    splits, tangents = (unpacked(cones)[1][name] for name in ("splits", "tangents"))
    assert splits.any()
    assert tree(lambda s, t: (s[:-1], t[:-1])) == "cone-tree-shape"
    assert tree(lambda s, t: (np.append(s, s[-1:]), np.append(t, t[-1:], 0))) == "cone-tree-shape"
    assert tree(lambda s, t: (s, t[:-1])) == "cone-tree-shape"
    assert tree(lambda s, t: (s, np.append(t, t[-1:], 0))) == "cone-tree-shape"
    assert tree(lambda s, t: (s[:0], t[:0])) == "cone-tree-shape"
    first = int(np.flatnonzero(splits)[0])
    assert tree(lambda s, t: (np.delete(s, first), t)) == "cone-tree-shape"
    assert tree(lambda s, t: (np.where(s > 0, 255, s).astype(np.uint8), t)) == "cone-tree-split"
    roots = 2 ** (tangents.shape[1] + 1)
    assert tree(lambda s, t: (np.zeros(roots, np.uint8), t[:1].repeat(roots, 0))) == "polar"


def test_a_tree_too_deep_is_invalid(cones):
    def change(header, arrays):
        chain = np.append(np.ones(300, np.uint8), np.zeros(301, np.uint8))
        roots = 2 ** (arrays["tangents"].shape[1] + 1)
        arrays["splits"] = np.append(chain, np.zeros(roots - 1, np.uint8))
        arrays["tangents"] = np.ones((300 + roots, arrays["tangents"].shape[1]), np.uint8)

    assert rule(forged(cones, change)) in ("cone-tree-depth", "cone-tree-midpoint")


def test_other_tangents_and_splits_prove_only_what_they_prove(cones):
    """Any tangent and any complete tree is a proof; a worse one shows a larger bound than claimed, or holds."""
    generator = np.random.default_rng(0)
    honest = verify_bytes(cones)
    for _ in range(20):

        def change(header, arrays):
            where = generator.random(len(arrays["tangents"])) < 0.2
            arrays["tangents"][where] = generator.integers(0, 256, arrays["tangents"].shape)[where]

        verdict = verify_bytes(forged(cones, change))
        assert verdict.status in ("valid", "invalid")
        assert verdict.polar_upper >= honest.polar_upper * (1 - 1e-3)


def test_frames_and_rows_are_not_trusted(cones):
    for name in ("rows", "frame", "column", "center"):

        def change(header, arrays, name=name):
            arrays[name] = arrays[name] * 0.5

        assert rule(forged(cones, change)) == "polar"
    assert rule(forged(cones, lambda h, a: a["column"].fill(0.0))) == "cone-tree-column"


def test_multipliers_are_not_trusted(scalar, vector):
    for data, names in ((scalar, ("curvatures", "levels", "column")), (vector, ("mixings", "envelopes"))):
        for name in names:

            def shrink(header, arrays, name=name):
                arrays[name] = arrays[name] * 0.01

            assert verify_bytes(forged(data, shrink)).status == "invalid", name

            def negate(header, arrays, name=name):
                arrays[name] = -arrays[name]

            assert verify_bytes(forged(data, negate)).status == "invalid", name


def test_masks_and_sample_weights_are_checked(scalar):
    assert rule(forged(scalar, lambda h, a: a["mask"].fill(2))) == "mask"
    assert rule(forged(scalar, lambda h, a: a["mask"].fill(0))) in ("mask", "dual-domain")
    assert rule(forged(scalar, lambda h, a: a["sample_weights"].fill(-1))) == "sample-weights"


def test_polar_below_threshold_without_alignment_is_not_certified():
    """The zero network has polar ≤ λ after scaling, but its objective is far above the dual value."""
    y = 3 * torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    case, _ = soft_thresholded(y, 0.8)
    data = settled_certificate(case.problem, case.terms, case.bound("spectral")).data

    def zeroed(header, arrays):
        arrays["W1"][:] = 0
        header["claim"]["upper"] = (2.0**20).hex()

    verdict = verify_bytes(forged(data, zeroed))
    assert verdict.status == "valid"
    assert not verdict.certified


@pytest.mark.parametrize("seed", range(8))
def test_random_mutants_never_prove_more_than_the_truth(seed):
    """X = I, ½|Z − Y|² + λ |Z|_*: whatever is accepted lies on the right side of the known optimum."""
    generator = np.random.default_rng(seed)
    y = torch.from_numpy(generator.standard_normal((4, 3)))
    case, optimum = soft_thresholded(y, 0.5)
    data = settled_certificate(case.problem, case.terms, case.bound("spectral")).data
    accepted = 0
    for _ in range(150):
        header, arrays = unpacked(data)
        for _ in range(generator.integers(1, 3)):
            mutate(header, arrays, generator)
        verdict = verify_bytes(packed(header, arrays))
        if verdict.status == "valid":
            accepted += 1
            z = torch.from_numpy(arrays["X"] @ arrays["W1"].T @ arrays["W2"].T)
            strength = float.fromhex(header["problem"]["strength"])
            weight = float.fromhex(header["problem"]["scale"])
            values = torch.linalg.svdvals(torch.from_numpy(arrays["Y"]))
            # scale · Σ (s − t)² + λ Σ t is least at t = s − λ/(2 scale).
            kept = (values - strength / (2 * weight)).clamp_min(0)
            least = float(weight * ((values - kept) ** 2).sum() + strength * kept.sum())
            if bool((arrays["X"] == np.eye(4)).all()):
                assert verdict.lower <= least + 1e-12
            squares = float((arrays["W1"] ** 2).sum() + (arrays["W2"] ** 2).sum())
            value = weight * float(((z - torch.from_numpy(arrays["Y"])) ** 2).sum()) + strength / 2 * squares
            assert verdict.upper >= value - 1e-12
    assert accepted < 150
    assert optimum > 0


def mutate(header, arrays, generator):
    target = generator.integers(0, 3)
    if target == 0:
        section, key = [
            ("claim", "upper"),
            ("claim", "lower"),
            ("dual", "scale"),
            ("proof", "upper"),
            ("problem", "scale"),
            ("problem", "strength"),
        ][generator.integers(0, 6)]
        value = float.fromhex(header[section][key]) * float(
            np.exp(generator.normal() * 10.0 ** -generator.integers(0, 12))
        )
        header[section][key] = value.hex()
        if key == "strength":
            header["problem"]["lambda"] = value.hex()
    else:
        name = list(arrays)[generator.integers(0, len(arrays))]
        flat = arrays[name].reshape(-1)
        flat[generator.integers(0, flat.size)] += generator.normal() * 10.0 ** -generator.integers(0, 14)


def test_verdicts_are_the_same_without_asserts(tmp_path, spectral):
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(spectral)
    bad.write_bytes(forged(spectral, lambda h, a: h["proof"].update(upper=hexed(h["proof"]["upper"], 0.5))))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    for path, code in ((good, 0), (bad, 1)):
        command = [sys.executable, "-O", "-m", "certify.cli.main", "verify", str(path)]
        source = "import sys; from certify.cli.main import main; sys.argv = ['certify', 'verify', sys.argv[1]]; main()"
        command = [sys.executable, "-O", "-c", source, str(path)]
        assert subprocess.run(command, capture_output=True, env=environment, check=False).returncode == code
