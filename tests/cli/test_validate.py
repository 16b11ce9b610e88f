"""`certify validate` names every fault of every file, and reads nothing but the files."""

import json
import subprocess
import sys

import pytest


def test_valid_files_exit_with_0_though_model_and_data_are_absent(certify, folder):
    (folder / "poor.pt").unlink()
    (folder / "train.npz").unlink()
    run = certify("validate", "optimal.problem.yaml", "poor.problem.yaml")
    assert (run.code, run.err) == (0, "")
    assert run.out.splitlines() == [f"{name}.problem.yaml: valid certify.problem/1" for name in ("optimal", "poor")]


def test_quiet_prints_faults_only(certify, folder):
    assert certify("validate", "--quiet", "poor.problem.yaml").out == ""


def test_one_bad_file_does_not_hide_another(certify, folder):
    (folder / "a.yaml").write_text("schema: certify.problem/1\nbugdet: {}\n")
    (folder / "b.yaml").write_text("[")
    run = certify("validate", "a.yaml", "absent.yaml", "poor.problem.yaml", "b.yaml")
    assert run.code == 2
    assert "a.yaml:2:1: bugdet: unknown key" in run.err
    assert "absent.yaml" in run.err
    assert "b.yaml:2" in run.err
    assert "poor.problem.yaml: valid" in run.out


@pytest.mark.parametrize("text", ["- 1", "schema: 3", "schema: certify.problem/2", "schema: [1]", "model: {}"])
def test_a_file_of_no_known_schema_is_told_which_are(text, certify, folder):
    (folder / "a.yaml").write_text(text)
    run = certify("validate", "a.yaml")
    assert run.code == 2
    assert "certify.problem/1" in run.err


def test_torch_is_not_imported(folder):
    code = (
        "import sys; from certify.workflows.validate import validate; validate('poor.problem.yaml'); "
        "sys.exit('torch' in sys.modules or 'cvxpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_verify_takes_several_certificates_and_exits_with_the_gravest(certify, folder):
    certify("check", "optimal.pt", "--certificate", "good")
    (folder / "bad").write_bytes(b"no certificate")
    run = certify("verify", "good", "bad", "absent")
    assert run.code == 5
    assert "good: valid" in run.out
    assert "bad: refused" in run.out
    assert "absent" in run.err
    assert certify("verify", "good", "good", "--model", "optimal.pt").code == 2
    assert len(certify("verify", "good", "good", "--format", "json").out.splitlines()) == 2


def test_verify_demands_the_problem_of_a_file_and_judges_by_the_tolerance_given(certify, folder):
    text = (folder / "optimal.problem.yaml").read_text()
    certify("check", "optimal.pt", "--certificate", "good")
    assert certify("verify", "good", "--problem", "optimal.problem.yaml").code == 0
    for other in (
        "tolerance: {relative_gap: 0.002}",
        "penalty: {weight_decay: 0.123}",
        "data: {path: train.npz, inputs: y, targets: X}",
    ):
        key = other.partition(":")[0]
        kept = "\n".join(line for line in text.splitlines() if not line.startswith(key))
        (folder / "other.yaml").write_text(f"{kept}\n{other}\n")
        run = certify("verify", "good", "--problem", "other.yaml", "--format", "json")
        assert (run.code, json.loads(run.out)["rule"]) == (1, "problem")
    run = certify("verify", "good", "--relative-gap", "1e-12", "--format", "json")
    found = json.loads(run.out)
    assert (run.code, found["certified"], found["tolerance"]["of"]) == (0, False, "caller")
    run = certify("verify", "good", "--model", "optimal.pt", "--data", "train.npz", "--format", "json")
    assert json.loads(run.out)["compared"]["data"] == {"X": ["X"], "Y": ["y"]}


def test_audit_files_are_validated_with_the_problems_in_them(certify, folder):
    text = "schema: certify.audit/1\nmodels:\n  - path: elsewhere/*.pt\n    problem:\n      data: {path: d.npz}\n"
    (folder / "audit.yaml").write_text(text + "      penalty: {weight_decay: 1}\n")
    run = certify("validate", "audit.yaml")
    assert (run.code, run.out) == (0, "audit.yaml: valid certify.audit/1\n")
    (folder / "audit.yaml").write_text(text + "      penalty: {weight_decai: 1}\n")
    run = certify("validate", "audit.yaml")
    assert run.code == 2
    assert "audit.yaml:6:17: penalty.weight_decai: unknown key; did you mean 'weight_decay'?" in run.err
    assert "    6 |       penalty: {weight_decai: 1}\n      |                 ^\n" in run.err
