"""Random forgeries of valid certificates: what the checker accepts is true, however the proof was changed.

Every mutant gets a right digest. It is judged as it stands, and once more with the strongest claim that the checker's
own numbers allow: an accepted claim must hold for the optimum, known in closed form or from above by known networks.
"""

import math
import time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from certify.bounds.ladder import scaled
from certify.bounds.polar import PolarTask
from certify.problem import LossSpec
from certify.problem.dual import feasible_dual
from certify.verify import verify_bytes
from certify.workflows.certificate_of import LossTerms, settled_certificate

from ..verify.cases import PROVERS, Case, packed, unpacked
from .planted import INSTANCES

PARTS, COUNT = 6, 300
TERMS = LossTerms(LossSpec("mse", "sum", 0.5))
KINDS = (
    ("zero", "linear"),
    ("spectral", "linear"),
    ("quadratic-form", "quadratic"),
    ("norm-products", "relu"),
    ("cone-tree", "relu"),
    ("majorant", "relu"),
)
CLOSED_FORM_ERROR = 1e-12
EDGES = (0.0, -0.0, 1.0, -1.0, 2.0**-1074, 2.0**-600, 2.0**-199, 2.0**199, -(2.0**199), 1e-16, 1e16)


def valid(kind, family, seed):
    """A planted problem and a certificate of its optimum by one kind of proof."""
    planted = INSTANCES[family](np.random.default_rng([40, seed]))
    case = Case(planted.problem(planted.first, planted.second), TERMS)
    if kind == "zero":
        return planted, settled_certificate(case.problem, TERMS, case.bound("zero")).data
    objective = case.problem.objective
    dual = feasible_dual(objective, objective.evaluate(case.problem.network).gradient)
    task = PolarTask(objective, dual, 0.0, time.perf_counter() + 1, objective.empty_network().factors)
    return planted, settled_certificate(case.problem, TERMS, scaled(objective, dual, PROVERS[kind](task))).data


def true_optimum(header, arrays, family):
    """The optimum of the problem that a mutant states: the same X, other Y, scale or λ allowed."""
    kappa = 2 * float.fromhex(header["problem"]["scale"])
    strength = float.fromhex(header["problem"]["strength"]) / kappa
    y = arrays["Y"]
    if family == "linear":
        sizes = np.linalg.svd(y, compute_uv=False)
    elif family == "quadratic":
        sizes = np.abs(y[:, 0])
    else:
        sizes = np.array([np.linalg.norm(np.maximum(y, 0)), np.linalg.norm(np.maximum(-y, 0))])
    kept = np.maximum(sizes - strength, 0)
    return kappa * float((np.minimum(sizes, strength) ** 2).sum() / 2 + strength * kept.sum())


def true_objective(header, arrays, family):
    """The objective by numpy in extended precision."""
    scale, strength = (np.longdouble(float.fromhex(header["problem"][key])) for key in ("scale", "strength"))
    x, y, first, second = (arrays[name].astype(np.longdouble) for name in ("X", "Y", "W1", "W2"))
    hidden = x @ first.T
    hidden = {"linear": hidden, "relu": np.maximum(hidden, 0), "quadratic": hidden * hidden}[family]
    norms = (first**2).sum(1), (second**2).sum(0)
    penalty = (norms[0] * np.sqrt(norms[1])).sum() if family == "quadratic" else (norms[0].sum() + norms[1].sum()) / 2
    return scale * ((hidden @ second.T - y) ** 2).sum() + strength * penalty


def changed_number(rng, text):
    value = float.fromhex(text)
    match rng.integers(6):
        case 0:
            value = math.nextafter(value, rng.choice([-math.inf, math.inf]))
        case 1:
            value *= 1 + rng.choice([-1, 1]) * 10 ** rng.uniform(-16, 0)
        case 2:
            value = float(rng.choice(EDGES))
        case 3:
            value = -value
        case 4:
            value *= 2.0 ** rng.integers(-40, 40)
        case _:
            value += 10 ** rng.uniform(-16, 2) * rng.choice([-1, 1])
    return float(value).hex()


def change_array(rng, arrays, name):
    values = arrays[name]
    if values.dtype == np.uint8:
        change_bytes(rng, arrays, name)
        return
    place = tuple(int(rng.integers(extent)) for extent in values.shape)
    match rng.integers(7):
        case 0:
            values[place] = np.nextafter(values[place], rng.choice([-np.inf, np.inf]))
        case 1:
            values[place] *= 1 + rng.choice([-1, 1]) * 10 ** rng.uniform(-16, 0)
        case 2:
            values[place] = rng.choice(EDGES)
        case 3:
            values *= rng.choice([-1.0, 0.0, 0.5, 2.0, 1e-3, 1e3])
        case 4:
            values[:] = rng.permutation(values)
        case 5:
            values += 10 ** rng.uniform(-16, 1) * rng.standard_normal(values.shape)
        case _:
            values.view(np.uint64)[place] ^= np.uint64(1) << np.uint64(rng.integers(64))


def change_bytes(rng, arrays, name):
    """Trees: change, drop, add or swap nodes, or replace them all."""
    values = arrays[name]
    place = int(rng.integers(max(1, len(values))))
    match rng.integers(6):
        case 0 if values.size:
            values.flat[int(rng.integers(values.size))] = rng.integers(256)
        case 1 if len(values):
            arrays[name] = np.delete(values, place, 0)
        case 2 if len(values):
            arrays[name] = np.insert(values, place, values[place], 0)
        case 3:
            values[:] = rng.permutation(values)
        case 4 if name == "splits" and values.any():  # cut a subtree, with its tangents
            start = int(rng.choice(np.flatnonzero(values)))
            balance = np.cumsum(np.where(values[start:] > 0, 1, -1))
            end = start + int(np.flatnonzero(balance == -1)[0]) + 1
            ranks = np.cumsum(values == 0)
            low, high = (int(ranks[start - 1]) if start else 0), int(ranks[end - 1])
            arrays["splits"] = np.concatenate([values[:start], [0], values[end:]]).astype(np.uint8)
            tangents = arrays["tangents"]
            if high <= len(tangents):
                arrays["tangents"] = np.concatenate([tangents[: low + 1], tangents[high:]])
        case _:
            values[:] = values[::-1].copy()


def mutant(rng, header, arrays):
    header = {key: dict(value) if isinstance(value, dict) else value for key, value in header.items()}
    arrays = {name: values.copy() for name, values in arrays.items()}
    for _ in range(int(rng.choice([1, 1, 2, 4]))):
        match rng.integers(5):
            case 0:
                section, key = (("claim", "upper"), ("claim", "lower"), ("dual", "scale"), ("proof", "upper"))[
                    rng.integers(4)
                ]
                header[section][key] = changed_number(rng, header[section][key])
            case 1:
                key = ("strength", "scale")[rng.integers(2)]
                header["problem"][key] = changed_number(rng, header["problem"][key])
                if rng.random() < 0.9:
                    header["problem"]["lambda"] = header["problem"]["strength"]
            case _:
                # X stays: the optimum must stay known.
                change_array(rng, arrays, rng.choice([name for name in arrays if name != "X"]))
    return header, arrays


def strongest(header, verdict):
    """The same proof with the best claim that the checker's own numbers support, or None."""
    if verdict.objective is None or verdict.dual_value is None or verdict.polar_upper is None:
        return None
    if not math.isfinite(verdict.polar_upper):
        return None
    header = {key: dict(value) if isinstance(value, dict) else value for key, value in header.items()}
    strength = float.fromhex(header["problem"]["strength"])
    if verdict.polar_upper > 0:
        header["dual"]["scale"] = (strength / verdict.polar_upper * (1 - 2.0**-50)).hex()
        if header["proof"]["kind"] in ("cone-tree",):
            header["proof"]["upper"] = (verdict.polar_upper * (1 + 2.0**-40)).hex()
            header["dual"]["scale"] = (strength / verdict.polar_upper * (1 - 2.0**-39)).hex()
    header["claim"] |= {"upper": verdict.objective[1].hex(), "lower": verdict.dual_value[0].hex()}
    return header


def require_true(header, arrays, family, verdict):
    optimum, objective = true_optimum(header, arrays, family), true_objective(header, arrays, family)
    slack = CLOSED_FORM_ERROR * max(
        optimum, float.fromhex(header["problem"]["scale"]) * float((arrays["Y"] ** 2).sum())
    )
    assert verdict.lower <= optimum + slack, (header["claim"], optimum)
    assert verdict.upper >= objective * (1 - np.longdouble(1e-17)), (header["claim"], objective)


def judge(header, arrays, family):
    """Number of accepted claims of a mutant, all of them true."""
    verdict = verify_bytes(packed(header, arrays))
    if verdict.status == "valid":
        require_true(header, arrays, family, verdict)
    accepted = int(verdict.status == "valid")
    for _ in range(2):
        header = strongest(header, verdict)
        if header is None:
            return accepted
        verdict = verify_bytes(packed(header, arrays))
        if verdict.status == "valid":
            require_true(header, arrays, family, verdict)
            accepted += 1
    return accepted


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_no_random_mutant_with_a_false_claim_is_accepted(kind, family, part):
    rng = np.random.default_rng([41, part])
    planted, data = valid(kind, family, part)
    assert verify_bytes(data).status == "valid"
    header, arrays = unpacked(data)
    require_true(header, arrays, family, verify_bytes(data))
    accepted = sum(judge(*mutant(rng, header, arrays), family) for _ in range(COUNT))
    print(f"{kind}, part {part}: {COUNT} mutants, {accepted} claims accepted, 0 of them false")  # noqa: T201


@pytest.mark.parametrize(("kind", "family"), KINDS)
def test_no_mutant_that_hypothesis_finds_is_falsely_accepted(kind, family):
    _, data = valid(kind, family, 99)
    header, arrays = unpacked(data)

    @settings(max_examples=60, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1))
    def run(seed):
        judge(*mutant(np.random.default_rng(seed), header, arrays), family)

    run()


def test_bytes_cut_swapped_or_added_are_refused():
    for kind, family in KINDS:
        _, data = valid(kind, family, 7)
        for cut in range(0, len(data), max(1, len(data) // 50)):
            assert verify_bytes(data[:cut]).status == "refused"
            assert verify_bytes(data[:cut] + data[cut + 1 :]).status == "refused"
            assert verify_bytes(data[:cut] + b"\0" + data[cut:]).status == "refused"
        assert verify_bytes(data + data).status == "refused"


def test_a_proof_for_other_inputs_is_invalid_or_true():
    """The proof of one problem with the data of another: accepted only where its bound happens to hold."""
    for kind, family in KINDS[1:]:
        certificates = [unpacked(valid(kind, family, seed)[1]) for seed in range(12)]
        for header, arrays in certificates:
            for _, other in certificates:
                if other["X"].shape == arrays["X"].shape and other["Y"].shape == arrays["Y"].shape:
                    judge(header, arrays | {"X": other["X"], "Y": other["Y"]}, family)
