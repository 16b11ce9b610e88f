"""`--output FORMAT=PATH`: several at once, checked before the work, written whole."""

import csv
import json
import os
from xml.etree import ElementTree

import pytest
from prometheus_client.parser import text_string_to_metric_families

from certify.cli.flags import ReportFlags
from certify.cli.report_choice import Reports
from certify.errors import UsageError
from certify.reports.formats import FORMATS


def outputs(*kinds):
    return [f"--output={kind}=report.{kind}" for kind in kinds]


def test_every_format_at_once_tells_the_same(certify, folder):
    run = certify("check", "optimal.pt", "poor.pt", "absent.pt", *outputs(*FORMATS))
    assert run.code == 2
    assert run.out.startswith("certified")
    names, verdicts = ["optimal.pt", "poor.pt", "absent.pt"], ["certified", "improvable", "failed"]
    texts = {kind: (folder / f"report.{kind}").read_text(encoding="utf-8") for kind in FORMATS}
    assert [entry["verdict"] or "failed" for entry in json.loads(texts["json"])] == verdicts
    assert [json.loads(line)["verdict"] or "failed" for line in texts["jsonl"].splitlines()] == verdicts
    rows = list(csv.DictReader(texts["csv"].splitlines()))
    assert [(row["name"], row["verdict"]) for row in rows] == list(zip(names, verdicts, strict=True))
    suites = ElementTree.fromstring(texts["junit"])
    assert [suite.get("name") for suite in suites] == names
    results = json.loads(texts["sarif"])["runs"][0]["results"]
    uris = [found["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for found in results]
    assert uris == ["poor.pt", "absent.pt"]
    assert texts["github"].count("\n") == 3
    families = {family.name: family for family in text_string_to_metric_families(texts["prometheus"])}
    assert {sample.labels["model"]: sample.value for sample in families["certify_exit_code"].samples} == dict(
        zip(names, (0, 1, 2), strict=True)
    )
    for kind in ("markdown", "html"):
        assert all(name.removesuffix(".pt") in texts[kind] for name in names)


def test_dash_puts_one_report_on_stdout_in_place_of_the_text(certify, folder):
    run = certify("check", "optimal.pt", "--output", "junit=-", "--output", "json=r.json")
    assert ElementTree.fromstring(run.out).get("tests") == "1"
    assert json.loads((folder / "r.json").read_text())["verdict"] == "certified"
    assert not (folder / "-").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--output", "junit=-", "--output", "csv=-"],
        ["--output", "junit=-", "--format", "json"],
        ["--output", "junit=r", "--output", "csv=r"],
        ["--output", "junit=r", "--output", "csv=./r"],
        ["--output", "json=r", "--output-model", "r"],
        ["--output", "json=r", "--certificate", "r"],
        ["--output", "json=r", "--output", "csv=absent/r"],
    ],
)
def test_outputs_in_each_others_way_are_refused_before_any_work(arguments, certify, folder):
    before = sorted(os.listdir(folder))
    run = certify("check", "optimal.pt", *arguments)
    assert (run.code, run.out) == (2, "")
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize("flag", ["--output=html=link", "--certificate=link", "--output-model=link"])
@pytest.mark.parametrize("target", ["victim", "absent"])
def test_nothing_is_written_through_a_link(certify, folder, flag, target):
    (folder / "victim").write_text("mine")
    (folder / "link").symlink_to(target)
    run = certify("check", "optimal.pt", flag)
    assert (run.code, run.out) == (2, "")
    assert "symbolic link" in run.err
    assert (folder / "victim").read_text() == "mine"
    assert not (folder / "absent").exists()


@pytest.mark.parametrize("place", ["", "certificates", "results.jsonl", "digests.json", ".gitignore"])
def test_an_audit_follows_no_link_out_of_its_cache(certify, folder, place):
    outside = folder / "outside"
    outside.mkdir()
    cache = folder / ".certify_cache"
    if place:
        cache.mkdir()
    (cache / place).symlink_to(outside if place in ("", "certificates") else outside / "victim")
    (folder / "audit.yaml").write_text("schema: certify.audit/1\nmodels:\n  - path: optimal.pt\n")
    run = certify("audit", "audit.yaml")
    assert list(outside.iterdir()) == []
    assert run.code == (0 if place == ".gitignore" else 2)
    assert place == ".gitignore" or "symbolic link" in run.err


def test_nothing_is_left_beside_the_reports(certify, folder):
    before = set(os.listdir(folder))
    (folder / "report.csv").write_text("old")
    certify("check", "optimal.pt", *outputs("csv", "html"))
    assert set(os.listdir(folder)) - before == {"report.csv", "report.html"}
    assert (folder / "report.csv").read_text().startswith("name,")


def test_what_cannot_be_written_after_all_does_not_keep_others_from_it(certify, folder, monkeypatch):
    real = os.fsync

    def full_once(descriptor):
        monkeypatch.setattr(os, "fsync", real)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_once)
    run = certify("check", "optimal.pt", *outputs("csv", "json"))
    assert run.code == 2
    assert "report.csv: cannot be written: No space left on device" in run.err
    assert not (folder / "report.csv").exists()
    assert json.loads((folder / "report.json").read_text())["verdict"] == "certified"


def test_github_appends_to_the_step_summary(certify, folder):
    summary = folder / "summary.md"
    summary.write_text("before\n")
    run = certify("check", "poor.pt", "--output", "github=-", env={"GITHUB_STEP_SUMMARY": summary})
    assert run.out.startswith("::error file=poor.pt,line=1,col=1,")
    assert summary.read_text().startswith("before\n### certify: 1 model: 1 improvable\n")


def test_other_formats_leave_the_step_summary_alone(certify, folder):
    certify("check", "poor.pt", *outputs("json"), env={"GITHUB_STEP_SUMMARY": folder / "summary.md"})
    assert not (folder / "summary.md").exists()


def test_a_full_step_summary_stays_below_its_limit(certify, folder):
    summary = folder / "summary.md"
    summary.write_text("x" * 1024 * 1024)
    certify("check", "poor.pt", *outputs("github"), env={"GITHUB_STEP_SUMMARY": summary})
    assert summary.stat().st_size == 1024 * 1024


def test_annotations_are_relative_to_the_checkout(certify, folder, monkeypatch):
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    run = certify("check", "../poor.pt", "--output", "github=-", env={"GITHUB_WORKSPACE": folder})
    assert run.out.startswith("::error file=poor.pt,")


def test_the_same_model_twice_has_two_names(certify, folder):
    certify("check", "optimal.pt", "optimal.pt", *outputs("csv", "prometheus"))
    rows = list(csv.DictReader((folder / "report.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == ["optimal.pt", "optimal.pt (2)"]


def end_early(error, *kinds):
    """A run of three models that ends by an exception after the first."""
    paths = tuple(f"{kind}=report.{kind}" for kind in kinds)
    flags = ReportFlags(format="text", outputs=paths, quiet=True, verbose=False, no_color=True)
    with Reports(flags, (), ["a.pt", "b.pt", "c.pt"]) as reports:
        reports.error("a.pt", UsageError("a.pt: no such file", code="missing-file"))
        raise error


def test_an_interrupt_writes_what_there_is_and_names_the_rest(folder):
    with pytest.raises(KeyboardInterrupt):
        end_early(KeyboardInterrupt(), "junit", "csv")
    suites = ElementTree.parse(folder / "report.junit").getroot()
    assert [(suite.get("name"), suite.find("testcase/error").get("type")) for suite in suites] == [
        ("a.pt", "missing-file"),
        ("b.pt", "left-out"),
        ("c.pt", "left-out"),
    ]
    assert len((folder / "report.csv").read_text().splitlines()) == 2


def test_a_defect_leaves_older_reports_alone(folder):
    (folder / "report.csv").write_text("old")
    with pytest.raises(ZeroDivisionError):
        end_early(ZeroDivisionError(), "csv")
    assert (folder / "report.csv").read_text() == "old"
