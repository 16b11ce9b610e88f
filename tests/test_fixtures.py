"""Every folder of fixtures/ is checked because it is there; the folder above it names the verdict."""

import json
import math
from pathlib import Path

import pytest
from click.testing import CliRunner

from certify.cli.main import cli
from tests.reference_objective import objective_of_file

FIXTURES = Path(__file__).parent.parent / "fixtures"
CERTIFICATE = "proof.cert"
LINKABLE = (".pt", ".safetensors", ".npz")
EXIT_CODES = {"certified": 0, "improvable": 1, "undecided": 3}
KEYS = {
    "": (
        "schema tool verdict reason message objective lower_bound best_known gap tolerance achieved_share proof "
        "estimate failure_probability polar gap_breakdown descent model data certificate seconds environment"
    ),
    "tool": "name version",
    "gap": "absolute relative",
    "tolerance": "relative_gap absolute_gap",
    "polar": "lower upper method",
    "gap_breakdown": "unbalanced not_stationary missing_subnetwork unexplained",
    "model": "path sha256 family degree subnetworks parameters",
    "data": "path sha256 samples inputs outputs",
    "seconds": "load objective bound verify total",
    "environment": "device torch seed",
}
NUMBERS = ("objective", "lower_bound", "best_known")


def fixtures_of(*verdicts):
    folders = [folder for verdict in verdicts for folder in sorted((FIXTURES / verdict).iterdir()) if folder.is_dir()]
    return [pytest.param(folder, id=f"{folder.parent.name}/{folder.name}") for folder in folders]


def slow_if_long(param):
    """Exact arithmetic takes long over the trees of these."""
    long = param.values[0].name in ("diabetes-relu-wd0.1", "diabetes-leaky-relu", "digits-convolution-average-pool")
    return pytest.param(*param.values, id=param.id, marks=pytest.mark.slow) if long else param


def model_in(folder):
    return next(
        path for path in sorted(folder.glob("model.*")) if path.suffix in (".pt", ".pt2", ".safetensors", ".npz")
    )


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    """Runs the check of a folder once: exit code, result and where the better model may be, beside the certificate."""
    runs = {}

    def check(folder):
        if folder not in runs:
            better = tmp_path_factory.mktemp(folder.name) / model_in(folder).name
            runs[folder] = (*run(folder, better), better)
        return runs[folder]

    return check


def run(folder, better=None):
    arguments = ["check", str(model_in(folder)), "--format", "json", "--device", "cpu", "--threads", "1"]
    if better is not None:
        arguments += ["--output-model", str(better), "--certificate", str(better.parent / CERTIFICATE)]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert done.exception is None, done.exception
    return done.return_value, json.loads(done.stdout)


@pytest.mark.parametrize("folder", fixtures_of("certified", "improvable", "undecided"))
def test_verdict_is_the_name_of_the_folder(folder, checked):
    code, result, _ = checked(folder)
    assert result["verdict"] == folder.parent.name, f"{result['reason']}: {result['message']}"
    assert code == EXIT_CODES[folder.parent.name]


@pytest.mark.parametrize("folder", fixtures_of("certified", "improvable", "undecided"))
def test_result_is_complete_finite_and_consistent(folder, checked):
    _, result, _ = checked(folder)
    for section, keys in KEYS.items():
        found = result[section] if section else result
        assert set(keys.split()) <= set(found), section or "top level"
    sections = [result[name] for name in ("gap", "tolerance", "gap_breakdown", "seconds")]
    numbers = [result[name] for name in NUMBERS] + [value for section in sections for value in section.values()]
    assert all(isinstance(number, int | float) and math.isfinite(number) for number in numbers)
    assert result["lower_bound"] <= result["best_known"] <= result["objective"]
    if result["estimate"] is not None:
        assert result["lower_bound"] <= result["estimate"]["objective"] <= result["best_known"]
        assert result["estimate"]["relative_gap"] >= 0
    assert all(part >= 0 for part in result["gap_breakdown"].values())
    gap = result["gap"]["absolute"]
    assert gap == pytest.approx(result["objective"] - result["lower_bound"], abs=1e-15 * abs(result["objective"]))
    assert math.fsum(result["gap_breakdown"].values()) == pytest.approx(gap, rel=1e-9, abs=1e-14)
    assert result["polar"]["lower"] <= result["polar"]["upper"]
    assert result["achieved_share"] is None or 0 <= result["achieved_share"] <= 1


@pytest.mark.parametrize("folder", fixtures_of("certified", "improvable", "undecided"))
def test_objective_equals_that_of_plain_torch(folder, checked):
    _, result, _ = checked(folder)
    assert result["objective"] == pytest.approx(objective_of_file(folder / "model.problem.yaml"), rel=1e-9)


@pytest.mark.parametrize("folder", fixtures_of("certified"))
def test_certified_gap_is_within_the_tolerance(folder, checked):
    _, result, better = checked(folder)
    assert result["gap"]["relative"] <= result["tolerance"]["relative_gap"]
    assert result["reason"] == "gap-closed"
    assert result["descent"] is None
    assert not better.exists()


@pytest.mark.parametrize("folder", fixtures_of("certified"))
def test_certified_result_states_the_strength_of_its_proof(folder, checked):
    _, result, _ = checked(folder)
    assert result["proof"] in ("rigorous", "randomized")


@pytest.mark.parametrize("folder", [slow_if_long(param) for param in fixtures_of("certified")])
def test_certificate_holds_in_exact_arithmetic_and_against_the_files(folder, checked):
    _, result, better = checked(folder)
    arguments = ["verify", str(better.parent / CERTIFICATE), "--exact", "--format", "json"]
    # The checker reads weights with listed layers itself; programs it does not.
    links = {"--data": next(folder.glob("train.*"))}
    links |= {"--model": model_in(folder)} if model_in(folder).suffix in LINKABLE else {}
    arguments += [word for flag, path in links.items() for word in (flag, str(path))]
    done = CliRunner().invoke(cli, arguments, standalone_mode=False)
    verified = json.loads(done.stdout)
    assert (done.return_value, verified["status"]) == (0, "valid")
    # No file holds the features of a head, and the checker says so.
    assert verified["model_compared"] == ("--model" in links)
    whole = result["scope"] == "model" and "--model" in links
    assert verified["message"] is None if whole else "checked" in verified["message"]
    assert verified["certified"]
    assert verified["arithmetic"] == "exact"
    assert verified["objective_upper"] == result["objective"]
    assert verified["optimum_lower"] == result["lower_bound"]


@pytest.mark.parametrize("folder", fixtures_of("improvable"))
def test_better_model_is_better_in_plain_torch_too(folder, checked):
    _, result, better = checked(folder)
    descent = result["descent"]
    after = objective_of_file(folder / "model.problem.yaml", better)
    before = objective_of_file(folder / "model.problem.yaml")
    assert descent["model_path"] == str(better)
    assert after == pytest.approx(descent["objective_after"], rel=1e-9)
    assert before - after > result["tolerance"]["relative_gap"] * abs(before)
    assert descent["decrease"] == pytest.approx(before - after, rel=1e-6)


@pytest.mark.parametrize("folder", fixtures_of("refused"))
def test_refusal_has_the_expected_exit_and_reason_codes(folder, capfd):
    code, result = run(folder)
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert {"exit": code, "reason": result["reason"]} == expected
    assert result["verdict"] is None
    assert str(folder.name) in result["message"] or result["reason"] == "degree-mismatch"
    assert "ran code" not in "".join(capfd.readouterr())


def test_every_fixture_is_small_and_has_a_problem_file():
    folders = [case.values[0] for case in fixtures_of("certified", "improvable", "undecided", "refused")]
    assert len(folders) >= 25
    for folder in folders:
        assert (folder / "model.problem.yaml").is_file(), folder
        assert sum(path.stat().st_size for path in folder.iterdir()) < 1_000_000, folder
