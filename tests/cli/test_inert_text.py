"""Names are anybody's: nothing in them acts on a terminal, a log, a spreadsheet or a page."""

import csv
import io
import json
import shutil

import pytest

from certify.reports.terminal import inert

# Colors, a title, a line back, an 8-bit escape, letters turned around, a formula, a GitHub command, a page.
EVIL = "x\x1b[31m\x1b]0;t\x07\r\x9b2J\u202eevil\u2066'=1+1::error::<blink>"
ACTIVE = ("\x1b", "\x07", "\r", "\x9b", "\u202e", "\u2066")


@pytest.fixture
def evil(folder):
    name = EVIL.replace("/", "") + ".pt"
    shutil.copy(folder / "optimal.pt", folder / name)
    return name


def test_the_function_changes_nothing_that_is_text():
    text = "certified  modèle.pt\n\tgap ≤ 1e-3 · ‘…’ 模型 😀"
    assert inert(text) == text
    assert inert("a\ud800\x00\u2029b") == r"a\ud800\u0000\u2029b"


@pytest.mark.parametrize("quiet", [(), ("-q",)])
@pytest.mark.parametrize("form", ["text", "json", "jsonl", "markdown"])
def test_what_is_printed_of_a_name_is_inert(certify, evil, form, quiet):
    run = certify("check", evil, "--problem", "optimal.problem.yaml", "--format", form, *quiet)
    wrong = certify("check", evil + "absent")
    for text in (run.out, run.err, wrong.out, wrong.err):
        assert not any(character in text for character in ACTIVE)
    if form == "json":
        assert json.loads(run.out)["model"]["path"] == evil


def test_reports_of_a_name_are_inert(certify, folder, evil):
    kinds = ["csv", "html", "github", "prometheus", "sarif", "junit", "markdown"]
    outputs = [word for kind in kinds for word in ("--output", f"{kind}=report.{kind}")]
    certify("check", evil, "--problem", "optimal.problem.yaml", *outputs)
    for kind in kinds:
        text = (folder / f"report.{kind}").read_text()
        assert not any(character in text for character in ACTIVE), kind
        assert "<blink>" not in text or kind not in ("html", "markdown", "junit")
    (row,) = csv.DictReader(io.StringIO((folder / "report.csv").read_text()))
    assert not any(cell.startswith(("=", "+", "-", "@")) and not cell[1:2].isdigit() for cell in row.values())
    commands = (folder / "report.github").read_text().splitlines()
    assert all(line.count("::") <= 4 for line in commands)


def test_a_name_with_a_line_feed_stays_on_its_line(certify, folder):
    certify("check", "optimal.pt", "--certificate", "a\nb: valid.certificate")
    lines = certify("verify", "a\nb: valid.certificate").out.splitlines()
    assert not any(line.startswith("b: valid") for line in lines)
    assert lines[0].startswith("a\\u000ab: valid.certificate: valid")


def test_a_name_with_a_line_feed_stays_on_its_line_of_checks_and_audits(certify, folder):
    shutil.copy(folder / "optimal.pt", folder / "a\ncertified  b.pt")
    checked = certify("check", "a\ncertified  b.pt", "--problem", "optimal.problem.yaml")
    plan = "schema: certify.audit/1\ndefaults: {problem: optimal.problem.yaml}\nmodels:\n  - path: 'a*.pt'\n"
    (folder / "audit.yaml").write_text(plan)
    audited = certify("audit", "audit.yaml", "--jobs", "1")
    for run in (checked, audited):
        assert "a\\u000acertified  b.pt" in run.out + run.err
        assert not any(line.startswith("certified  b.pt") for line in (run.out + run.err).splitlines())
