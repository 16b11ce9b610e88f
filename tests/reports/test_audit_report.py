"""An audit's JSON objects come back as the results that they were written from."""

import copy
import json

import pytest

from certify.certificates.audit_result import AuditItem, AuditResult
from certify.reports.audit_report import is_whole, report_of_audit, result_of
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


ODD = (None, True, -1, 2**70, float("nan"), float("inf"), "", "\ud800", [], {}, [1], {"a": 1}, {"relative": None})


def places(value, at=()):
    """Where the values of a JSON object stand, at any depth."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield (*at, key)
        yield from places(entry, (*at, key))


def changed(value, place, entry):
    """A copy with another entry at a place, or without what is there."""
    found = part = copy.deepcopy(value)
    for key in place[:-1]:
        part = part[key]
    if entry is ...:
        del part[place[-1]]
    else:
        part[place[-1]] = entry
    return found


@pytest.mark.parametrize("written", [result_object(IMPROVABLE), error_object("b.pt", "refused-input", 5, "b.pt: no")])
def test_an_object_with_anything_odd_in_it_is_reported_or_not_whole(written):
    written = json.loads(json.dumps(written))
    assert is_whole(written)
    for place in places(written):
        for entry in (..., *ODD):
            found = changed(written, place, entry)
            if is_whole(found):
                made = report_of_audit(AuditResult("audit.yaml", (item("a", found, "", 0),), (), 1.0, 0))
                assert all(FORMATS[kind](made) for kind in FORMATS), (place, entry)
