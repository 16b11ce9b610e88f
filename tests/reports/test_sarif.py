"""SARIF that its schema accepts, with alerts that stay the same alerts."""

import json
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from jsonschema import Draft202012Validator

from certify.reports.explanations import EXPLANATIONS
from certify.reports.report import Place
from certify.reports.result_sarif import sarif_report
from tests.reports.examples import CERTIFIED, IMPROVABLE, UNDECIDED, entry, hostile, mixed, report

SCHEMA = json.loads((Path(__file__).parent / "schemas" / "sarif-2.1.0.json").read_text(encoding="utf-8"))


def run_of(made):
    (run,) = json.loads(sarif_report(made))["runs"]
    return run


def fingerprints(made):
    return {tuple(sorted(result["partialFingerprints"].items())) for result in run_of(made)["results"]}


def test_schema_refuses_what_is_not_sarif():
    assert not Draft202012Validator(SCHEMA).is_valid({"version": "2.1.0", "runs": [{"tool": {}}]})


@pytest.mark.parametrize("made", [mixed(), hostile(), report()], ids=["mixed", "hostile", "empty"])
def test_report_is_valid(made):
    checker = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
    assert list(checker.iter_errors(json.loads(sarif_report(made)))) == []


def test_findings_are_the_models_that_do_not_pass():
    results = run_of(mixed())["results"]
    assert [(result["ruleId"], result["level"]) for result in results] == [
        ("missing-subnetwork", "error"),
        ("bound-too-loose", "warning"),
        ("numerical", "warning"),
        ("non-finite", "error"),
        ("not-homogeneous", "error"),
    ]


def test_every_finding_has_its_rule_with_the_explanation():
    run = run_of(mixed())
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        rule = rules[result["ruleIndex"]]
        assert rule["id"] == result["ruleId"]
        assert EXPLANATIONS[rule["id"]].remedy in rule["help"]["text"]


def test_findings_point_at_the_line_of_the_audit_file():
    found = [result["locations"][0]["physicalLocation"] for result in run_of(mixed())["results"]]
    assert [place["region"]["startLine"] for place in found] == [6, 7, 8, 9, 10]
    assert {place["artifactLocation"]["uri"] for place in found} == {"audit.yaml"}


def test_paths_are_encoded_as_uris():
    moved = replace(entry("a", IMPROVABLE), place=Place("my models/ü #1.yaml", 2))
    (result,) = run_of(report(moved))["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert "#" not in uri
    assert " " not in uri
    assert unquote(uri) == "my models/ü #1.yaml"


def test_an_alert_stays_the_same_when_lines_numbers_and_order_change():
    before = report(entry("a", IMPROVABLE, 3), entry("b", UNDECIDED, 4))
    closer = replace(IMPROVABLE, objective=0.9, lower_bound=0.5, message="less")
    after = report(entry("b", UNDECIDED, 11), entry("a", closer, 12), entry("c", CERTIFIED))
    assert fingerprints(before) == fingerprints(after)


def test_other_models_and_other_reasons_are_other_alerts():
    made = report(entry("a", IMPROVABLE), entry("b", IMPROVABLE), entry("a2", replace(IMPROVABLE, reason="unbalanced")))
    assert len(fingerprints(made)) == 3


def test_a_run_that_ended_early_was_not_successful():
    assert run_of(report(entry("a", CERTIFIED)))["invocations"][0]["executionSuccessful"]
    early = run_of(report(entry("a", CERTIFIED), left_out=("b",)))["invocations"][0]
    assert not early["executionSuccessful"]
    assert early["toolExecutionNotifications"][0]["message"]["text"].startswith("b: not checked")
