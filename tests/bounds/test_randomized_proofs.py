"""Large linear models end to end: rigorous proofs where they fit, randomized ones that say so where they do not."""

import io

import pytest
import torch
from rich.console import Console

import certify.bounds.bilinear.spectral as spectral
from certify.reports.result_json import result_object
from certify.reports.result_text import print_result
from certify.reports.verification import verdict_lines, verdict_object
from certify.verify import verify_bytes
from certify.workflows.check import CheckOptions, run_check
from tests.verify.cases import soft_thresholded

ROWS, COLUMNS = 450, 420


@pytest.fixture(scope="module")
def planted():
    generator = torch.Generator().manual_seed(0)
    factors = [torch.randn(size, 6, dtype=torch.float64, generator=generator) for size in (ROWS, COLUMNS)]
    noise = torch.randn(ROWS, COLUMNS, dtype=torch.float64, generator=generator)
    case, optimum = soft_thresholded(factors[0] @ factors[1].T + 0.3 * noise, 20.0)
    return case.problem, optimum


@pytest.fixture
def little_memory(monkeypatch):
    """The rigorous proof needs more memory than any machine has."""
    monkeypatch.setattr(spectral, "MATRICES_HELD", 10**12)


def test_rigorous_proofs_are_preferred(planted):
    problem, optimum = planted
    outcome = run_check(problem, CheckOptions())
    assert outcome.result.proof == "rigorous"
    assert outcome.result.failure_probability is None
    assert outcome.result.verdict == "certified"
    assert outcome.result.lower_bound <= optimum * (1 + 1e-12)


def test_a_randomized_proof_says_so_everywhere(planted, little_memory):
    problem, optimum = planted
    outcome = run_check(problem, CheckOptions())
    result = outcome.result
    assert (result.verdict, result.proof, result.polar.method) == ("certified", "randomized", "randomized")
    assert 0 < result.failure_probability <= 1e-12
    assert result.lower_bound <= optimum * (1 + 1e-12)
    assert result.gap <= 1e-3 * result.objective
    assert result_object(result)["failure_probability"] == result.failure_probability
    console = Console(width=200, record=True, file=io.StringIO())
    print_result(console, result)
    assert "randomized: wrong with a probability of at most 1e-12" in console.export_text()
    verdict = verify_bytes(outcome.certificate)
    assert verdict.status == "valid"
    assert "probability at most 2.5e-13" in "\n".join(verdict_lines(verdict, "c"))
    assert verdict_object(verdict, "c")["failure_probability"] == verdict.failure_probability == 2.5e-13


def test_randomized_proofs_can_be_ruled_out(planted, little_memory):
    assert run_check(planted[0], CheckOptions(failure_probability=0.0)).result.proof == "rigorous"
