"""`certify audit` as users run it: verdicts, expectations, the cache, baselines, and items that go wrong."""

import contextlib
import hashlib
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from certify.audits.workers import Workers
from certify.reports.audit_report import result_of
from certify.reports.result_json import result_object
from certify.workflows import audit_pool, audit_run

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "fixtures"
HEAD = "schema: certify.audit/1\nmodels:\n"


@pytest.fixture(scope="module")
def servers():
    """The servers of all audits here, by the modules that they have imported: importing torch takes seconds."""
    started = {}
    with pytest.MonkeyPatch.context() as patch, contextlib.ExitStack() as stack:
        patch.setenv("PYTHONPATH", str(ROOT))

        def workers(modules, threads):
            if modules not in started:
                started[modules] = stack.enter_context(Workers(modules, threads))
            return contextlib.nullcontext(started[modules])

        patch.setattr(audit_pool, "Workers", workers)
        yield


@pytest.fixture
def audit(certify, folder, servers):
    """Runs `certify audit` on a list of entries; returns the run and its JSON."""

    def _audit(entries, *arguments):
        (folder / "audit.yaml").write_text(entries if "schema" in entries else HEAD + entries)
        run = certify("audit", "audit.yaml", "--format", "json", "--jobs", "2", *arguments)
        return run, json.loads(run.out) if run.out else None

    return _audit


def by_name(document):
    return {entry["audit"]["name"]: entry for entry in document["results"]}


def test_all_certified_is_0(audit):
    run, document = audit("  - path: optimal.pt\n")
    assert run.code == document["summary"]["exit_code"] == 0
    (entry,) = document["results"]
    assert entry["verdict"] == "certified"
    assert entry["proof"] == "rigorous"
    assert Path(entry["certificate"]).is_file()
    block = entry["audit"]
    assert (block["line"], block["column"], block["origin"], block["met"]) == (3, 5, "run", True)


def test_the_gravest_exit_code_decides_and_fail_on_narrows_it(audit, folder):
    (folder / "bad.pt").write_bytes(b"\x80\x04.")
    entries = "  - {path: optimal.pt}\n  - {path: poor.pt}\n  - {path: bad.pt, problem: poor.problem.yaml}\n"
    entries += "  - {path: absent.pt, problem: poor.problem.yaml}\n"
    run, document = audit(entries)
    assert run.code == 5
    assert [entry["audit"]["exit_code"] for entry in document["results"]] == [0, 1, 5, 2]
    assert audit(entries, "--fail-on", "not-certified", "--fail-on", "usage")[0].code == 2
    assert audit(entries, "--fail-on", "not-certified")[0].code == 1
    assert audit(entries, "--fail-on", "undecided")[0].code == 0


def test_expectations_are_met_or_named(audit):
    run, document = audit("  - {path: poor.pt, expect: improvable}\n  - {path: optimal.pt, expect: any}\n")
    assert run.code == 0
    run, document = audit("  - {path: optimal.pt, expect: improvable}\n")
    assert run.code == 1
    assert "expected improvable" in document["results"][0]["audit"]["failure"]


def test_a_gate_on_the_gap_holds_whatever_the_verdict(audit):
    gate = "  - {path: poor.pt, expect: any, max_relative_gap: %g}\n"
    run, document = audit(gate % 1e-9)
    assert run.code == 1
    assert "max_relative_gap" in document["results"][0]["audit"]["failure"]
    gap = document["results"][0]["gap"]["relative"]
    assert audit(gate % (2 * gap))[0].code == 0


def test_what_did_not_change_is_answered_from_the_cache_after_its_certificate_was_verified(audit, folder):
    entries = "  - {path: optimal.pt}\n  - {path: poor.pt, expect: improvable}\n"
    _, first = audit(entries)
    _, second = audit(entries)
    assert [entry["audit"]["origin"] for entry in second["results"]] == ["cache", "cache"]
    assert [{**entry, "audit": None} for entry in second["results"]] == [
        {**entry, "audit": None} for entry in first["results"]
    ]
    _, third = audit(entries, "--no-cache")
    assert third["summary"]["origins"] == {"run": 2, "cache": 0, "resumed": 0}


@pytest.mark.parametrize("change", ["model", "data", "problem", "tolerance", "seed"])
def test_what_changed_is_run_again(audit, folder, change):
    entries = "  - {path: optimal.pt, tolerance: {relative_gap: 1e-3}}\n"
    audit(entries)
    arguments = []
    match change:
        case "model":
            shutil.copy(folder / "poor.pt", folder / "optimal.pt")
        case "data":
            np.savez(folder / "train.npz", X=np.eye(3), y=np.diag([3.0, 2.0, 1.5]))
        case "problem":
            text = (folder / "optimal.problem.yaml").read_text()
            (folder / "optimal.problem.yaml").write_text(text.replace("weight_decay: 1.0", "weight_decay: 1.5"))
        case "tolerance":
            entries = entries.replace("1e-3", "1e-4")
        case "seed":
            arguments = ["--seed", "1"]
    _, document = audit(entries, *arguments)
    assert document["results"][0]["audit"]["origin"] == "run"
    assert (document["results"][0]["verdict"] == "certified") == (change in ("tolerance", "seed"))


def test_a_touched_or_moved_file_is_still_known(audit, folder):
    audit("  - {path: optimal.pt}\n")
    shutil.copy(folder / "optimal.pt", folder / "moved.pt")
    text = (folder / "optimal.problem.yaml").read_text()
    (folder / "moved.problem.yaml").write_text("# a comment\n" + text.replace("optimal.pt", "moved.pt"))
    _, document = audit("  - {path: moved.pt}\n")
    (entry,) = document["results"]
    assert entry["audit"]["origin"] == "cache"
    assert entry["model"]["path"] == "moved.pt"


@pytest.mark.parametrize("damage", ["lost", "flipped", "other", "numbers", "verdict"])
def test_a_cache_that_does_not_hold_is_not_believed(audit, folder, damage):
    """A certificate that is lost or damaged, or a record that says more than it, is run again."""
    entries = "  - {path: poor.pt, expect: improvable}\n  - {path: optimal.pt}\n"
    _, first = audit(entries)
    poor, optimal = (Path(entry["certificate"]) for entry in first["results"])
    records = folder / ".certify_cache" / "results.jsonl"
    match damage:
        case "lost":
            poor.unlink()
        case "flipped":
            data = bytearray(poor.read_bytes())
            data[-40] ^= 1
            poor.write_bytes(data)
        case "other":
            shutil.copy(optimal, poor)
        case "numbers":
            found = result_of(first["results"][0])
            more = result_object(replace(found, lower_bound=found.lower_bound * 1.001))
            text = records.read_text().replace(repr(found.lower_bound), repr(more["lower_bound"]))
            text = text.replace(repr(found.gap), repr(more["gap"]["absolute"]))
            records.write_text(text.replace(repr(found.relative_gap), repr(more["gap"]["relative"])))
        case "verdict":
            records.write_text(records.read_text().replace('"improvable"', '"certified"'))
    _, second = audit(entries)
    entry = by_name(second)["poor.pt"]
    assert (entry["verdict"], entry["audit"]["origin"]) == ("improvable", "run")
    assert by_name(second)["optimal.pt"]["audit"]["origin"] == "cache"
    assert any("poor.pt: the cached certificate does not hold" in note for note in second["summary"]["notes"])


def test_a_cached_certificate_about_another_problem_is_not_believed(audit, certify, folder):
    """It is valid, about the same model and data, and certified: by a tolerance that nobody asked for."""
    text = (folder / "poor.problem.yaml").read_text()
    entries = "  - {path: poor.pt, expect: improvable}\n"
    audit(entries)
    (folder / "poor.problem.yaml").write_text(text + "tolerance: {relative_gap: 1000}\n")
    run = certify("check", "poor.pt", "--format", "json", "--certificate", "other.cert")
    other, data = json.loads(run.out), (folder / "other.cert").read_bytes()
    assert other["verdict"] == "certified"
    digest = hashlib.sha256(data).hexdigest()
    (folder / ".certify_cache" / "certificates" / f"{digest}.cert").write_bytes(data)
    records = folder / ".certify_cache" / "results.jsonl"
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    for line in lines:
        if "result" in line:
            line["certificate"] = digest
            line["result"] |= {key: other[key] for key in ("verdict", "objective", "lower_bound", "gap", "proof")}
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "poor.problem.yaml").write_text(text)
    _, second = audit(entries)
    (entry,) = second["results"]
    assert (entry["verdict"], entry["audit"]["origin"]) == ("improvable", "run")
    assert any("another problem: tolerance" in note for note in second["summary"]["notes"])


@pytest.mark.parametrize("proof", ["rigorous", "none"])
def test_a_record_that_claims_a_proof_and_has_no_certificate_is_not_believed(audit, folder, proof):
    audit("  - {path: poor.pt}\n")
    records = folder / ".certify_cache" / "results.jsonl"
    lines = [json.loads(line) for line in records.read_text().splitlines()]
    for line in lines:
        if "result" in line:
            line["certificate"] = None
            line["result"] |= {"verdict": "certified", "proof": proof, "certificate": None}
    records.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for arguments in ([], ["--resume"]):
        _, document = audit("  - {path: poor.pt}\n", *arguments)
        assert document["results"][0]["verdict"] == "improvable"


def test_a_model_whose_digest_leaves_values_out_is_run_each_time(audit, folder):
    """An ONNX file may keep its values in another file, which can change while the model's own digest does not."""
    weights = torch.load(folder / "optimal.pt", weights_only=True)
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "a.weight"], ["h"], transB=1),
        onnx.helper.make_node("Gemm", ["h", "b.weight"], ["z"], transB=1),
    ]
    ends = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.DOUBLE, [None, 3]) for name in ("x", "z")]
    tensors = [onnx.numpy_helper.from_array(tensor.numpy(), name) for name, tensor in weights.items()]
    graph = onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], tensors)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, "model.onnx", save_as_external_data=True, location="values.bin", size_threshold=0)
    problem = (folder / "optimal.problem.yaml").read_text()
    problem = problem.replace("optimal.pt, layers: [{linear: a}, {linear: b}]", "model.onnx")
    (folder / "model.problem.yaml").write_text(problem)
    for _ in range(2):
        run, document = audit("  - path: model.onnx\n")
        (entry,) = document["results"]
        assert (entry["verdict"], entry["audit"]["origin"]) == ("certified", "run"), entry["message"]
    values = np.fromfile("values.bin")
    (0.5 * values).tofile("values.bin")
    run, document = audit("  - path: model.onnx\n")
    assert document["results"][0]["verdict"] == "improvable"


def test_a_baseline_fails_only_on_what_became_worse(audit, folder):
    entries = "  - {path: optimal.pt}\n  - {path: poor.pt}\n"
    baseline = ["--baseline", "baseline.json"]
    assert audit(entries, *baseline)[0].code == 2
    assert audit(entries, *baseline, "--update-baseline")[0].code == 0
    before = (folder / "baseline.json").read_text()
    # The poor model is as poor as before.
    run, document = audit(entries, *baseline)
    assert run.code == 0
    shutil.copy(folder / "poor.pt", folder / "optimal.pt")
    run, document = audit(entries, *baseline)
    assert run.code == 1
    assert by_name(document)["optimal.pt"]["audit"]["failure"] == (
        "worse than the baseline: certified before, improvable now"
    )
    assert by_name(document)["poor.pt"]["audit"]["met"]
    assert (folder / "baseline.json").read_text() == before
    # A new item is judged by what is expected of it.
    shutil.copy(folder / "poor.pt", folder / "new.pt")
    run, document = audit(entries + "  - {path: new.pt, problem: poor.problem.yaml}\n", *baseline)
    assert by_name(document)["new.pt"]["audit"]["counted_code"] == 1


def test_a_baseline_of_another_problem_is_none(audit, folder):
    entries, baseline = "  - {path: optimal.pt}\n", ["--baseline", "b.json"]
    audit(entries, *baseline, "--update-baseline")
    problem = folder / "optimal.problem.yaml"
    problem.write_text(problem.read_text() + "tolerance: {relative_gap: 0.5}\n")
    run, document = audit(entries, *baseline)
    assert run.code == 1
    assert document["results"][0]["verdict"] == "certified"
    assert "another problem" in document["results"][0]["audit"]["failure"]


def test_updating_with_only_keeps_the_other_items_of_the_baseline(audit, folder):
    entries = "  - {path: optimal.pt}\n  - {path: poor.pt}\n"
    audit(entries, "--baseline", "b.json", "--update-baseline")
    before = (folder / "b.json").read_text()
    audit(entries, "--baseline", "b.json", "--update-baseline", "--only", "poor.pt")
    assert (folder / "b.json").read_text() == before


def test_fail_fast_stops_and_names_what_was_not_run(audit):
    run, document = audit("  - {path: absent.pt}\n  - {path: optimal.pt}\n", "--fail-fast")
    assert run.code == 2
    assert document["summary"]["left_out"] == ["optimal.pt"]


def test_a_plan_runs_nothing_and_knows_the_cache(audit, certify, folder):
    (folder / "audit.yaml").write_text(HEAD + "  - {path: optimal.pt}\n  - {path: poor.pt}\n  - {path: absent.pt}\n")
    run = certify("audit", "audit.yaml", "--plan")
    assert run.code == 0
    assert "3 items: 0 cached, 2 run, 1 missing" in run.out
    assert not (folder / ".certify_cache").exists()
    audit("  - {path: optimal.pt}\n")
    (folder / "audit.yaml").write_text(HEAD + "  - {path: optimal.pt}\n  - {path: poor.pt}\n  - {path: absent.pt}\n")
    document = json.loads(certify("audit", "audit.yaml", "--plan", "--format", "json").out)
    assert [entry["answer"] for entry in document["items"]] == ["cached", "run", "missing"]


def test_the_cache_may_be_a_file_anywhere(audit, folder):
    cache = ["--cache", "elsewhere/known.jsonl"]
    audit("  - {path: optimal.pt}\n", *cache)
    _, document = audit("  - {path: optimal.pt}\n", *cache)
    assert document["summary"]["origins"]["cache"] == 1
    assert not (folder / ".certify_cache").exists()


def test_text_has_one_line_per_item_and_a_summary(certify, folder):
    (folder / "audit.yaml").write_text(HEAD + "  - {path: optimal.pt}\n  - {path: poor.pt}\n")
    run = certify("audit", "audit.yaml", "--jobs", "1")
    assert run.code == 1
    assert "[1/2] certified   optimal.pt" in run.err
    assert "audit.yaml: 1 certified, 1 improvable; 1 not as asked" in run.out
    quiet = certify("audit", "audit.yaml", "--quiet")
    # In the order in which they end.
    assert sorted(line.split()[0] for line in quiet.out.splitlines()) == ["certified", "improvable"]
    assert quiet.err == ""


@pytest.mark.skipif(sys.platform != "linux", reason="memory limits are Linux's")
def test_a_poisoned_set_finishes_with_every_item_accounted_for(audit, folder, monkeypatch):
    monkeypatch.setattr(audit_run, "CHECK", "tests.audits.jobs:poisoned_check")
    for name in ("hang", "crash", "memory", "killed"):
        shutil.copy(folder / "optimal.pt", folder / f"{name}.pt")
        # Distinct content, so that none is answered by another.
        weights = torch.load(folder / f"{name}.pt", weights_only=True)
        torch.save({key: value + len(name) * 1e-9 for key, value in weights.items()}, folder / f"{name}.pt")
    entries = "".join(f"  - {{path: {name}.pt, problem: poor.problem.yaml}}\n" for name in ("crash", "killed"))
    entries += "  - {path: hang.pt, problem: poor.problem.yaml, limits: {seconds: 1}}\n"
    entries += "  - {path: memory.pt, problem: poor.problem.yaml, limits: {memory_gib: 0.5}}\n"
    for name in ("model-truncated", "model-pickled-code", "data-missing-file", "yaml-syntax", "model-sigmoid"):
        entries += f"  - {{path: {FIXTURES}/refused/{name}/model.pt, name: {name}}}\n"
    entries += "  - {path: optimal.pt}\n  - {path: poor.pt}\n  - {path: absent.pt}\n"
    run, document = audit(entries)
    assert run.code == 70
    found = by_name(document)
    assert {name: (entry["reason"], entry["audit"]["exit_code"]) for name, entry in found.items()} == {
        "crash.pt": ("crashed", 70),
        "killed.pt": ("crashed", 70),
        "hang.pt": ("time-limit", 5),
        "memory.pt": ("memory-limit", 5),
        "model-truncated": ("corrupt-file", 5),
        "model-pickled-code": ("unsafe-file", 5),
        "data-missing-file": ("missing-file", 2),
        "yaml-syntax": ("yaml", 2),
        "model-sigmoid": ("not-homogeneous", 4),
        "optimal.pt": ("gap-closed", 0),
        "poor.pt": ("not-stationary", 1),
        "absent.pt": ("missing-file", 2),
    }
    # Failures are not remembered as verdicts: what crashed once is run again.
    run, document = audit(entries, "--only", "crash.pt")
    assert document["results"][0]["audit"]["origin"] == "run"
    assert run.code == 70
