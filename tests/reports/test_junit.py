"""JUnit XML that the Jenkins schema accepts and that parsers read as meant."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema
from junitparser import Error, JUnitXml

from certify.reports.result_junit import junit_report
from tests.reports.examples import CERTIFIED, HOSTILE, IMPROVABLE, entry, hostile, mixed, report

SCHEMA = xmlschema.XMLSchema(Path(__file__).parent / "schemas" / "junit-10.xsd")


@pytest.mark.parametrize("made", [mixed(), hostile(), report()], ids=["mixed", "hostile", "empty"])
def test_report_is_valid(made):
    SCHEMA.validate(ElementTree.fromstring(junit_report(made)))


def test_only_certified_models_pass_and_none_is_skipped():
    cases = {case.name: case for suite in JUnitXml.fromstring(junit_report(mixed()).encode()) for case in suite}
    kinds = {name: [(type(found).__name__, found.type) for found in case.result] for name, case in cases.items()}
    assert kinds == {
        "certified.pt": [],
        "randomized.pt": [],
        "improvable.pt": [("Failure", "improvable/missing-subnetwork")],
        "undecided.pt": [("Error", "undecided/bound-too-loose")],
        "unbounded.pt": [("Error", "undecided/numerical")],
        "nan.pt": [("Error", "non-finite")],
        "sigmoid.pt": [("Error", "not-homogeneous")],
    }


def test_totals_agree_with_the_cases():
    root = ElementTree.fromstring(junit_report(mixed()))
    for node in (root, *root.iter("testsuite")):
        assert int(node.get("tests")) == len(list(node.iter("testcase")))
        assert int(node.get("failures")) == len(list(node.iter("failure")))
        assert int(node.get("errors")) == len(list(node.iter("error")))


def test_properties_hold_the_numbers_in_full_precision():
    third = replace(CERTIFIED, objective=1 / 3)
    root = ElementTree.fromstring(junit_report(report(entry("a.pt", third))))
    found = {node.get("name"): node.get("value") for node in root.iter("property")}
    assert float(found["objective"]) == 1 / 3
    assert found["proof"] == "rigorous"
    assert "failure_probability" not in found


def test_a_failure_says_what_to_do_and_notes():
    text = next(ElementTree.fromstring(junit_report(report(entry("a.pt", IMPROVABLE)))).iter("failure")).text
    assert "the better model is in better.pt" in text.lower()
    assert IMPROVABLE.notes[0] in text


def test_an_expectation_that_is_met_passes_and_one_that_is_not_fails():
    met, unmet = entry("a", IMPROVABLE, exit_code=0), entry("b", CERTIFIED, exit_code=1, unmet="expected improvable")
    root = ElementTree.fromstring(junit_report(report(met, unmet)))
    first, second = root.iter("testcase")
    assert first.find("failure") is None
    assert second.find("failure").get("message").startswith("expected improvable")


def test_models_that_were_left_out_are_errors():
    made = report(entry("a", CERTIFIED), left_out=("b", "c"))
    suites = {suite.name: [case.result for case in suite] for suite in JUnitXml.fromstring(junit_report(made).encode())}
    assert [type(found) for (result,) in (suites["b"], suites["c"]) for found in result] == [Error, Error]


def test_names_come_back_where_xml_can_hold_them():
    names = [node.get("name") for node in ElementTree.fromstring(junit_report(hostile())).iter("testcase")]
    assert HOSTILE[0] in names
    assert HOSTILE[5] in names
