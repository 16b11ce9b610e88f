"""Pages link to what is there, show Python that runs, and generated ones are fresh."""

import re
import runpy
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT, anchors, blocks, links

BUILDERS = {
    "build_architecture_table": "architecture_table",
    "build_cli_reference": "cli_reference",
    "build_reason_reference": "reason_reference",
}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_internal_links_lead_somewhere(page):
    for link in links(page):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(target), f"{page}: {link}"


def test_every_page_is_reachable_from_the_readme():
    seen, waiting = set(), [ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "docs" / "README.md"]
    while waiting:
        page = waiting.pop()
        if page not in seen and page.suffix == ".md":
            seen.add(page)
            waiting += [(page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link]
    assert set(PAGES) <= seen


@pytest.mark.parametrize("script", BUILDERS)
def test_generated_page_is_fresh(script):
    built = runpy.run_path(str(ROOT / "docs" / f"{script}.py"))
    found = built["TARGET"].read_text(encoding="utf-8")
    assert found == built[BUILDERS[script]](), f"stale; run: python docs/{script}.py"


@pytest.mark.parametrize("page", ["README.md", "docs/how-to/from-python.md", "docs/how-to/bring-a-model.md"])
def test_python_on_the_page_runs(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(blocks(ROOT / page, "python")), page, "exec"), {"__name__": "page"})
    assert re.search(r"^(certified|improvable|undecided) ", capsys.readouterr().out, re.MULTILINE)


def test_readme_commands_name_a_fixture_that_exists():
    (model,) = set(re.findall(r"certify check (\S+)", " ".join(blocks(ROOT / "README.md", "sh"))))
    assert (ROOT / model).is_file()
    assert Path(model).parent.parent.name == "certified"
