"""Certificates of the real prover are accepted, and their claims are true of independent evaluations."""

import itertools
from dataclasses import replace

import pytest
from torch.nn import functional

from certify.problem import ProductOfNorms
from certify.verify import verify_bytes
from certify.verify.exact import verify_bytes_exactly
from certify.verify.proofs import sign_tree
from certify.workflows.certificate_of import certificate_content, settled_certificate
from certify.workflows.check import CheckOptions, run_check

from . import handmade_signs
from .cases import KINDS, LOSSES, make_case
from .families import BASES
from .packing import packed

POLICIES = ("absent", "penalized", "free")


def torch_objective(case, evaluate=None):
    """The objective by torch.nn.functional on the layers, not by certify's own losses."""
    problem, terms = case.problem, case.problem.terms
    z = problem.objective.forward(problem.network)
    y, name, spec = problem.objective.loss.targets, terms.loss.name, terms.loss
    entries = {
        "mse": lambda: functional.mse_loss(z, y, reduction="none"),
        "huber": lambda: functional.huber_loss(z, y, reduction="none"),
        "binary-cross-entropy": lambda: functional.binary_cross_entropy_with_logits(z, y, reduction="none"),
        "soft-margin": lambda: functional.soft_margin_loss(z, y, reduction="none"),
        "squared-hinge": lambda: (1 - y * z).clamp_min(0) ** 2,
        "poisson": lambda: functional.poisson_nll_loss(z, y, reduction="none"),
        "cross-entropy": lambda: functional.cross_entropy(z, y, reduction="none")[:, None],
    }[name]()
    count = entries.numel()
    if terms.mask is not None:
        entries, count = entries * terms.mask, int(terms.mask.sum())
    if terms.sample_weights is not None:
        entries = entries * terms.sample_weights[:, None]
    loss = spec.scale * entries.sum() / (count if spec.reduction == "mean" else 1)
    graph, policy = problem.graph, problem.decomposition.policy
    layers = {layer.name: layer for layer in graph.layers if layer.weight}
    skip = problem.decomposition.layout.outside.skips[:1]
    first, last = [layer for layer in layers.values() if layer not in skip]
    first_bias, last_bias = graph.bias(first), graph.bias(last)
    w1, w2 = graph.weight(first), graph.weight(last)
    rows = (w1**2).sum(1) + (first_bias**2 if policy.hidden == "penalized" else 0.0)
    charge = problem.decomposition.charge
    if isinstance(charge, ProductOfNorms):
        return float(
            loss + charge.strength * (rows ** (charge.powers[0] / 2) * w2.norm(dim=0) ** charge.powers[1]).sum()
        )
    total = rows.sum() + (w2**2).sum() + ((last_bias**2).sum() if policy.output == "penalized" else 0.0)
    total = total + ((graph.weight(skip[0]) ** 2).sum() if policy.skip == "penalized" else 0.0)
    return float(loss + charge.rule / 2 * total)


def require_accepted(case, kind):
    bound = case.bound(kind)
    settled = settled_certificate(case.problem, bound)
    verdict = settled.verdict
    assert verdict.status == "valid", (verdict.rule, verdict.message)
    expected = torch_objective(case)
    assert verdict.upper == pytest.approx(expected, rel=1e-11, abs=1e-11)
    assert verdict.upper >= expected - 1e-14 * abs(expected)
    assert verdict.lower <= verdict.upper
    assert verdict.lower == pytest.approx(bound.value, rel=1e-6, abs=1e-7)
    return settled


@pytest.mark.parametrize(("family", "loss"), list(itertools.product(KINDS, LOSSES)))
def test_every_family_loss_and_kind_of_proof_is_accepted(family, loss):
    for kind in KINDS[family]:
        require_accepted(make_case(family, loss), kind)


@pytest.mark.parametrize(
    ("family", "hidden", "output"),
    [
        (family, hidden, output)
        for family, hidden, output in itertools.product(KINDS, POLICIES, POLICIES)
        if family != "quadratic" or (hidden != "free" and output != "penalized")
    ],
)
def test_every_bias_policy_is_accepted(family, hidden, output):
    for kind in KINDS[family]:
        require_accepted(make_case(family, hidden=hidden, output=output), kind)


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("hidden", ["absent", "penalized"])
def test_products_of_norms_are_accepted(family, hidden):
    for kind in KINDS[family]:
        require_accepted(make_case(family, "huber", hidden=hidden, penalty="product-of-norms"), kind)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_reduction_scale_and_sample_weights_are_accepted(loss, reduction):
    require_accepted(make_case("relu", loss, reduction=reduction, scale=0.7, weighted=True), "norm-products")


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "cross-entropy"])
def test_masks_are_accepted(loss):
    require_accepted(make_case("linear", loss, masked=True, weighted=True), "spectral")


@pytest.mark.parametrize("hidden", ["absent", "penalized", "free"])
def test_one_output_is_accepted_by_every_relu_proof(hidden):
    for kind in KINDS["relu"]:
        require_accepted(make_case("relu", "soft-margin", outputs=1, hidden=hidden, output="free"), kind)


@pytest.mark.parametrize("loss", LOSSES)
def test_sorting_is_accepted_for_one_input_and_a_free_bias(loss):
    for outputs in (2, 3) if loss == "cross-entropy" else (1, 3):
        for output in POLICIES:
            case = make_case("relu", loss, hidden="free", output=output, outputs=outputs, inputs=1)
            require_accepted(case, "sorting")


def test_sorting_is_accepted_for_products_of_norms():
    case = make_case("relu", hidden="free", output="free", inputs=1, penalty="product-of-norms")
    require_accepted(case, "sorting")


@pytest.mark.parametrize("verify", [verify_bytes, verify_bytes_exactly])
@pytest.mark.parametrize("make", BASES)
def test_proofs_whose_multipliers_are_derived_by_hand_are_accepted(make, verify):
    verdict = verify(packed(*make()))
    assert verdict.status == "valid", (verdict.rule, verdict.message)


def test_a_penalized_skip_is_accepted():
    require_accepted(make_case("relu", skip="penalized", output="penalized"), "norm-products")


def test_free_biases_under_softmax_are_accepted():
    for kind in ("norm-products", "cone-tree", "majorant"):
        require_accepted(make_case("relu", "cross-entropy", hidden="free", output="free"), kind)


def test_a_tentative_claim_within_the_checkers_numbers_is_valid():
    case = make_case()
    bound = case.bound("spectral")
    verdict = settled_certificate(case.problem, bound).verdict
    content = certificate_content(case.problem, bound)
    claim = replace(content, upper=verdict.upper + 1, lower=verdict.lower - 1)
    assert verify_bytes(claim.to_bytes()).status == "valid"


@pytest.mark.parametrize("family", KINDS)
@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss != "cross-entropy"])
def test_every_loss_and_family_with_a_free_skip_has_a_certificate(family, loss):
    penalty = "product-of-norms" if family == "quadratic" else "weight-decay"
    for bias in ({}, {"hidden": "penalized", "output": "free"}):
        for kind in KINDS[family]:
            case = make_case(family, loss, skip="free", penalty=penalty, samples=14, **bias)
            bound = case.bound(kind)
            found = settled_certificate(case.problem, bound)
            assert found.verdict.lower <= bound.value
            assert found.verdict.lower == pytest.approx(bound.value, rel=1e-7, abs=1e-9)
            assert verify_bytes_exactly(found.data).status == "valid"


def test_a_trained_softmax_network_with_a_free_skip_has_a_certificate():
    """60 samples with random labels in three dimensions cannot be separated, so that all probabilities have room."""
    case = make_case("relu", "cross-entropy", skip="free", samples=60, output="free")
    problem = replace(case.problem, budget_seconds=4.0)
    outcome = run_check(problem, CheckOptions())
    assert outcome.result.proof == "rigorous"
    assert outcome.result.lower_bound > 0.5 * outcome.result.best_known
    assert verify_bytes_exactly(outcome.certificate).status == "valid"


@pytest.mark.parametrize("make", handmade_signs.BASES)
def test_trees_of_signs_are_walked_in_pieces(make, monkeypatch):
    monkeypatch.setattr(sign_tree, "CHUNK", 1)
    for verify in (verify_bytes, verify_bytes_exactly):
        assert verify(packed(*make())).status == "valid"
    for number, rule, base, forge in handmade_signs.RULES:
        if base is make and number == 48:
            assert verify_bytes(forge(make())).rule == rule
