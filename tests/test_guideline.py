"""What reviewers follow is what their reviews name."""

from __future__ import annotations

from pathlib import Path

from screening.taxonomy import GUIDELINE_VERSION, TAXONOMY_VERSION

GUIDELINE = Path(__file__).parent.parent / "training" / "GUIDELINE.md"


def test_the_guideline_has_the_version_that_reviews_record() -> None:
    text = GUIDELINE.read_text("utf-8")
    assert text.splitlines()[0] == f"# Labelling guideline {GUIDELINE_VERSION}"
    assert f"by taxonomy {TAXONOMY_VERSION} " in text
