"""The plot of a growth: real files, read back; the page in a real browser."""

import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from itertools import pairwise

import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from certify.certificates.growth_report import GrowthRound
from certify.errors import UsageError
from certify.reports.growth_plot import SUFFIXES, require_plottable, write_growth_plot
from tests.reports.growths import EXACT, SINGLE, UNBOUNDED, USUAL
from tests.reports.test_html import FLAGS, PATH

GRID = "#d9dde3"
SVG = "{http://www.w3.org/2000/svg}"
LONG = replace(USUAL, rounds=tuple(GrowthRound(k, k, 1.0, 1 - 2.0 ** -(k / 9), None, 0.1 * k) for k in range(200)))


def drawn(path, report, title="net.pt", tolerance=1e-3):
    """The SVG of a growth: its texts, and the points of its lines by color in coordinates that grow upward."""
    write_growth_plot(path, report, title, tolerance)
    root = ET.parse(path).getroot()
    texts = ["".join(node.itertext()) for node in root.iter(f"{SVG}text")]
    lines = {}
    for node in root.iter(f"{SVG}path"):
        color = re.search(r"stroke: (#\w{6})", node.get("style") or "")
        numbers = [float(x) for x in re.findall(r"-?[\d.]+", node.get("d"))]
        if color and color[1] != GRID and node.get("clip-path") and "fill: none" in node.get("style"):
            lines[color[1]] = [(x, -y) for x, y in zip(numbers[::2], numbers[1::2], strict=True)]
    return texts, lines


@pytest.mark.parametrize(
    "report", [USUAL, SINGLE, UNBOUNDED, EXACT, LONG], ids=["usual", "single", "unbounded", "exact", "long"]
)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_growth_can_be_written_in_every_format(report, suffix, tmp_path):
    write_growth_plot(tmp_path / f"plot{suffix}", report, "net.pt", 1e-3)
    assert (tmp_path / f"plot{suffix}").stat().st_size > 5000
    assert [path.name for path in tmp_path.iterdir()] == [f"plot{suffix}"]


def test_the_lines_are_the_rounds_to_scale(tmp_path):
    _, lines = drawn(tmp_path / "plot.svg", USUAL)
    objective, bound, gap = lines["#0067a5"], lines["#b34d00"], lines["#1a2029"]
    assert (len(objective), len(bound), len(gap)) == (4, 3, 3)
    # The first round has no bound: the three others stand below the objective of their round.
    assert [x for x, _ in bound] == pytest.approx([x for x, _ in objective[1:]])
    unit = (objective[0][1] - objective[1][1]) / (0.5 - 0.375)
    for (_, high), (_, low), row in zip(objective[1:], bound, USUAL.rounds[1:], strict=True):
        assert high - low == pytest.approx(unit * (row.objective - row.lower_bound), rel=1e-3, abs=1e-3)
    heights = [math.log10(row.relative_gap) for row in USUAL.rounds[1:]]
    slopes = [(b[1] - a[1]) / (q - p) for (a, b), (p, q) in zip(pairwise(gap), pairwise(heights), strict=True)]
    assert slopes[0] == pytest.approx(slopes[1], rel=1e-3)
    seconds = (gap[1][0] - gap[0][0]) / (4.0 - 1.5), (gap[2][0] - gap[1][0]) / (9.0 - 4.0)
    assert seconds[0] == pytest.approx(seconds[1], rel=1e-3)


def test_the_tolerance_is_a_line_at_its_height(tmp_path):
    last = USUAL.rounds[-1].relative_gap
    _, lines = drawn(tmp_path / "plot.svg", USUAL, tolerance=last)
    assert [y for _, y in lines["#0f7a48"]] == pytest.approx([lines["#1a2029"][-1][1]] * 2, abs=0.01)
    texts, lines = drawn(tmp_path / "plot.svg", USUAL, tolerance=None)
    assert "#0f7a48" not in lines
    assert not any("tolerance" in text for text in texts)


def test_the_plot_says_what_its_lines_are_in_words(tmp_path):
    texts, _ = drawn(tmp_path / "plot.svg", USUAL)
    gap = (0.28125 - 0.28109375) / 0.28125
    for words in (
        "net.pt",
        "objective",
        "lower bound",
        "gap",
        "round",
        "elapsed (seconds)",
        "tolerance 0.001",
        "objective 0.5 → 0.28125 in 3 rounds",
        "1 → 18 subnetworks, pruned to 3",
        f"gap {gap:.2e}",
    ):
        assert words in texts


def test_without_a_bound_the_plot_says_so(tmp_path):
    texts, lines = drawn(tmp_path / "plot.svg", UNBOUNDED)
    assert "no lower bound was found" in texts
    assert "lower bound" not in texts
    assert set(lines) == {"#0067a5"}


def test_a_title_is_text_whatever_it_holds(tmp_path):
    title = "$\\frac{1}$ <script>&amp;\x1b[31m\ud800 " + "模型" * 60
    texts, _ = drawn(tmp_path / "plot.svg", USUAL, title)
    assert texts[-1].startswith("$\\frac{1}$ <script>&amp;\ufffd[31m\ufffd 模型")
    assert len(texts[-1]) < len(title)
    write_growth_plot(tmp_path / "plot.png", USUAL, title)
    write_growth_plot(tmp_path / "plot.html", USUAL, title)
    assert "<script>" not in (tmp_path / "plot.html").read_text(encoding="utf-8")


def test_png_has_a_header_and_a_size_to_read(tmp_path):
    write_growth_plot(tmp_path / "plot.png", USUAL, "net.pt")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size == (1680, 688)
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_growth_gives_the_same_file_and_settings_stay(suffix, tmp_path):
    import matplotlib as mpl

    with mpl.rc_context({"font.size": 33, "text.usetex": True}):
        before = dict(mpl.rcParams)
        write_growth_plot(tmp_path / f"a{suffix}", USUAL, "net.pt")
        assert dict(mpl.rcParams) == before
    write_growth_plot(tmp_path / f"b{suffix}", USUAL, "net.pt")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_pyplot_and_its_global_figures_are_not_loaded(tmp_path):
    program = """
import sys
from certify.reports.growth_plot import write_growth_plot
from tests.reports.growths import USUAL
write_growth_plot(sys.argv[1], USUAL, "net.pt")
print("matplotlib.figure" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "plot.png")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "True False\n"


@pytest.mark.parametrize("name", ["plot.pdf", "plot", "plot.svg.gz"])
def test_other_suffixes_are_refused_with_those_that_work(name, tmp_path):
    with pytest.raises(UsageError, match=r"\.svg, \.png or \.html") as caught:
        require_plottable(tmp_path / name)
    assert caught.value.exit_code == 2


def test_without_matplotlib_the_message_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UsageError, match=r"pip install 'certify-optimality\[plot\]'") as caught:
        require_plottable(tmp_path / "plot.svg")
    assert caught.value.code == "missing-extra"


def test_a_path_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    (tmp_path / "folder.svg").mkdir()
    for path in (tmp_path / "absent" / "plot.svg", tmp_path / "folder.svg"):
        with pytest.raises(UsageError) as caught:
            require_plottable(path)
        assert caught.value.code == "unwritable"


@pytest.mark.skipif(PATH is None, reason="no browser found")
def test_the_page_asks_for_nothing_and_follows_the_scheme(tmp_path):
    path = tmp_path / "growth.html"
    write_growth_plot(path, USUAL, "<img src=x>.pt", 1e-3)
    noise, requests, colors, widths = [], [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PATH, args=FLAGS)
        for scheme, width in (("light", 1200), ("dark", 1200), ("dark", 360)):
            page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 800})
            page.on("console", lambda message: noise.append(message.text))
            page.on("request", lambda request: requests.append(request.url))
            page.goto(path.as_uri())
            label = page.locator("figure text", has_text="lower bound")
            colors.append(label.evaluate("node => getComputedStyle(node).fill"))
            widths.append(page.evaluate("document.documentElement.scrollWidth") <= width)
            assert page.locator("h1").inner_text() == "Growth of <img src=x>.pt"
            assert page.locator("figure svg").count() == 2
            cells = page.locator("tbody tr").nth(2).locator("td").all_inner_texts()
            assert cells == ["2", "15", "0.31250000", "0.25000000", "2.00e-01", "2.0e-02", "4.0 s"]
        browser.close()
    assert (noise, set(requests)) == ([], {path.as_uri()})
    assert colors == ["rgb(179, 77, 0)", "rgb(240, 163, 94)", "rgb(240, 163, 94)"]
    assert widths == [True] * 3
