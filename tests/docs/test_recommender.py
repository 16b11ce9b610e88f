"""The page on recommenders, followed command by command, leads to the verdicts that it shows."""

import re

from click.testing import CliRunner

from certify.cli.main import cli
from tests.docs.pages import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "recommender.md"
COMMAND = re.compile(r"^\$ certify (.*)\n([^$]*)", re.MULTILINE)


def test_the_recommender_ends_with_a_certificate(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for code in blocks(PAGE, "python"):
        exec(compile(code, "page.py", "exec"), {"__name__": "page"})
    drafted_problem, stated_problem = blocks(PAGE, "yaml")
    (tmp_path / "clicks.problem.yaml").write_text(stated_problem, encoding="utf-8")
    commands = COMMAND.findall("\n".join(blocks(PAGE, "console")))
    names = [command.split()[0] for command, _ in commands]
    assert names == ["check", "grow", "check", "verify", "init", "check", "grow", "check", "verify"]
    for command, shown in commands:
        result = CliRunner().invoke(cli, command.split())
        assert result.exit_code == (1 if shown.startswith("improvable") else 0), result.output
        assert shown.strip() in result.stdout or command.startswith(("init", "grow"))
        if command.startswith("init"):
            drafted = (tmp_path / "weights.problem.yaml").read_text(encoding="utf-8")
            assert all(f"{name}" in drafted for name in ("left: user.weight", "column_bias: item_bias.weight"))
            (tmp_path / "weights.problem.yaml").write_text(drafted_problem, encoding="utf-8")
