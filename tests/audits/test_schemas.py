"""The published schemas are fresh, and judge files as certify does."""

import json
import runpy

import jsonschema
import pytest

from certify.audits.plan import load_plan
from certify.errors import UsageError
from certify.models.spec.problem_file import load_problem_file
from certify.models.spec.yaml_document import load_yaml
from tests.docs.pages import ROOT

BUILDER = runpy.run_path(str(ROOT / "docs" / "build_schemas.py"))
audit_schema, problem_schema = BUILDER["audit_schema"], BUILDER["problem_schema"]
PROBLEM = "schema: certify.problem/1\nmodel: {path: m.pt}\ndata: {path: d.npz}\npenalty: {weight_decay: 1}\n"
AUDIT = "schema: certify.audit/1\n"


def accepted_by_schema(schema, path):
    return jsonschema.Draft202012Validator(schema).is_valid(load_yaml(path, "file").content)


@pytest.mark.parametrize("name", BUILDER["SCHEMAS"])
def test_a_schema_is_fresh_and_is_one(name):
    schema = BUILDER["SCHEMAS"][name]()
    jsonschema.Draft202012Validator.check_schema(schema)
    found = (BUILDER["FOLDER"] / name).read_text(encoding="utf-8")
    assert found == BUILDER["text_of"](schema), "stale; run: python docs/build_schemas.py"
    assert json.loads(found) == schema


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("model: {path: m.pt}", "model: {path: m.pt, layers: [{linear: a}, relu, {linear: 2}]}"),
        ("weight_decay: 1", "product_of_norms: {strength: 2, powers: [2, 1]}"),
        ("data: {path: d.npz}", "data: {path: d.csv, inputs: [a, b], targets: y}"),
        ("data: {path: d.npz}", "data: {inputs: a.npy, targets: b.npy}"),
        ("penalty", "loss: {name: huber, scale: 0.5}\nbudget: {seconds: 5}\nskip: free\npenalty"),
        ("weight_decay: 1", "weight_decay: 0"),
        ("weight_decay: 1", "weight_decay: x"),
        ("weight_decay: 1", "weight_decai: 1"),
        ("weight_decay: 1", "weight_decay: 1, product_of_norms: {strength: 2}"),
        ("penalty: {weight_decay: 1}", "penalty: {}"),
        ("penalty: {weight_decay: 1}", ""),
        ("path: m.pt", "pat: m.pt"),
        ("path: m.pt", "path: m.pt, layers: [3]"),
        ("problem/1", "problem/2"),
        ("penalty", "loss: {name: mes}\npenalty"),
        ("penalty", "loss: {reduction: median}\npenalty"),
        ("penalty", "tolerance: {relative_gap: -1}\npenalty"),
        ("penalty", "budget: {seconds: 0}\npenalty"),
        ("penalty", "biases: {hidden: no}\npenalty"),
        ("data: {path: d.npz}", "data: {path: d.csv, inputs: 3}"),
    ],
)
def test_problems_are_judged_alike(old, new, tmp_path):
    path = tmp_path / "p.problem.yaml"
    path.write_text(PROBLEM.replace(old, new, 1) if old else PROBLEM)
    try:
        load_problem_file(path)
        valid = True
    except UsageError:
        valid = False
    assert accepted_by_schema(problem_schema(), path) == valid


INLINE = "problem: {data: {path: d}, penalty: {weight_decay: 1}"


@pytest.mark.parametrize(
    "text",
    [
        "models: [{path: a.pt}]",
        "models: [{path: a.pt, " + INLINE + "}}]",
        "defaults: {" + INLINE + "}, expect: any}\nmodels: [{path: a.pt, name: x, max_relative_gap: 0.1}]",
        "matrix: {wd: [1, 2], name: [a, b]}\nexclude: [x.pt, {wd: 1}]\nmodels: [{path: '${matrix.name}.pt'}]",
        "matrix: {gap: [0.1]}\nmodels: [{path: a.pt, tolerance: {relative_gap: '${matrix.gap}'}}]",
        "models: [{path: a.pt, problem: p.yaml, limits: {seconds: 5, memory_gib: 2}, device: 'cuda:0'}]",
        "models: [{path: a.pt, " + INLINE + ", model: {layers: [relu]}}}]",
        "models: []",
        "modells: [{path: a}]",
        "models: [{pat: a}]",
        "models: [{path: a, expect: good}]",
        "models: [{path: a, max_relative_gap: -1}]",
        "models: [{path: a, limits: {second: 1}}]",
        "models: [{path: a, matrix: {x: []}}]",
        "models: [{path: a, matrix: {x: 1}}]",
        "models: [{path: a, problem: 3}]",
        "models: [{path: a, " + INLINE + ", los: {}}}]",
        "models: [{path: a, " + INLINE + ", loss: {name: mes}}}]",
        "defaults: {expect: x}\nmodels: [{path: a}]",
        "defaults: {path: x}\nmodels: [{path: a}]",
    ],
)
def test_audits_are_judged_alike(text, tmp_path):
    path = tmp_path / "audit.yaml"
    path.write_text(AUDIT + text)
    try:
        load_plan(path, allow_empty=True)
        valid = True
    except UsageError:
        valid = False
    assert accepted_by_schema(audit_schema(), path) == valid


def test_editors_are_told_what_keys_mean():
    entry = audit_schema()["$defs"]["Entry"]["properties"]
    assert all(value.get("description") for value in entry.values())
    assert all("description" in value or "$ref" in value for value in problem_schema()["properties"].values())
