"""What `certify check` writes, and where."""

import json

import pytest

from tests.cli.conftest import OPTIMUM, PROBLEM
from tests.reference_objective import objective_of_file


def test_json_on_stdout_is_one_object_and_nothing_else(certify, folder):
    run = certify("check", "optimal.pt", "--format", "json")
    result = json.loads(run.out)
    assert result["schema"] == "certify.result/1"
    assert result["verdict"] == "certified"
    assert result["objective"] == pytest.approx(OPTIMUM, rel=1e-12)
    assert OPTIMUM - 1e-6 <= result["lower_bound"] <= OPTIMUM


def test_json_of_several_models_parses(certify, folder):
    results = json.loads(certify("check", "optimal.pt", "poor.pt", "--format", "json").out)
    assert [result["verdict"] for result in results] == ["certified", "improvable"]


def test_jsonl_is_one_line_per_model_failures_included(certify, folder):
    run = certify("check", "optimal.pt", "absent.pt", "poor.pt", "--format", "jsonl")
    results = [json.loads(line) for line in run.out.splitlines()]
    assert [result["verdict"] for result in results] == ["certified", None, "improvable"]
    assert results[1]["reason"] == "missing-file"
    assert "absent.pt: no such file" in run.err


def test_markdown_is_a_table(certify, folder):
    text = certify("check", "optimal.pt", "poor.pt", "--format", "markdown").out
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert "**certified**" in lines[2]
    assert "**improvable**" in lines[3]


def test_text_opens_with_the_verdict(certify, folder):
    assert certify("check", "optimal.pt").out.startswith("certified  optimal.pt")


def test_text_of_several_models_closes_with_a_count(certify, folder):
    last = certify("check", "optimal.pt", "poor.pt", "absent.pt").out.strip().splitlines()[-1]
    assert last == "3 models: 1 certified, 1 improvable, 1 failed"


def test_errors_go_to_stderr_alone(certify, folder):
    run = certify("check", "absent.pt")
    assert run.out == ""
    assert run.err.startswith("certify: error: absent.pt")


def test_quiet_is_one_line_per_model_and_no_progress(certify, folder):
    run = certify("check", "optimal.pt", "poor.pt", "--quiet")
    assert [line.split()[:2] for line in run.out.splitlines()] == [
        ["certified", "optimal.pt"],
        ["improvable", "poor.pt"],
    ]
    assert run.err == ""


def test_verbose_shows_the_polar(certify, folder):
    assert "Ω°" in certify("check", "optimal.pt", "-v").out


@pytest.mark.parametrize("flags", [["--no-color"], []])
def test_captured_text_has_no_escape_codes(flags, certify, folder):
    assert "\x1b" not in certify("check", "optimal.pt", *flags).out


def test_output_writes_each_report_to_its_file(certify, folder):
    outputs = [f"--output={kind}=report.{kind}" for kind in ("json", "jsonl", "markdown")]
    run = certify("check", "optimal.pt", *outputs)
    assert run.out.startswith("certified")
    assert json.loads((folder / "report.json").read_text())["verdict"] == "certified"
    assert json.loads((folder / "report.jsonl").read_text())["verdict"] == "certified"
    assert (folder / "report.markdown").read_text().startswith("**1 model: 1 certified**")


@pytest.mark.parametrize("value", ["json", "json=", "=r.json", "pdf=r.pdf", "json=absent/r.json", "json=."])
def test_bad_output_is_refused_before_any_work(value, certify, folder):
    run = certify("check", "optimal.pt", "--output", value)
    assert (run.code, run.out) == (2, "")


def test_output_model_writes_the_better_model(certify, folder):
    run = certify("check", "poor.pt", "--output-model", "better.pt", "--format", "json")
    descent = json.loads(run.out)["descent"]
    assert descent["model_path"] == "better.pt"
    assert objective_of_file("poor.problem.yaml", "better.pt") == pytest.approx(descent["objective_after"], rel=1e-12)


def test_the_better_model_is_certified_in_turn(certify, folder):
    certify("check", "poor.pt", "--output-model", "better.pt")
    again = certify("check", "better.pt", "--problem", "poor.problem.yaml", "--format", "json")
    result = json.loads(again.out)
    assert again.code == 0
    assert result["model"]["path"].endswith("better.pt")
    assert result["objective"] == pytest.approx(OPTIMUM, rel=1e-3)


@pytest.mark.parametrize("suffix", ["onnx", "pt2"])
def test_the_better_model_holds_its_layers_where_the_format_does(certify, folder, suffix):
    run = json.loads(certify("check", "poor.pt", "--output-model", f"better.{suffix}", "--format", "json").out)
    problem = PROBLEM.replace(", layers: [{linear: a}, {linear: b}]", "") % f"better.{suffix}"
    (folder / f"better.{suffix}.yaml").write_text(problem)
    again = certify("check", f"better.{suffix}", "--problem", f"better.{suffix}.yaml", "--format", "json")
    assert json.loads(again.out)["objective"] == pytest.approx(run["descent"]["objective_after"], rel=1e-12)


def test_no_model_is_written_where_none_is_better(certify, folder):
    assert certify("check", "optimal.pt", "--output-model", "better.pt").code == 0
    assert not (folder / "better.pt").exists()


def test_output_model_takes_one_model_and_a_writable_path(certify, folder):
    assert certify("check", "optimal.pt", "poor.pt", "--output-model", "better.pt").code == 2
    assert certify("check", "poor.pt", "--output-model", "absent/better.pt").code == 2


def test_same_seed_gives_the_same_numbers(certify, folder):
    runs = [json.loads(certify("check", "poor.pt", "--format", "json", "--seed", "3").out) for _ in range(2)]
    assert runs[0]["lower_bound"] == runs[1]["lower_bound"]
    assert runs[0]["best_known"] == runs[1]["best_known"]
    assert runs[0]["environment"]["seed"] == 3
