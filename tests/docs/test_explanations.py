"""Every code that certify can raise or report has an explanation, found by reading the source."""

import ast
import inspect
from typing import get_args

import pytest

from certify.certificates.result import Verdict
from certify.certificates.verdict import reason_of
from certify.reports.explanations import EXPLANATIONS
from tests.docs.pages import ROOT

ERRORS = {"CertifyError", "UsageError", "UnsupportedError", "RefusedError"}
CONTRACT = {"not-homogeneous", "degree-mismatch", "loss-not-convex", "unknown-layer", "numerical"}


def codes_in_source():
    found = set()
    for path in sorted((ROOT / "certify").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found |= _codes(node)
    return found


def _codes(node):
    if isinstance(node, ast.AnnAssign | ast.Assign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        named = any(isinstance(target, ast.Name) and target.id == "default_code" for target in targets)
        return _strings(node.value) if named else set()
    if not isinstance(node, ast.Call):
        return set()
    given = [keyword.value for keyword in node.keywords if keyword.arg == "code"]
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name in ERRORS or name.endswith("Error"):
        given += node.args[1:2]
    if name == "Obstacle":
        given += node.args[:1]
    return {code for value in given for code in _strings(value)}


def _strings(value):
    if value is None:
        return set()
    return {
        part.value
        for part in ast.walk(value)
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value
    }


def reported_reasons():
    """Every string in the source of the rule, but for its docstring, annotations' and verdicts' names."""
    (body,) = ast.parse(inspect.getsource(reason_of)).body
    documentation = {ast.get_docstring(body, clean=False)}
    return _strings(body) - documentation - set(get_args(Verdict))


def test_source_has_codes_to_explain():
    assert {"gap-closed", "missing-subnetwork", "budget"} <= reported_reasons()
    assert {"shape-mismatch", "unsafe-file", "internal"} <= codes_in_source()


@pytest.mark.parametrize("code", sorted(codes_in_source() | reported_reasons() | CONTRACT))
def test_code_is_explained(code):
    entry = EXPLANATIONS[code]
    assert entry.title
    assert entry.meaning.endswith(".")
    assert entry.remedy.endswith(".")


def test_nothing_is_explained_that_cannot_happen():
    assert set(EXPLANATIONS) <= codes_in_source() | reported_reasons() | CONTRACT
