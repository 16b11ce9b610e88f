"""CSV and Markdown as their readers see them."""

import csv
import io
import re

from markdown_it import MarkdownIt

from certify.reports.columns import COLUMNS
from certify.reports.result_csv import csv_report
from certify.reports.result_markdown import markdown_report
from tests.reports.examples import HOSTILE, hostile, mixed


def rows(made):
    return list(csv.DictReader(io.StringIO(csv_report(made))))


def test_csv_has_a_row_per_model_and_full_precision():
    for row, made in zip(rows(mixed()), mixed().entries, strict=True):
        assert tuple(row) == COLUMNS
        assert (row["name"], row["verdict"], row["reason"]) == (made.name, made.state, made.reason)
        if made.result:
            assert float(row["objective"]) == made.result.objective


def test_csv_leaves_empty_what_is_not_there():
    by_name = {row["name"]: row for row in rows(mixed())}
    assert by_name["unbounded.pt"]["lower_bound"] == ""
    assert by_name["nan.pt"]["objective"] == ""
    assert by_name["certified.pt"]["failure_probability"] == ""
    assert by_name["randomized.pt"]["failure_probability"] == "1e-12"


def test_csv_holds_no_formula():
    assert not any(cell.startswith(("=", "+", "@", "\t")) for row in rows(hostile()) for cell in row.values())


def test_csv_gives_hostile_names_back():
    names = [row["name"].removeprefix("'") for row in rows(hostile())]
    assert set(HOSTILE) <= set(names)


def rendered(made):
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown_report(made))


def test_markdown_is_one_table_with_a_row_per_model():
    page = rendered(mixed())
    assert page.count("<table>") == 1
    assert page.count("<tr>") == 1 + len(mixed().entries)
    assert len({row.count("<td") for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)[1:]}) == 1


def test_markdown_says_what_to_do_and_how_strong_the_proof_is():
    page = rendered(mixed())
    assert "randomized: wrong with a probability of at most 1e-12" in page
    assert "the independent checker accepted no certificate" in page
    assert "The better model is in better.pt" in page
    assert "relu was assumed" in page


def test_markdown_shows_hostile_names_as_text():
    page = rendered(hostile())
    assert not re.search(r"<(?!/?(table|thead|tbody|tr|th|td|p|ul|li|strong|code|br)\b)\w", page)
    assert "&lt;script&gt;window.broken = 1&lt;/script&gt;" in page
    assert 'href="' not in page
