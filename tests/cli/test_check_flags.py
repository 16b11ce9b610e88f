"""Where `certify check` takes its problem from: flags, environment, problem file."""

import json

import click
import numpy as np
import pytest
import torch

from certify.cli.main import cli

FLAGS = ["--data", "train.npz", "--loss", "mse", "--reduction", "sum", "--scale", "0.5", "--weight-decay", "1"]


def result_of(run):
    return json.loads(run.out)


def test_problem_names_another_problem_file(certify, folder):
    (folder / "elsewhere").mkdir()
    text = (folder / "optimal.problem.yaml").read_text().replace("train.npz", "../train.npz")
    (folder / "elsewhere" / "p.yaml").write_text(text)
    assert certify("check", "lone.pt", "--problem", "elsewhere/p.yaml").code == 0


def test_flags_alone_make_a_problem_where_the_file_tells_the_layers(certify, folder):
    weights = torch.load(folder / "lone.pt")
    torch.save({"0.weight": weights["a.weight"], "1.weight": weights["b.weight"]}, folder / "plain.pt")
    run = certify("check", "plain.pt", *FLAGS, "--format", "json")
    assert run.code == 0
    assert any("assumed" in note for note in result_of(run)["notes"])


@pytest.mark.parametrize("missing", ["--data", "--weight-decay"])
def test_a_flag_that_is_missing_is_named(missing, certify, folder):
    at = FLAGS.index(missing)
    run = certify("check", "lone.pt", *FLAGS[:at], *FLAGS[at + 2 :])
    assert run.code == 2
    assert missing in run.err


@pytest.mark.parametrize(
    ("flags", "at", "value"),
    [
        (["--relative-gap", "0.25"], ("tolerance", "relative_gap"), 0.25),
        (["--absolute-gap", "0.125"], ("tolerance", "absolute_gap"), 0.125),
        (["--seed", "7"], ("environment", "seed"), 7),
        (["--device", "cpu"], ("environment", "device"), "cpu"),
    ],
)
def test_a_flag_overrides_the_file(flags, at, value, certify, folder):
    assert result_of(certify("check", "optimal.pt", *flags, "--format", "json"))[at[0]][at[1]] == value


def test_weight_decay_and_scale_change_the_objective_as_they_say(certify, folder):
    # Loss 3/2 and penalty wd·3 at the given weights.
    heavier = result_of(certify("check", "optimal.pt", "--weight-decay", "2", "--format", "json"))
    assert heavier["objective"] == pytest.approx(7.5, rel=1e-12)
    scaled = result_of(certify("check", "optimal.pt", "--scale", "1", "--format", "json"))
    assert scaled["objective"] == pytest.approx(6.0, rel=1e-12)
    averaged = result_of(certify("check", "optimal.pt", "--reduction", "mean", "--format", "json"))
    assert averaged["objective"] == pytest.approx(1.5 / 9 + 3.0, rel=1e-12)


def test_another_loss_and_data_file(certify, folder):
    np.savez(folder / "other.npz", A=np.eye(3), B=np.diag([4.0, 2.0, 0.0]))
    flags = ["--data", "other.npz", "--inputs", "A", "--targets", "B", "--loss", "huber", "--format", "json"]
    # Huber at the residuals 2 and 1 is 3/2 and 1/2, halved by the file's scale; the penalty is 3.
    assert result_of(certify("check", "optimal.pt", *flags))["objective"] == pytest.approx(1.0 + 3.0, rel=1e-12)


def test_bias_flags_that_contradict_the_model_are_usage_errors(certify, folder):
    run = certify("check", "optimal.pt", "--hidden-bias", "free")
    assert run.code == 2
    assert "[bias-mismatch]" in run.err


def test_environment_sets_what_a_flag_sets(certify, folder):
    run = certify("check", "optimal.pt", env={"CERTIFY_FORMAT": "json", "CERTIFY_RELATIVE_GAP": "0.25"})
    assert result_of(run)["tolerance"]["relative_gap"] == 0.25
    run = certify("check", "optimal.pt", env={"CERTIFY_QUIET": "1", "CERTIFY_OUTPUT": "json=a.json jsonl=b.jsonl"})
    assert len(run.out.splitlines()) == 1
    assert (folder / "a.json").exists()
    assert (folder / "b.jsonl").exists()
    assert certify("check", "lone.pt", env={"CERTIFY_PROBLEM": "optimal.problem.yaml"}).code == 0


def test_a_flag_wins_over_the_environment(certify, folder):
    run = certify("check", "optimal.pt", "--relative-gap", "0.5", "--format=json", env={"CERTIFY_RELATIVE_GAP": "0.25"})
    assert result_of(run)["tolerance"]["relative_gap"] == 0.5


def test_a_bad_environment_value_is_a_usage_error(certify, folder):
    assert certify("check", "optimal.pt", env={"CERTIFY_BUDGET": "soon"}).code == 2


def test_every_flag_of_check_has_a_variable_of_its_name():
    for option in cli.commands["check"].params:
        if isinstance(option, click.Option):
            long = next(name for name in option.opts if name.startswith("--"))
            assert option.envvar == "CERTIFY_" + long[2:].upper().replace("-", "_")


@pytest.mark.parametrize("text", ["20s", "1m", "20", "20000ms", "0.01h", "2e1s"])
def test_budget_takes_units(text, certify, folder):
    assert certify("check", "optimal.pt", "--budget", text).code == 0


@pytest.mark.parametrize("text", ["0", "-1s", "10 minutes", "nan", "inf", "", "1d", "s"])
def test_bad_budgets_are_usage_errors(text, certify, folder):
    assert certify("check", "optimal.pt", f"--budget={text}").code == 2
