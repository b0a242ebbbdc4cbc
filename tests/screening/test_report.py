"""The report, rendered, and opened in a real browser with hostile posts in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from screening.channel import ExportSummary
from screening.report import render_report, text_pieces, timeline, write_report
from screening.rows import to_row
from screening.types import ReadReport, Span
from tests.builders import POLICY, make_post, make_score

HOSTILE = [
    "<script>document.title='OWNED'</script>",
    "<img src=x onerror=\"document.title='OWNED'\">",
    "</span></button><svg onload=\"document.title='OWNED'\">",
    '"><iframe srcdoc="<script>parent.document.title=\'OWNED\'</script>"></iframe>',
    "{{ 7*7 }} {% for x in y %}",
    "' onmouseover='document.title=\"OWNED\"' autofocus onfocus='document.title=\"OWNED\"'",
    "<meta http-equiv=refresh content=\"0;url=javascript:document.title='OWNED'\">",
    "javascript:document.title='OWNED'",
    "<style>*{display:none}</style>",
    "\u202egnp.exe \x00\x1b[31m \u2028",
]
ABOUT = {"export": "<b>ekspor</b>", "release": "fake-1", "engine": "fake"}


def summary() -> ExportSummary:
    made = ExportSummary(top_size=50)
    for number, text in enumerate(HOSTILE):
        fields: dict[str, Any] = dict.fromkeys(("author_name", "channel_name"), text)
        post = make_post(number, text, forwarded_from=text, permalink=text, **fields)
        made.add(to_row(post, make_score(0.95, spans=(Span(0, 5, "terrorism", 1.0),)), POLICY))
    made.add(to_row(make_post(99, "selamat pagi"), make_score(0.0), POLICY))
    return made


def read_report() -> ReadReport:
    report = ReadReport(posts=11)
    report.skipped["service"] = 3
    report.notes.append("<i>catatan</i>")
    return report


def test_no_hostile_text_reaches_the_page_as_markup() -> None:
    page = render_report(summary(), read_report(), ABOUT)
    assert page.count("<script") == 1
    for tag in ("<img", "<svg", "<iframe", "<i>catatan", "<b>ekspor", "<meta http-equiv=refresh"):
        assert tag not in page
    assert 'href="javascript' not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_the_page_is_self_contained_and_bilingual() -> None:
    page = render_report(summary(), read_report(), ABOUT)
    assert "src=" not in page.replace("&lt;img src=", "").replace("src=x", "")
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page
    assert "Kiriman teratas" in page
    assert "Top posts" in page


def test_pieces_put_the_text_together_again_and_mark_the_words() -> None:
    spans = (Span(0, 3, "terrorism", 1.0), Span(4, 7, "terrorism", 0.5))
    row = to_row(make_post(1, "bom itu lari"), make_score(0.95, spans=spans), POLICY)
    assert text_pieces(row) == [("bom", True), (" ", False), ("itu", True), (" lari", False)]


def test_the_timeline_groups_long_spans_and_counts_every_dated_post() -> None:
    days = {f"{year}-06-01": 2 for year in range(2000, 2026)} | {"": 5}
    bars = timeline(days, {"2010-06-01": 1})
    assert 1 < len(bars) <= 121
    assert sum(bar.posts for bar in bars) == 52
    assert sum(bar.hits for bar in bars) == 1


def test_an_export_without_dates_has_no_timeline() -> None:
    assert timeline({"": 4}, {}) == []


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api")
    write_report(tmp_path / "report.html", summary(), read_report(), ABOUT)
    with sync_api.sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        opened = browser.new_page()
        opened.goto((tmp_path / "report.html").as_uri())
        yield opened
        browser.close()


def test_in_a_browser_no_script_of_a_post_runs(page: Any) -> None:
    dialogs: list[object] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog))  # noqa: PLW0108  needs a function
    for button in page.locator("[data-toggle]").all():
        button.hover()
        button.click()
    page.wait_for_timeout(300)
    assert "OWNED" not in page.title()
    assert not dialogs
    # An inline script that a hole might let in is refused by the policy all the same.
    page.evaluate(
        "() => { const s = document.createElement('script');"
        " s.textContent = \"document.title='OWNED'\"; document.body.append(s); }"
    )
    assert "OWNED" not in page.title()
    assert page.locator("article img, article svg, article iframe, article style").count() == 0


def test_in_a_browser_text_is_blurred_until_clicked(page: Any) -> None:
    text = page.locator("article .text .inner").first
    blur = "element => getComputedStyle(element).filter"
    assert "blur" in text.evaluate(blur)
    page.locator("article [data-toggle]").first.click()
    assert text.evaluate(blur) == "none"


def test_in_a_browser_the_language_switches(page: Any) -> None:
    heading = page.locator("h2").first
    assert heading.inner_text() == "Garis waktu"
    page.locator("[data-language=en]").click()
    assert heading.inner_text() == "Timeline"
