"""Pipelines on the pages are valid by the schemas of those who run them."""

import subprocess
import sys

import pytest
import yaml
from pre_commit.clientlib import load_config, load_manifest

from tests.docs.pages import ROOT, blocks

HOW_TO = ROOT / "docs" / "how-to"


@pytest.mark.parametrize(
    ("page", "schema"), [("github.md", "vendor.github-workflows"), ("gitlab.md", "vendor.gitlab-ci")]
)
def test_pipeline_is_valid(page, schema, tmp_path):
    files = []
    for number, text in enumerate(blocks(HOW_TO / page, "yaml")):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(text)
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_action_of_the_page_takes_the_inputs_it_is_given():
    (text, *_) = blocks(HOW_TO / "github.md", "yaml")
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    steps = yaml.safe_load(text)["jobs"]["certify"]["steps"]
    (used,) = [step for step in steps if step.get("id") == "certify"]
    assert set(used["with"]) <= set(action["inputs"])
    page = (HOW_TO / "github.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in (*action["inputs"], *action["outputs"]))


def test_hooks_of_the_page_exist(tmp_path):
    (text,) = blocks(HOW_TO / "pre-commit.md", "yaml")
    path = tmp_path / ".pre-commit-config.yaml"
    path.write_text(text)
    used = {hook["id"] for repo in load_config(path)["repos"] for hook in repo["hooks"]}
    assert used == {hook["id"] for hook in load_manifest(ROOT / ".pre-commit-hooks.yaml")}
