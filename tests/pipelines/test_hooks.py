"""The pre-commit hooks, run by pre-commit itself from a repository that holds them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pre_commit.clientlib import load_manifest

from tests.docs.pages import ROOT

MANIFEST = ROOT / ".pre-commit-hooks.yaml"
PROBLEM = ROOT / "fixtures" / "certified" / "linnerud-linear-csv" / "model.problem.yaml"
GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]


def repository(path, files):
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*GIT, *command], cwd=path, check=True)
    return path


@pytest.fixture
def hook(tmp_path):
    """Runs one hook on all files of a new repository; returns exit code and output."""
    hooks = repository(tmp_path / "hooks", {".pre-commit-hooks.yaml": MANIFEST.read_bytes()})

    def run(name, files):
        checked = repository(tmp_path / "checked", files)
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        environment |= {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "PRE_COMMIT_HOME": str(tmp_path / "home"),
        }
        command = [sys.executable, "-m", "pre_commit", "try-repo", hooks, name, "--all-files", "--verbose"]
        done = subprocess.run(command, cwd=checked, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def test_manifest_is_valid():
    assert [hook["id"] for hook in load_manifest(MANIFEST)] == ["certify-config", "certify-verify"]


def test_valid_problem_files_pass_and_other_files_are_left_alone(hook):
    files = {"a.problem.yaml": PROBLEM.read_bytes(), "problem.yml": PROBLEM.read_bytes(), "other.yaml": b"{"}
    code, output = hook("certify-config", files)
    assert code == 0, output
    assert "Passed" in output


def test_every_broken_problem_file_is_named(hook):
    broken = PROBLEM.read_bytes().replace(b"loss:", b"lost:")
    code, output = hook("certify-config", {"a.problem.yaml": broken, "b.problem.yaml": b"schema: what/1\n"})
    assert code == 1
    assert "a.problem.yaml:" in output
    assert "did you mean 'loss'?" in output
    assert "b.problem.yaml: has the unknown schema 'what/1'" in output


def test_audit_files_are_checked_without_their_models(hook):
    audit = b"schema: certify.audit/1\nmodels:\n  - path: models/*.pt\n"
    code, output = hook("certify-config", {"audit.yaml": audit, "x.audit.yml": audit.replace(b"path", b"paht")})
    assert code == 1
    assert "x.audit.yml:3:5" in output
    assert "\ncertify: error: audit.yaml" not in output


def test_certificates_are_verified(hook, certificate):
    code, output = hook("certify-verify", {"good.certificate": certificate})
    assert code == 0, output
    assert "good.certificate: valid" in output


def test_a_changed_certificate_fails(hook, certificate):
    position = len(certificate) // 2
    forged = certificate[:position] + bytes([certificate[position] ^ 1]) + certificate[position + 1 :]
    code, output = hook("certify-verify", {"good.certificate": certificate, "bad.certificate": forged})
    assert code == 1
    assert "bad.certificate: refused" in output
    assert "good.certificate: valid" in output


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    target = tmp_path_factory.mktemp("certificate") / "model.certificate"
    model = PROBLEM.parent / "model.pt"
    code = "from certify.cli.main import main; main()"
    command = [sys.executable, "-c", code, "check", model, "--certificate", target, "--quiet"]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    return target.read_bytes()
