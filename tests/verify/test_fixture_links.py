"""Certificates of the prover for the fixtures link to their files; and the command line on top."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from certify.bounds.ladder import trivial_bound
from certify.models.loading import Problem
from certify.models.spec.problem_file import load_problem_file
from certify.verify import verify_bytes
from certify.workflows.certificate_of import settled_certificate

from .packing import packed, unpacked

CERTIFIED = sorted(path.parent for path in Path("fixtures/certified").glob("*/model.problem.yaml"))
# The checker reads no exported program; heads have features that no file holds: `test_features`.
EXPORTED = [path for path in CERTIFIED if (path / "model.pt2").exists()]
LINKED = [path for path in CERTIFIED if path not in EXPORTED and "head" not in path.name]


def settled_fixture(folder):
    spec = load_problem_file(str(folder / "model.problem.yaml"))
    problem = Problem.from_files(spec)
    return spec, settled_certificate(problem, trivial_bound(problem.objective))


@pytest.mark.parametrize("folder", EXPORTED, ids=lambda path: path.name)
def test_a_model_that_the_checker_cannot_read_is_not_taken_for_the_certificates(folder):
    spec, settled = settled_fixture(folder)
    assert verify_bytes(settled.data, None, (spec.data.path.read_bytes(),)).status == "valid"
    assert verify_bytes(settled.data, spec.model.path.read_bytes()).rule == "model-link"


@pytest.mark.parametrize("folder", LINKED, ids=lambda path: path.name)
def test_fixtures_link_to_their_files(folder):
    spec, settled = settled_fixture(folder)
    model, data = spec.model.path.read_bytes(), spec.data.path.read_bytes()
    verdict = verify_bytes(settled.data, model, (data,))
    assert verdict.status == "valid", verdict.message
    assert verdict.model_linked
    assert verdict.data_linked
    assert not verdict.message
    assert verify_bytes(settled.data, model + b"\0", (data,)).rule == "model-digest"
    assert verify_bytes(settled.data, model, (data + b"\0",)).rule == "data-digest"


@pytest.mark.parametrize("folder", LINKED[:2], ids=lambda path: path.name)
def test_values_that_are_not_those_of_the_files_are_found_behind_right_digests(folder):
    spec, settled = settled_fixture(folder)
    model, data = spec.model.path.read_bytes(), spec.data.path.read_bytes()
    for name in ("F0.0", "X", "Y"):
        header, arrays = unpacked(settled.data)
        arrays[name].flat[0] = np.nextafter(arrays[name].flat[0], 0.5)
        header["claim"].update(upper=(2.0**100).hex(), lower=(-(2.0**100)).hex())
        verdict = verify_bytes(packed(header, arrays), model, (data,))
        assert verdict.rule in ("model-link", "data-link", "targets")


def test_without_files_the_verdict_says_what_was_not_checked():
    _, settled = settled_fixture(LINKED[0])
    assert "only the claim about the arrays" in verify_bytes(settled.data).message


def run(*arguments):
    command = [sys.executable, "-c", "from certify.cli.main import main; main()", "verify", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_speaks_in_exit_codes_text_and_json(tmp_path):
    spec, settled = settled_fixture(LINKED[0])
    path = tmp_path / "c.certificate"
    path.write_bytes(settled.data)
    done = run(path, "--model", spec.model.path, "--data", spec.data.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "compared with the data file: X = X; Y = y" in done.stdout
    done = run(path, "--format", "json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["status"], found["model_compared"]) == (0, "valid", False)
    assert found["objective_upper"] == settled.verdict.upper
    path.write_bytes(settled.data[:-1])
    done = run(path)
    assert done.returncode == 5
    assert "digest" in done.stdout
    header, arrays = unpacked(settled.data)
    header["claim"]["lower"] = (100.0).hex()
    path.write_bytes(packed(header, arrays))
    done = run(path, "--format", "json")
    assert (done.returncode, json.loads(done.stdout)["rule"]) == (1, "dual-value")
    assert run(tmp_path / "none").returncode == 2
