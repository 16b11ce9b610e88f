"""Results as JUnit XML: one suite per model, since only suites may carry properties in the common schema.

Improvable is a failure. Undecided is an error, as nothing was decided, and never a skip, which pipelines let pass.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from certify.reports import phrases
from certify.reports.columns import properties_of
from certify.reports.report import Entry, Report

# What XML 1.0 does not allow, even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_report(report: Report) -> str:
    """The XML document."""
    root = ElementTree.Element("testsuites", _totals(report.entries, len(report.left_out)), name="certify")
    for entry in report.entries:
        root.append(_suite(entry))
    for name in report.left_out:
        root.append(_left_out(_clean(name)))
    ElementTree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(root, encoding="unicode")}\n'


def _totals(entries: tuple[Entry, ...], left_out: int = 0) -> dict[str, str]:
    kinds = [_kind(entry) for entry in entries]
    return {
        "tests": str(len(entries) + left_out),
        "failures": str(kinds.count("failure")),
        "errors": str(kinds.count("error") + left_out),
        "time": f"{sum(entry.seconds for entry in entries):.3f}",
    }


def _suite(entry: Entry) -> ElementTree.Element:
    name = _clean(entry.name)
    suite = ElementTree.Element("testsuite", {"name": name, **_totals((entry,)), "skipped": "0"})
    suite.set("file", _clean(entry.place.path))
    properties = ElementTree.SubElement(suite, "properties")
    for key, value in properties_of(entry).items():
        ElementTree.SubElement(properties, "property", name=key, value=_clean(value))
    seconds = f"{entry.seconds:.3f}"
    case = ElementTree.SubElement(suite, "testcase", name=name, classname="certify", time=seconds)
    kind = _kind(entry)
    if kind:
        problem = ElementTree.SubElement(case, kind, type=_type(entry), message=_clean(phrases.finding(entry)))
        problem.text = _clean(_text(entry))
    else:
        ElementTree.SubElement(case, "system-out").text = _clean(phrases.headline(entry))
    return suite


def _left_out(name: str) -> ElementTree.Element:
    """A suite of one error, so that an early end never looks complete."""
    suite = ElementTree.Element("testsuite", {"name": name, **_totals((), 1), "skipped": "0"})
    case = ElementTree.SubElement(suite, "testcase", name=name, classname="certify")
    ElementTree.SubElement(case, "error", type="left-out", message=phrases.LEFT_OUT)
    return suite


def _kind(entry: Entry) -> str:
    if entry.passed:
        return ""
    return "failure" if entry.state in ("improvable", "certified") else "error"


def _type(entry: Entry) -> str:
    return entry.reason if entry.result is None else f"{entry.state}/{entry.reason}"


def _text(entry: Entry) -> str:
    lines = [phrases.headline(entry)]
    if entry.result:
        lines.append(f"gap parts: {phrases.parts(entry.result)}")
        lines.extend(f"note: {note}" for note in phrases.remarks(entry.result))
    return "\n".join([*lines, f"what to do: {phrases.advice(entry)}"])


def _clean(text: str) -> str:
    """Text without characters that XML cannot hold; each becomes the replacement character."""
    return _FORBIDDEN.sub("\ufffd", text)
