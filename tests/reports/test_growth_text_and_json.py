"""What growth did, as rows of text and as JSON."""

import io
import json
import math
from dataclasses import replace

from rich.console import Console

from certify.certificates.growth_report import GrowthRound
from certify.reports.growth_json import growth_object, round_object
from certify.reports.growth_rows import HEADINGS, cells_of
from certify.reports.growth_text import print_growth
from certify.reports.result_text import print_result
from tests.reports.examples import CERTIFIED
from tests.reports.growths import SINGLE, USUAL


def printed(report, **settings):
    file = io.StringIO()
    print_growth(Console(file=file, width=100, **settings), report)
    return file.getvalue()


def test_json_holds_every_round_in_full_precision_and_no_infinity():
    rows = (*USUAL.rounds, GrowthRound(4, 18, 1 / 3, 0.1 + 0.2, math.nan, math.pi))
    written = json.loads(json.dumps(growth_object(replace(USUAL, rounds=rows)), allow_nan=False))
    assert written["rounds"] == 4
    assert written["width"] == {"before": 1, "grown": 18, "after": 3, "bound": 443}
    assert written["objective"] == {"before": 0.5, "after": 0.28125}
    first, last = written["history"][0], written["history"][-1]
    assert first == {
        "round": 0,
        "width": 1,
        "objective": 0.5,
        "lower_bound": None,
        "relative_gap": None,
        "violation": None,
        "seconds": 0.5,
    }
    assert (last["objective"], last["lower_bound"], last["violation"]) == (1 / 3, 0.1 + 0.2, None)
    assert math.isclose(last["relative_gap"], 0.1, rel_tol=1e-12)  # (1/3 − 3/10) / (1/3)


def test_a_round_of_a_stream_is_a_row_of_the_history_with_its_schema():
    streamed = round_object(USUAL.rounds[1])
    assert streamed.pop("schema") == "certify.growth-round/1"
    assert streamed == growth_object(USUAL)["history"][1]


def test_text_says_how_width_and_objective_went_and_when_width_is_enough():
    assert printed(USUAL) == (
        "  grown       1 → 18 subnetworks, pruned to 3\n"
        "  lowered     objective 0.5 → 0.28125 in 3 rounds\n"
        "  theorem 2   from 443 subnetworks on a path that never rises leads to a global minimum\n"
    )


def test_text_speaks_of_no_pruning_where_there_was_none():
    assert "1 → 1 subnetwork\n" in printed(SINGLE)
    assert "in 0 rounds" in printed(SINGLE)


def test_on_a_terminal_the_rows_stand_below_those_of_the_result():
    file = io.StringIO()
    console = Console(file=file, width=100, force_terminal=True, color_system=None)
    print_result(console, CERTIFIED)
    print_growth(console, USUAL)
    lines = file.getvalue().splitlines()
    column = next(line.index("0.5") for line in lines if line.lstrip().startswith("objective"))
    assert next(line.index("1 → 18") for line in lines if line.lstrip().startswith("grown")) == column


def test_cells_are_rounded_outward_and_aligned():
    cells = dict(zip(HEADINGS, cells_of(GrowthRound(2, 7, 1 / 3, 2 / 3 - 1, -0.5, 60.0)), strict=True))
    assert cells == {
        "round": "2",
        "width": "7",
        "objective": "0.33333334",
        "lower bound": "-0.33333334",
        "gap": "2.00e+00",
        "violation": "-5.0e-01",
        "elapsed": "60.0 s",
    }
    whole = cells_of(GrowthRound(0, 1, 4.5, math.inf, None, 0.0))
    assert whole == ("0", "1", "4.5000000", "–", "–", "–", "0.0 s")
