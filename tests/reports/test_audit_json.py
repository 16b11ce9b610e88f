"""The JSON of an audit counts what its items are, and shows each as the check left it."""

import json

from certify.certificates.audit_result import AuditItem, AuditResult
from certify.reports.audit_json import audit_object
from certify.reports.result_json import error_object, to_json

CERTIFIED = {"schema": "certify.result/1", "verdict": "certified", "gap": {"absolute": 1e-5, "relative": 1e-4}}


def item(name, result, **changes):
    values = {"expect": "certified", "failure": "", "exit_code": 0, "counted_code": 0, "origin": "run"}
    return AuditItem(name, "a.yaml", 4, 5, seconds=1.5, result=result, **(values | changes))


def test_the_summary_counts_outcomes_origins_and_failures():
    gone = error_object("b.pt", "missing-file", 2, "b.pt: no such file")
    items = (
        item("a", CERTIFIED, origin="cache"),
        item("b", gone, failure="b.pt: no such file", exit_code=2, counted_code=2),
    )
    found = json.loads(to_json(audit_object(AuditResult("a.yaml", items, ("c",), 2.0, 2))))
    assert found["schema"] == "certify.audit-result/1"
    summary = found["summary"]
    assert {key: summary[key] for key in ("items", "certified", "undecided", "improvable", "failed", "unmet")} == {
        "items": 2,
        "certified": 1,
        "undecided": 0,
        "improvable": 0,
        "failed": 1,
        "unmet": 1,
    }
    assert summary["origins"] == {"run": 1, "cache": 1, "resumed": 0}
    assert summary["left_out"] == ["c"]


def test_an_item_is_its_result_with_an_audit_block():
    (found,) = audit_object(AuditResult("a.yaml", (item("a", CERTIFIED),), (), 2.0, 0))["results"]
    block = found.pop("audit")
    assert found == CERTIFIED
    assert (block["name"], block["line"], block["column"], block["met"], block["failure"]) == ("a", 4, 5, True, None)


def test_a_result_without_a_finite_gap_has_none():
    assert item("a", {**CERTIFIED, "gap": {"absolute": None, "relative": None}}).relative_gap is None
    assert item("b", error_object("b.pt", "x", 2, "y")).relative_gap is None
