"""Scores of a whole export, rolled up: which channels and accounts, when, forwarded from where."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import heappush, heappushpop
from typing import Any

from screening.taxonomy import LABEL_IDS

MAX_ACCOUNTS = 50_000
"""Accounts with hits kept apart; later ones are counted together, so that memory is bounded."""

FLAG = 0.5
"""Probability from which a label counts as held in a label mix: more likely than not."""


@dataclass(slots=True)
class Tally:
    """Posts of one channel or account."""

    name: str
    posts: int = 0
    review: int = 0
    urgent: int = 0
    max_score: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    first_hit: str | None = None
    last_hit: str | None = None

    @property
    def hits(self) -> int:
        return self.review + self.urgent

    def add(self, row: Mapping[str, Any]) -> None:
        self.posts += 1
        self.max_score = max(self.max_score, row["score"])
        if row["band"] == "clear":
            return
        self.urgent += row["band"] == "urgent"
        self.review += row["band"] == "review"
        self.labels.update(held_labels(row))
        if row["posted_at"]:
            self.first_hit = min(self.first_hit or row["posted_at"], row["posted_at"])
            self.last_hit = max(self.last_hit or row["posted_at"], row["posted_at"])


def held_labels(row: Mapping[str, Any]) -> list[str]:
    """Labels more likely than not, or the most likely one."""
    labels = row["labels"]
    held = [label for label in LABEL_IDS if labels[label] >= FLAG]
    return held or [max(LABEL_IDS, key=lambda label: labels[label])]


@dataclass(slots=True)
class ExportSummary:
    """Everything a report shows, gathered in one pass over the rows with bounded memory."""

    top_size: int
    posts: int = 0
    bands: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    days: Counter[str] = field(default_factory=Counter)
    hit_days: Counter[str] = field(default_factory=Counter)
    channels: OrderedDict[str, Tally] = field(default_factory=OrderedDict)
    accounts: OrderedDict[str, Tally] = field(default_factory=OrderedDict)
    origins: Counter[str] = field(default_factory=Counter)
    other_accounts: int = 0
    truncated: int = 0
    _top: list[tuple[float, int, Mapping[str, Any]]] = field(default_factory=list)

    def add(self, row: Mapping[str, Any]) -> None:
        self.posts += 1
        self.bands[row["band"]] += 1
        self.truncated += row["truncated"]
        day = (row["posted_at"] or "")[:10]
        self.days[day] += 1
        self._tally(
            self.channels, row["channel_id"] or row["channel_name"], row["channel_name"], row
        )
        if row["band"] != "clear":
            self.hit_days[day] += 1
            self.labels.update(held_labels(row))
            self._tally(
                self.accounts, row["author_id"] or row["author_name"], row["author_name"], row
            )
            if row["forwarded_from"]:
                self._count_origin(row["forwarded_from"])
        self._keep_if_top(row)

    def top(self) -> list[Mapping[str, Any]]:
        """The highest scores first; equal scores in the order of the posts."""
        return [row for _, _, row in sorted(self._top, key=lambda item: (-item[0], -item[1]))]

    def top_accounts(self, size: int) -> list[tuple[str, Tally]]:
        return _ranked(self.accounts, size)

    def top_channels(self, size: int) -> list[tuple[str, Tally]]:
        return _ranked(self.channels, size)

    def _keep_if_top(self, row: Mapping[str, Any]) -> None:
        item = (row["score"], -self.posts, row)
        if len(self._top) < self.top_size:
            heappush(self._top, item)
        elif self._top and item[:2] > self._top[0][:2]:
            heappushpop(self._top, item)

    def _tally(
        self,
        tallies: OrderedDict[str, Tally],
        key: str | None,
        name: str | None,
        row: Mapping[str, Any],
    ) -> None:
        if key is None:
            return
        if key not in tallies:
            if len(tallies) >= MAX_ACCOUNTS:
                self.other_accounts += 1
                return
            tallies[key] = Tally(name or key)
        tallies[key].add(row)

    def _count_origin(self, origin: str) -> None:
        if origin in self.origins or len(self.origins) < MAX_ACCOUNTS:
            self.origins[origin] += 1


def _ranked(tallies: Mapping[str, Tally], size: int) -> list[tuple[str, Tally]]:
    with_hits = [item for item in tallies.items() if item[1].hits]
    return sorted(with_hits, key=lambda item: (-item[1].urgent, -item[1].hits, item[0]))[:size]
