"""`certify verify --exact` on the command line: what it says, and what it needs."""

import json
import subprocess
import sys

import numpy as np

from certify.workflows.certificate_of import settled_certificate
from tests.verify.cases import make_case, packed, unpacked

WITHOUT_FLINT = """
import sys
sys.modules["flint"] = None  # as if it were not installed
from certify.cli.main import main
sys.argv = ["certify", "verify", *sys.argv[1:]]
main()
"""


def certificate(certify):
    assert certify("check", "optimal.pt", "--certificate", "optimal.cert").code == 0
    return "optimal.cert"


def test_text_and_json_say_that_the_arithmetic_was_exact(certify, folder):
    path = certificate(certify)
    plain, exact = certify("verify", path), certify("verify", path, "--exact")
    assert (plain.code, exact.code) == (0, 0)
    assert "floating-point arithmetic with rounding accounted for" in plain.out
    assert "exact arithmetic" in exact.out
    for arguments, arithmetic in (((), "floating-point"), (("--exact",), "exact")):
        run = certify("verify", path, "--format", "json", *arguments)
        assert json.loads(run.out)["arithmetic"] == arithmetic


def test_exact_checks_compare_with_the_files_too(certify, folder):
    path = certificate(certify)
    assert certify("verify", path, "--exact", "--model", "optimal.pt", "--data", "train.npz").code == 0
    wrong = certify("verify", path, "--exact", "--model", "poor.pt", "--data", "train.npz")
    assert wrong.code == 1
    assert "model-digest" in wrong.out


def test_flint_is_needed_for_exact_checks_only(certify, folder):
    path = certificate(certify)
    for arguments, code in (((path,), 0), ((path, "--exact"), 2)):
        run = subprocess.run(
            [sys.executable, "-c", WITHOUT_FLINT, *arguments], capture_output=True, text=True, check=False
        )
        assert run.returncode == code, run.stderr
    assert "pip install 'certify-optimality[exact]'" in run.stderr
    assert "[missing-package]" in run.stderr


def test_too_large_a_certificate_is_refused_and_never_called_valid(certify, folder):
    """4,097 samples and as many hidden units: 17 million numbers, which floats hold easily."""
    case = make_case("linear", "mse", outputs=1, samples=4097)
    header, arrays = unpacked(settled_certificate(case.problem, case.bound("zero")).data)
    arrays["F0.0"], arrays["F0.1"] = np.zeros((4097, 3)), np.zeros((4097, 1))
    header["claim"]["upper"] = (1e6).hex()
    (folder / "large.cert").write_bytes(packed(header, arrays))
    assert certify("verify", "large.cert").code == 0
    run = certify("verify", "large.cert", "--exact")
    assert run.code == 5
    assert run.out == ""
    assert "[too-large-for-exact]" in run.err
    assert "without --exact" in run.err
