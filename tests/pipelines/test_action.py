"""The GitHub action: valid, and its script run as the runner runs it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests.docs.pages import ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
STEPS = ACTION["runs"]["steps"]
(SCRIPT,) = [step["run"] for step in STEPS if step.get("id") == "certify"]


def run_script(folder, **inputs):
    """Runs the step's script with bash as GitHub does; returns the process and the step's outputs."""
    outputs = folder / "outputs.txt"
    outputs.write_text("")
    environment = {
        **os.environ,
        **dict.fromkeys(("AUDIT", "MODELS", "ARGUMENTS"), ""),
        "REPORTS": "reports",
        **inputs,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_OUTPUT": str(outputs),
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_WORKSPACE": str(folder),
    }
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", SCRIPT]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done, dict(line.split("=", 1) for line in outputs.read_text().splitlines())


def test_action_is_valid():
    command = [
        sys.executable,
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        "vendor.github-actions",
        ROOT / "action.yml",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_input_is_pasted_into_a_script():
    assert all("${{" not in step.get("run", "") for step in STEPS)


def test_every_input_is_used_and_every_output_is_one_of_the_script():
    text = json.dumps(ACTION["runs"])
    assert all(f"inputs.{name}" in text for name in ACTION["inputs"])
    written = re.findall(r"steps\.certify\.outputs\.([a-z-]+)", json.dumps(ACTION["outputs"]))
    assert written == list(ACTION["outputs"])


@pytest.fixture(scope="module")
def poor(tmp_path_factory):
    """A run on one model that is optimal and one that is not."""
    folder = tmp_path_factory.mktemp("action") / "a folder"
    (folder / "models").mkdir(parents=True)
    for name in ("certified/linnerud-linear-csv", "improvable/linnerud-linear-other-weight-decay"):
        source = ROOT / "fixtures" / name
        target = folder / "models" / source.name
        target.mkdir()
        for path in source.iterdir():
            (target / path.name).write_bytes(path.read_bytes())
    return folder, *run_script(folder, MODELS="models/*/model.pt\n", ARGUMENTS="--seed 1")


def test_script_passes_the_exit_code_on(poor):
    _, done, outputs = poor
    assert done.returncode == 1, done.stderr
    assert outputs["exit-code"] == "1"


def test_script_names_the_reports_it_wrote(poor):
    _, _, outputs = poor
    assert set(outputs) == set(ACTION["outputs"])
    assert [entry["verdict"] for entry in json.loads(Path(outputs["json"]).read_text())] == ["certified", "improvable"]
    assert [entry["environment"]["seed"] for entry in json.loads(Path(outputs["json"]).read_text())] == [1, 1]
    assert ElementTree.parse(outputs["junit"]).getroot().get("failures") == "1"
    assert json.loads(Path(outputs["sarif"]).read_text())["version"] == "2.1.0"
    assert Path(outputs["html"]).read_text().startswith("<!doctype html>")


def test_annotations_come_after_what_the_runner_must_not_read(poor):
    folder, done, _ = poor
    lines = done.stdout.splitlines()
    token = lines[0].removeprefix("::stop-commands::")
    end = lines.index(f"::{token}::")
    assert any(line.startswith("certified ") for line in lines[:end])
    assert lines[end + 1].startswith("::error file=models/linnerud-linear-other-weight-decay/model.pt,line=1,")
    assert (folder / "summary.md").read_text().startswith("### certify: 2 models")


def test_script_audits_and_annotates_the_line_of_the_audit_file(poor):
    folder, *_ = poor
    known = "  - {path: models/linnerud-linear-other-weight-decay/model.pt, name: known, expect: improvable}"
    lines = ["schema: certify.audit/1", "models:", "  - path: models/*/model.pt", known, "  - path: absent.pt"]
    (folder / "audit.yaml").write_text("\n".join(lines))
    done, outputs = run_script(folder, AUDIT="audit.yaml", REPORTS="audited")
    assert (done.returncode, outputs["exit-code"]) == (2, "2"), done.stderr
    places = re.findall(r"^::error file=audit.yaml,line=(\d+),col=5,title=certify%3A (\w+)", done.stdout, re.MULTILINE)
    assert places == [("3", "improvable"), ("5", "failed")]
    (run,) = json.loads(Path(outputs["sarif"]).read_text())["runs"]
    assert [found["locations"][0]["physicalLocation"]["region"]["startLine"] for found in run["results"]] == [3, 5]
    assert json.loads(Path(outputs["json"]).read_text())["schema"] == "certify.audit-result/1"
    root = ElementTree.parse(outputs["junit"]).getroot()
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("4", "1", "1")
    assert "as the audit expects" in Path(outputs["html"]).read_text()


@pytest.mark.parametrize("inputs", [{}, {"MODELS": "absent.pt"}, {"MODELS": "$(touch broken)", "ARGUMENTS": "--what"}])
def test_what_cannot_run_fails_with_an_annotation(inputs, tmp_path):
    done, outputs = run_script(tmp_path, **inputs)
    assert done.returncode == 2
    assert outputs["exit-code"] == "2"
    assert "\n::error " in done.stdout
    assert not (tmp_path / "broken").exists()
