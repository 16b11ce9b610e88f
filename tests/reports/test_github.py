"""Workflow commands that the runner reads as meant, and a step summary within its limit."""

import re

import pytest

from certify.reports.result_github import github_report
from certify.reports.step_summary import step_summary
from tests.reports.examples import CERTIFIED, HOSTILE, IMPROVABLE, UNDECIDED, entry, hostile, mixed, report

COMMAND = re.compile(r"::(error|warning|notice) ([^\n]*?)::([^\n]*)")


def unescaped(text, *more):
    """The runner's own decoding: the codes in this order, the percent sign last."""
    for code, character in (*more, ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(code, character)
    return text


def commands(text):
    """The commands as the runner splits them."""
    found = []
    for line in text.splitlines():
        level, properties, message = COMMAND.fullmatch(line).groups()
        pairs = (part.partition("=") for part in properties.split(","))
        decoded = {key: unescaped(value, ("%3A", ":"), ("%2C", ",")) for key, _, value in pairs}
        found.append((level, decoded, unescaped(message)))
    return found


def test_each_open_model_is_annotated_at_its_line():
    found = commands(github_report(mixed()))
    shown = [(level, where.get("file"), where.get("line"), where.get("col")) for level, where, _ in found]
    assert shown == [
        ("error", "audit.yaml", "6", "3"),
        ("error", "audit.yaml", "9", "3"),
        ("error", "audit.yaml", "10", "3"),
        ("warning", "audit.yaml", "7", "3"),
        ("warning", "audit.yaml", "8", "3"),
        ("notice", None, None, None),
    ]
    assert found[0][1]["title"] == "certify: improvable (missing-subnetwork)"
    assert "better.pt" in found[0][2]


def test_hostile_names_come_back_and_inject_no_command():
    found = commands(github_report(hostile()))
    assert {where["title"].split()[0] for _, where, _ in found} == {"certify:", "certify"}
    # Ten errors, what was left out, and the count.
    assert [level for level, _, _ in found] == ["error"] * 10 + ["warning", "notice"]
    shown = [message for _, _, message in found]
    for name, finding, failure in zip(HOSTILE, shown[0:8:2], shown[1:8:2], strict=False):
        assert name in finding
        assert name in failure
    assert HOSTILE[4] in shown[8]
    assert all(f"{name}2" in shown[9] for name in HOSTILE[4:])


@pytest.mark.parametrize(("count", "shown", "said"), [(10, 10, None), (11, 9, "2 more"), (300, 9, "291 more")])
def test_at_most_ten_of_a_kind_and_the_rest_is_said(count, shown, said):
    made = report(*(entry(f"m{i}", outcome) for i in range(count) for outcome in (IMPROVABLE, UNDECIDED)))
    found = commands(github_report(made))
    for wanted in ("error", "warning"):
        level = [(where, message) for kind, where, message in found if kind == wanted]
        assert len(level) == 10
        assert sum("file" in where for where, _ in level) == shown
        if said:
            assert level[-1][1].startswith(said)
            assert f"m{count - 1}" in level[-1][1]


def test_summary_is_whole_where_it_fits():
    text = step_summary(mixed())
    assert text.startswith("### certify: 7 models: 2 certified, 2 undecided, 1 improvable, 2 failed\n")
    rows = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert rows == ["model", "---", *(made.name for made in mixed().entries)]
    assert "left out" not in text


def test_summary_stays_under_the_limit_and_says_so():
    made = report(*(entry(f"models/{'é' * 40}-{i}.pt", IMPROVABLE) for i in range(3000)))
    text = step_summary(made)
    assert 900_000 < len(text.encode()) < 1024 * 1024
    assert re.search(r"\n\d+ rows or details are left out: GitHub's limit is 1 MiB\.\n$", text)


def test_a_summary_takes_the_room_there_is_and_is_empty_where_its_title_does_not_fit():
    made = report(entry("a", CERTIFIED))
    whole = len(step_summary(made).encode())
    found = [step_summary(made, limit_bytes=limit) for limit in range(whole + 400)]
    assert all(len(text.encode()) <= limit for limit, text in enumerate(found))
    assert found[300] == ""
    # The title without its row, and then both.
    assert [text[:22] for text in dict.fromkeys(found)] == ["", *["### certify: 1 model: "] * 2]
    assert found[-1] == step_summary(made)
