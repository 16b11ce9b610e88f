"""The audit tutorial, followed command by command, ends as it shows; audit files on the pages are audit files."""

import re
import runpy

import pytest
import torch
from click.testing import CliRunner

from certify.audits.plan import load_plan
from certify.cli.main import cli
from tests.docs.pages import ROOT, blocks

TUTORIAL = ROOT / "docs" / "tutorials" / "audit-a-folder.md"
HOW_TO = ROOT / "docs" / "how-to" / "audits.md"
COMMAND = re.compile(r"^\$ certify (.*)\n([^$]*)", re.MULTILINE)
CODES = re.compile(r"exit code (\d+)")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = torch.get_default_dtype()
    yield tmp_path
    torch.set_default_dtype(before)


def verdicts(text):
    """Verdict and origin of each item, by name."""
    rows = [line.split() for line in text.splitlines() if " models/" in line and line[0] not in "✗r "]
    return {row[1]: (row[0], row[5:]) for row in rows}


def test_following_the_tutorial_ends_green(folder):
    train, mend = blocks(TUTORIAL, "python")
    namespace = {"__name__": "train"}
    exec(compile(train, "train.py", "exec"), namespace)
    (folder / "audit.yaml").write_text(blocks(TUTORIAL, "yaml")[0])
    sessions = blocks(TUTORIAL, "console")
    for number, session in enumerate(sessions):
        if number == 2:
            exec(compile(mend, "mend.py", "exec"), namespace)
        for command, shown in COMMAND.findall(session):
            run = CliRunner().invoke(cli, command.split())
            expected = CODES.search(shown)
            assert run.exit_code == (int(expected[1]) if expected else 0), run.output
            if expected:
                assert verdicts(run.stdout) == verdicts(shown)
                assert len(verdicts(shown)) == 3
            elif "--plan" in command:
                assert run.stdout == shown


@pytest.mark.parametrize("page", [TUTORIAL, HOW_TO], ids=lambda page: page.stem)
def test_audit_files_on_the_page_are_audit_files(page, folder, monkeypatch):
    monkeypatch.setenv("DATA", "data")
    found = blocks(page, "yaml")
    assert found
    for text in found:
        (folder / "audit.yaml").write_text(text)
        load_plan(folder / "audit.yaml", allow_empty=True)


def test_the_reference_is_fresh():
    built = runpy.run_path(str(ROOT / "docs" / "build_audit_reference.py"))
    found = built["TARGET"].read_text(encoding="utf-8")
    assert found == built["audit_reference"](), "stale; run: python docs/build_audit_reference.py"
