"""The functional suite: short cases, each testing one thing a screening model must get right.

After HateCheck (Röttger et al. 2021, "HateCheck: Functional Tests for Hate Speech Detection
Models"). A case that must be found passes when it reaches review; a lawful one when it does not.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from screening.scorer import Scorer

SUITE = Path(__file__).parent / "functional.toml"


@dataclass(frozen=True)
class Functionality:
    """``expects_hit``: whether its cases must reach review."""

    id: str
    expects_hit: bool
    cases: tuple[str, ...]


def read_suite(path: Path = SUITE) -> list[Functionality]:
    """Every functionality, in the order of the file."""
    return [
        Functionality(
            given["id"],
            {"hit": True, "clear": False}[given["expected"]],
            tuple(line for line in given["cases"].splitlines() if line.strip()),
        )
        for given in tomllib.loads(path.read_text("utf-8"))["functionality"]
    ]


def pass_rates(scorer: Scorer) -> dict[str, Any]:
    """Pass rate of each functionality and of all cases together."""
    rows, passed, total = {}, 0, 0
    for functionality in read_suite():
        scores = scorer.score(functionality.cases)
        hits = [scorer.policy.decide(score).band != "clear" for score in scores]
        good = sum(hit is functionality.expects_hit for hit in hits)
        rows[functionality.id] = {
            "expected": "hit" if functionality.expects_hit else "clear",
            "cases": len(hits),
            "passed": good,
            "rate": round(good / len(hits), 4),
        }
        passed, total = passed + good, total + len(hits)
    return {"functionalities": rows, "cases": total, "rate": round(passed / total, 4)}
