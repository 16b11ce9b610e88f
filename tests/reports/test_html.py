"""The page in a real browser: it sorts, filters, draws, escapes, and asks for nothing from outside."""

import shutil
from dataclasses import replace

import pytest
from playwright.sync_api import sync_playwright

from certify.reports.result_html import html_report
from tests.reports.examples import CERTIFIED, HOSTILE, IMPROVABLE, UNDECIDED, entry, hostile, mixed, report

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATH = next(filter(None, map(shutil.which, NAMES)), None)

pytestmark = pytest.mark.skipif(PATH is None, reason=f"no browser found; install one of {', '.join(NAMES)}")


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=PATH, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def show(browser, tmp_path):
    """Opens a report; ends by asserting that the page was silent and asked for nothing but itself."""
    contexts, noise, requests = [], [], []

    def opened(made, **settings):
        path = tmp_path / "report.html"
        path.write_text(html_report(made), encoding="utf-8", errors="replace")
        contexts.append(browser.new_context(**settings))
        page = contexts[-1].new_page()
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        assert set(requests) == {path.as_uri()}
        return page

    yield opened
    for context in contexts:
        context.close()
    assert noise == []
    assert len(set(requests)) <= 1


def names(page):
    rows = page.locator("tbody tr:visible td:first-child")
    return [text.strip() for text in rows.all_inner_texts()]


def test_the_headline_counts_what_is_proven(show):
    page = show(mixed())
    assert page.locator("h1").inner_text() == "2 of 7 models are proven globally optimal within tolerance"
    tiles = [text.split() for text in page.locator(".tile > span").all_inner_texts()]
    assert tiles == [["2", "certified"], ["2", "undecided"], ["1", "improvable"], ["2", "failed"]]


def test_numbers_sort_by_value_and_what_has_none_stays_last(show):
    gaps = {"ten.pt": 1e-1, "tiny.pt": 9e-12, "small.pt": 2e-4}
    entries = [entry(name, replace(UNDECIDED, lower_bound=0.5 * (1 - gap))) for name, gap in gaps.items()]
    page = show(report(*entries, *mixed().entries[5:]))
    header = page.locator("th button", has_text="Gap")
    header.click()
    assert names(page)[:3] == ["tiny.pt", "small.pt", "ten.pt"]
    assert page.locator("th[aria-sort=ascending]").inner_text().startswith("Gap")
    header.click()
    assert names(page) == ["ten.pt", "small.pt", "tiny.pt", "nan.pt", "sigmoid.pt"]


def test_text_sorts_with_numbers_in_names_by_value(show):
    page = show(report(*(entry(name, CERTIFIED) for name in ("run10.pt", "run9.pt", "run1.pt"))))
    page.locator("th button", has_text="Model").click()
    assert names(page) == ["run1.pt", "run9.pt", "run10.pt"]


def test_filter_keeps_rows_and_cards_that_hold_every_word(show):
    page = show(mixed())
    page.get_by_role("searchbox").fill("Widen MISSING")
    assert names(page) == ["improvable.pt"]
    assert page.locator("details:visible").count() == 1
    assert page.locator("output").inner_text() == "1 of 7 shown"
    page.get_by_role("searchbox").fill("")
    assert len(names(page)) == 7


def test_tiles_choose_states(show):
    page = show(mixed())
    page.locator(".tile.undecided").click()
    page.locator(".tile.failed").click()
    assert names(page) == ["undecided.pt", "unbounded.pt", "nan.pt", "sigmoid.pt"]
    page.locator(".tile.undecided").click()
    assert names(page) == ["nan.pt", "sigmoid.pt"]


def test_a_link_opens_its_card(show):
    page = show(mixed())
    assert not page.locator("#model-1 .pair").first.is_visible()
    page.get_by_role("link", name="certified.pt").click()
    assert page.locator("#model-1 .pair").first.is_visible()


def test_the_interval_is_drawn_to_scale(show):
    page = show(report(entry("a.pt", IMPROVABLE)))
    at = {
        key: page.locator(f".objective-plot line.mark.{key}").bounding_box()["x"]
        for key in ("bound", "best", "objective")
    }
    share = (at["best"] - at["bound"]) / (at["objective"] - at["bound"])
    expected = (IMPROVABLE.best_known - IMPROVABLE.lower_bound) / (IMPROVABLE.objective - IMPROVABLE.lower_bound)
    assert share == pytest.approx(expected, abs=0.01)
    polar = page.locator(".polar-plot rect.polar").bounding_box()
    threshold = page.locator(".polar-plot line.threshold").bounding_box()["x"]
    assert polar["x"] < threshold < polar["x"] + polar["width"]


def test_parts_of_the_gap_have_widths_in_proportion(show):
    page = show(report(entry("a.pt", IMPROVABLE)))
    boxes = page.locator(".breakdown rect")
    widths = [boxes.nth(i).bounding_box()["width"] for i in range(boxes.count())]
    assert [width / sum(widths) for width in widths] == pytest.approx([0.1 / 0.41, 0.3 / 0.41, 0.01 / 0.41], abs=0.01)


def test_cards_say_what_is_proven_and_what_is_not(show):
    page = show(mixed())
    assert "at least 25.00%" in page.locator("#model-3 .proven").text_content()
    assert "probability of at most 1e-12" in page.locator("#model-2 .open").text_content()
    assert page.locator("#model-5 .proven li").text_content() == "Nothing."
    assert "no proven lower bound" in page.locator("#model-5").text_content()
    assert page.locator("#model-5 .plot, #model-5 .breakdown").count() == 0
    assert "relu was assumed" in page.locator("#model-3 .note").text_content()
    assert "Find out why" in page.locator("#model-6 .remedy").text_content()


def test_hostile_names_are_text(show):
    page = show(hostile())
    assert page.evaluate("window.broken") is None
    assert page.locator("img, [onload], [onerror]").count() == 0
    assert page.locator("script").count() == 1
    assert HOSTILE[0] in names(page)
    assert HOSTILE[5] in names(page)


def test_the_policy_refuses_images_and_other_scripts(browser):
    page = browser.new_page()
    page.set_content(html_report(mixed()))
    page.evaluate(
        "document.addEventListener('securitypolicyviolation', (e) => (window.refused = e.effectiveDirective))"
    )
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=\"data:image/png,x\">')")
    page.wait_for_function("window.refused === 'img-src'")
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<a onclick=\"window.broken = 1\" id=x>x</a>')")
    page.locator("#x").click()
    page.wait_for_function("window.refused === 'script-src-attr'")
    assert page.evaluate("window.broken") is None
    page.close()


@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_screen(width, show):
    page = show(mixed(), viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width < 700:
        assert page.locator(".scroll").evaluate("box => box.scrollWidth <= box.clientWidth")


def contrast(page, selector):
    """Contrast of a text with its background by the formula of WCAG 2.1."""
    return page.locator(selector).first.evaluate(
        """node => {
          const parse = (text) => text.match(/[0-9.]+/g).map(Number);
          let back = node;
          while (getComputedStyle(back).backgroundColor === "rgba(0, 0, 0, 0)") back = back.parentElement;
          const light = (color) => color.slice(0, 3).map((c) => c / 255)
            .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
          const [one, other] = [getComputedStyle(node).color, getComputedStyle(back).backgroundColor]
            .map((color) => light(parse(color)) + 0.05);
          return Math.max(one, other) / Math.min(one, other);
        }"""
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(scheme, show):
    page = show(mixed(), color_scheme=scheme)
    selectors = [
        "h1",
        ".claim",
        "td a",
        *(f".badge.{state}" for state in ("certified", "undecided", "improvable", "failed")),
    ]
    assert {selector: contrast(page, selector) >= 4.5 for selector in selectors} == dict.fromkeys(selectors, True)


def test_print_opens_every_card(show):
    page = show(mixed())
    page.pdf()
    assert page.locator("details:not([open])").count() == 0


def test_a_run_without_results_says_so(show):
    page = show(report(left_out=("a.pt",)))
    assert page.locator("h1").inner_text() == "No model was checked"
    assert "a.pt: not checked" in page.locator(".notes").inner_text()
