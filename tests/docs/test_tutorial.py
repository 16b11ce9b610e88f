"""The tutorial, followed command by command, leads to the verdicts that it shows."""

import re

import pytest
import torch
from click.testing import CliRunner

from certify.cli.main import cli
from tests.docs.pages import ROOT, blocks

TUTORIAL = ROOT / "docs" / "tutorials" / "first-certificate.md"
# A command line and what it is shown to print.
COMMAND = re.compile(r"^\$ certify (.*)\n([^$]*)", re.MULTILINE)
EXIT_CODES = {"improvable": 1, "certified": 0}
# Threads and platforms round differently; the tutorial's numbers hold to this share.
AGREEMENT = 1e-3


@pytest.fixture
def default_dtype():
    before = torch.get_default_dtype()
    yield
    torch.set_default_dtype(before)


@pytest.mark.usefixtures("default_dtype")
def test_following_the_tutorial_ends_with_a_certificate(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    train, load = blocks(TUTORIAL, "python")
    namespace = {"__name__": "tutorial"}
    exec(compile(train, "train.py", "exec"), namespace)
    for command, shown in COMMAND.findall("".join(blocks(TUTORIAL, "console"))):
        result = CliRunner().invoke(cli, command.split())
        verdict = re.search(r"^(improvable|certified) ", shown)
        assert result.exit_code == (EXIT_CODES[verdict[1]] if verdict else 0), result.output
        if verdict:
            assert result.stdout.startswith(verdict[1])
        if "objective  " in shown and verdict:
            assert _objective(result.stdout) == pytest.approx(_objective(shown), rel=AGREEMENT)
        if command.startswith("init"):
            assert "CHANGE: the weight_decay" in (tmp_path / "model.problem.yaml").read_text(encoding="utf-8")
            (tmp_path / "model.problem.yaml").write_text(blocks(TUTORIAL, "yaml")[0], encoding="utf-8")
    exec(compile(load, "load.py", "exec"), namespace)
    (text,) = blocks(TUTORIAL, "text")
    loaded = float(capsys.readouterr().out.split()[-1])
    assert loaded == pytest.approx(float(text.split()[-1]), rel=AGREEMENT)


def _objective(text):
    return float(re.search(r"objective +([0-9.]+) *$", text, re.MULTILINE)[1])
