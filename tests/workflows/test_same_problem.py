"""A certificate is about a problem if and only if everything that it states is equal."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest

import certify
from certify.models.spec.problem_file import load_problem_file
from certify.verify.container import read_container
from certify.workflows.check import CheckOptions, run_check
from certify.workflows.same_problem import differences
from tests.verify.packing import packed

FIXTURE = Path(__file__).parents[2] / "fixtures" / "certified" / "diabetes-relu-wd0.3"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The problem of a fixture, and its certificate."""
    folder = tmp_path_factory.mktemp("same") / "fixture"
    shutil.copytree(FIXTURE, folder)
    problem = certify.Problem.from_files(load_problem_file(next(folder.glob("*.yaml"))))
    return problem, run_check(problem, CheckOptions()).certificate


def changed(value):
    """Another value of the same kind."""
    if isinstance(value, dict):
        key = next(iter(value))
        return value | {key: changed(value[key])}
    if isinstance(value, list):
        return [*value, value[-1]] if value else [1]
    return {True: False, False: True, None: "0" * 64}.get(value, "0" * 64)


def test_its_own_problem_is_the_same(made):
    problem, certificate = made
    assert differences(certificate, problem) == ""


def test_every_key_of_the_statement_counts(made):
    problem, certificate = made
    header, arrays = read_container(certificate)
    for key in header["statement"]:
        other = copy.deepcopy(dict(header))
        other["statement"][key] = changed(other["statement"][key])
        assert key in differences(packed(other, arrays), problem)


def test_every_array_but_those_of_the_proof_counts(made):
    problem, certificate = made
    header, arrays = read_container(certificate)
    for name in arrays:
        values = arrays[name].copy()
        values.flat[0] = np.nextafter(values.flat[0], 1e300) if values.dtype == float else values.flat[0] ^ 1
        found = differences(packed(header, dict(arrays) | {name: values}), problem)
        assert (f"array '{name}'" in found) == (name != "A" and not name.startswith("P"))


def test_another_model_file_is_another_problem(made):
    problem, certificate = made
    header, arrays = read_container(certificate)
    other = dict(header) | {"sources": dict(header["sources"]) | {"model": "0" * 64}}
    assert "model file" in differences(packed(other, arrays), problem)
