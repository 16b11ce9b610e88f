"""What counts as worse, and the file that says what was."""

import json

import pytest

from certify.audits.baseline import GAP_FLOOR, GAP_SHARE, SCHEMA, Standing, load_baseline, regression, save_baseline
from certify.errors import UsageError

ORDER = [Standing("certified", 1e-4), Standing("undecided", 0.1), Standing("improvable", 0.1), Standing("failed", None)]


@pytest.mark.parametrize("before", ORDER, ids=lambda standing: standing.outcome)
@pytest.mark.parametrize("now", ORDER, ids=lambda standing: standing.outcome)
def test_a_later_outcome_is_worse(before, now):
    assert bool(regression(before, now)) == (ORDER.index(now) > ORDER.index(before))


@pytest.mark.parametrize("outcome", ["undecided", "improvable"])
def test_a_gap_may_grow_by_the_margin_and_no_further(outcome):
    most = 0.1 * (1 + GAP_SHARE) + GAP_FLOOR
    assert not regression(Standing(outcome, 0.1), Standing(outcome, most))
    assert "0.1 before" in regression(Standing(outcome, 0.1), Standing(outcome, most * 1.001))
    assert "not bounded" in regression(Standing(outcome, 0.1), Standing(outcome, None))


def test_the_gap_of_what_is_certified_may_be_anything_within_its_tolerance():
    assert not regression(Standing("certified", 1e-9), Standing("certified", 9e-4))


def test_of_another_problem_no_standing_is_better_or_worse():
    before, now = Standing("improvable", 0.1, "one"), Standing("certified", 0.0, "other")
    assert "another problem" in regression(before, now)
    assert not regression(before, Standing("certified", 0.0, "one"))
    assert not regression(before, Standing("certified", 0.0))


def test_what_is_written_is_read_back_and_does_not_depend_on_the_order(tmp_path):
    standings = {f"item {index}": entry for index, entry in enumerate(ORDER)}
    save_baseline(tmp_path / "one.json", standings)
    save_baseline(tmp_path / "two.json", dict(reversed(standings.items())))
    assert load_baseline(tmp_path / "one.json") == standings
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()


def test_one_changed_item_is_one_changed_line(tmp_path):
    standings = {f"item {index}": Standing("certified", 1e-4) for index in range(20)}
    save_baseline(tmp_path / "one.json", standings)
    save_baseline(tmp_path / "two.json", {**standings, "item 7": Standing("failed", None)})
    one, two = ((tmp_path / name).read_text().splitlines() for name in ("one.json", "two.json"))
    assert len(one) == len(two)
    assert sum(a != b for a, b in zip(one, two, strict=True)) == 1


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    save_baseline(tmp_path / "b.json", {"x": Standing("certified", 0.0)})
    with pytest.raises(ValueError, match="JSON"):
        save_baseline(tmp_path / "b.json", {"x": Standing("certified", float("nan"))})
    assert [path.name for path in tmp_path.iterdir()] == ["b.json"]
    assert load_baseline(tmp_path / "b.json") == {"x": Standing("certified", 0.0)}


def with_entry(**changes):
    entry = {"outcome": "certified", "relative_gap": 0.5, "statement": None} | changes
    return json.dumps({"schema": SCHEMA, "items": {"x": entry}})


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"schema": "certify.audit-baseline/1", "items": {}}',
        json.dumps({"schema": SCHEMA, "items": []}),
        json.dumps({"schema": SCHEMA, "items": {"x": {"outcome": "certified"}}}),
        with_entry(outcome="good"),
        with_entry(relative_gap="1"),
        with_entry(statement=3),
        json.dumps(3),
    ],
)
def test_what_is_no_baseline_is_a_usage_error(tmp_path, content):
    (tmp_path / "b.json").write_text(content)
    with pytest.raises(UsageError, match=r"b\.json"):
        load_baseline(tmp_path / "b.json")


def test_a_missing_baseline_is_a_usage_error_that_says_how_to_write_it(tmp_path):
    with pytest.raises(UsageError, match="--update-baseline"):
        load_baseline(tmp_path / "absent.json")
