"""An audit's JSON objects come back as the results that they were written from."""

import json

import pytest

from certify.certificates.audit_result import AuditItem, AuditResult
from certify.reports.audit_report import report_of_audit, result_of
from certify.reports.formats import FORMATS
from certify.reports.result_json import error_object, result_object, to_json
from tests.reports.examples import CERTIFIED, IMPROVABLE, RANDOMIZED, UNBOUNDED, UNDECIDED


@pytest.mark.parametrize("result", [CERTIFIED, RANDOMIZED, IMPROVABLE, UNDECIDED, UNBOUNDED])
def test_a_result_survives_json(result):
    assert result_of(json.loads(to_json(result_object(result)))) == result


def audit():
    gone = error_object("b.pt", "missing-file", 2, "b.pt: no such file")
    items = (
        item("a", result_object(CERTIFIED), failure="", code=0, origin="cache"),
        item("b", gone, failure="b.pt: no such file", code=2),
        item("c", result_object(IMPROVABLE), failure="", code=0),
    )
    return AuditResult("audit.yaml", items, ("d",), 2.0, 2, notes=("1 answer is from the cache",))


def item(name, result, failure, code, origin="run"):
    values = {"expect": "any", "exit_code": code, "counted_code": code, "seconds": 1.0, "origin": origin}
    return AuditItem(name, "audit.yaml", 4, 5, failure=failure, result=result, **values)


def test_items_become_entries():
    made = report_of_audit(audit())
    assert [(entry.name, entry.state, entry.passed, entry.origin) for entry in made.entries] == [
        ("a", "certified", True, "cache"),
        ("b", "failed", False, "run"),
        ("c", "improvable", True, "run"),
    ]
    assert made.left_out == ("d",)


def test_json_is_the_audit_and_jsonl_its_items():
    made = report_of_audit(audit())
    whole = json.loads(FORMATS["json"](made))
    assert whole["schema"] == "certify.audit-result/1"
    assert [json.loads(line) for line in FORMATS["jsonl"](made).splitlines()] == whole["results"]


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_made_and_ends_its_last_line(kind):
    text = FORMATS[kind](report_of_audit(audit()))
    assert text.endswith("\n")
    assert "improvable" in text
