"""Lawful posts held out for evaluation, by domain: what a false positive is counted on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from screening.labelled import LabelledPost
from training.data import LAWFUL_SOURCES, lawful_posts
from training.mapping import load_mapped, read_mapping

PER_SET = 3000
"""Posts of one set at most, drawn by a fixed seed: commentary runs to thousands of long texts."""

DOMAINS: Mapping[str, tuple[str, ...]] = {
    "news": ("news_headlines_narasipal",),
    "scripture": ("scripture_quran_id", "scripture_tafsir_id"),
    "political criticism": ("hate_speech_alfina_2017",),
    "product reviews": ("indonlu_smsa",),
    "everyday tweets": ("indonlu_emot", "hate_speech_ibrohim_budi_2019"),
}
"""Sets of each domain. Of the hate-speech sets only rows without hate speech are lawful for sure;
the political one is about the Jakarta election of 2017."""

_HATE_SPEECH = {
    "hate_speech_alfina_2017": "alfina_2017",
    "hate_speech_ibrohim_budi_2019": "ibrohim_budi_2019",
}

IDENTITY_TERMS: Mapping[str, str] = {
    "Islam": r"islam\w*|muslim\w*",
    "Christian": r"kristen|nasrani|protestan|gereja",
    "Catholic": r"katolik|paus",
    "Hindu": r"hindu",
    "Buddhist": r"bud+ha|budha",
    "Jewish": r"yahudi",
    "Ahmadiyya": r"ahmadiyah",
    "Shia": r"syiah|syi'ah",
    "Chinese": r"cina|china|tionghoa|chinese",
    "Arab": r"arab",
    "Papuan": r"papua",
    "Javanese": r"jawa",
    "Batak": r"batak",
    "Madurese": r"madura",
    "Palestinian": r"palestina",
    "Israeli": r"israel",
    "unbeliever": r"kafir|orang-orang yang kafir",
}
"""Terms of religion and ethnicity, as words of a lower-cased text."""


def domain_sets(folder: Path, *, seed: int = 0) -> dict[str, dict[str, list[LabelledPost]]]:
    """``{domain: {set: posts}}`` of the sets that ``folder`` holds, training rows left out."""
    found: dict[str, dict[str, list[LabelledPost]]] = {}
    for domain, sets in DOMAINS.items():
        for name in sets:
            path = folder / f"{name}.jsonl.gz"
            if path.exists():
                posts = _thinned(list(_held_out(name, path)), seed)
                found.setdefault(domain, {})[name] = posts
    return found


def identity_groups(text: str) -> Iterator[str]:
    """Groups that ``text`` names."""
    lowered = text.lower()
    for group, pattern in _PATTERNS.items():
        if pattern.search(lowered):
            yield group


_PATTERNS = {group: re.compile(rf"\b(?:{terms})\b") for group, terms in IDENTITY_TERMS.items()}


def _held_out(name: str, path: Path) -> Iterator[LabelledPost]:
    if name in _HATE_SPEECH:
        posts = load_mapped(read_mapping(_HATE_SPEECH[name]), [path])
        yield from (post for post in posts if post.is_yes("hate_speech") is False)
        return
    trained = {source.name: source for source in LAWFUL_SOURCES}
    yield from lawful_posts(path, trained.get(name), held_out=True)


def _thinned(posts: list[LabelledPost], seed: int) -> list[LabelledPost]:
    if len(posts) <= PER_SET:
        return posts
    chosen = np.random.default_rng(seed).permutation(len(posts))[:PER_SET]
    return [posts[index] for index in sorted(chosen)]
