"""The analyst's report: one self-contained HTML file, in Indonesian and English.

Post text is hostile. It reaches the page only through Jinja2's autoescape, and the page's content
security policy lets no script run but the one below, named by its hash.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from screening.channel import ExportSummary
from screening.outputs import replaced
from screening.taxonomy import CONTEXTS, LABELS, TAXONOMY_VERSION, TERRORISM
from screening.text import display_text
from screening.types import ReadReport

TOP_ACCOUNTS = 20
MAX_BARS = 120
"""Bars of the timeline; longer spans are grouped by several days a bar."""

_SCRIPT = """
document.addEventListener('click', function (event) {
  var toggle = event.target.closest('[data-toggle]');
  if (toggle) { toggle.closest('.post').classList.toggle('shown'); return; }
  var language = event.target.closest('[data-language]');
  if (language) { document.documentElement.lang = language.dataset.language; }
});
"""

_NAMES = {label.id: (label.name_id, label.name_en) for label in (*LABELS, *CONTEXTS)}
_NAMES[TERRORISM] = ("Terorisme", "Terrorism")
_NAMES |= {"clear": ("Aman", "Clear"), "review": ("Perlu ditinjau", "Review")}
_NAMES |= {"urgent": ("Mendesak", "Urgent")}


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the timeline: its first day, posts and hits, and heights in percent."""

    label: str
    posts: int
    hits: int
    height: float
    hit_height: float


def write_report(
    path: Path, summary: ExportSummary, read: ReadReport, about: Mapping[str, str]
) -> None:
    """Write the report of one run; ``about`` names export, release and engine."""
    with replaced(path) as scratch:
        scratch.write_text(render_report(summary, read, about), "utf-8")


def render_report(summary: ExportSummary, read: ReadReport, about: Mapping[str, str]) -> str:
    """The report as one HTML document."""
    environment = Environment(
        loader=PackageLoader("screening"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["shown"] = display_text
    environment.filters["pieces"] = text_pieces
    environment.globals["both"] = both
    environment.globals["name"] = name
    digest = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    total = max(summary.labels.values(), default=1)
    return environment.get_template("report.html").render(
        summary=summary,
        read=read,
        about=about,
        bars=timeline(summary.days, summary.hit_days),
        mix=[(key, count, 100 * count / total) for key, count in summary.labels.most_common()],
        accounts=summary.top_accounts(TOP_ACCOUNTS),
        channels=summary.top_channels(TOP_ACCOUNTS),
        origins=summary.origins.most_common(TOP_ACCOUNTS),
        top=summary.top(),
        script=Markup(_SCRIPT),  # noqa: S704  our own constant
        script_hash=digest,
        taxonomy=TAXONOMY_VERSION,
    )


def both(indonesian: str, english: str) -> Markup:
    """Both languages; the page's language shows one."""
    return Markup('<span lang="id">{}</span><span lang="en">{}</span>').format(indonesian, english)


def name(identifier: str) -> Markup:
    """A label, context or band by its names."""
    return both(*_NAMES[identifier])


def text_pieces(row: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """A row's text cut at its spans: (piece, whether it drove the score)."""
    text, at = row["text"], 0
    pieces: list[tuple[str, bool]] = []
    for span in row["spans"]:
        if span["begin"] > at:
            pieces.append((text[at : span["begin"]], False))
        pieces.append((text[max(at, span["begin"]) : span["end"]], True))
        at = max(at, span["end"])
    pieces.append((text[at:], False))
    return [(display_text(piece), is_span) for piece, is_span in pieces if piece]


def timeline(days: Mapping[str, int], hit_days: Mapping[str, int]) -> Sequence[Bar]:
    """Posts and hits per day, or per group of days in a long span; undated posts left out."""
    dated = {date.fromisoformat(day): count for day, count in days.items() if day}
    if not dated:
        return []
    first, last = min(dated), max(dated)
    step = (last - first).days // MAX_BARS + 1
    counts = [[0, 0] for _ in range((last - first).days // step + 1)]
    for day, posts in dated.items():
        counts[(day - first).days // step][0] += posts
        counts[(day - first).days // step][1] += hit_days.get(day.isoformat(), 0)
    most = max(posts for posts, _ in counts)
    most_hits = max((hits for _, hits in counts), default=0) or 1
    return [
        Bar(
            (first + timedelta(days=index * step)).isoformat(),
            posts,
            hits,
            100 * posts / most,
            100 * hits / most_hits,
        )
        for index, (posts, hits) in enumerate(counts)
    ]
