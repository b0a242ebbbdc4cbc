"""Leakage-free groups: minimal pairs, near-duplicates and channels that must share a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from datasketch import MinHash, MinHashLSH

from screening.labelled import LabelledPost
from screening.text import normalise_text

SIMILARITY = 0.8
"""Jaccard similarity of character 5-grams from which two texts are near-duplicates."""

SHINGLE = 5
PERMUTATIONS = 128


def groups(posts: Sequence[LabelledPost]) -> list[str]:
    """Each post's group: the smallest family name among the posts it is tied to.

    Posts are tied by family, by channel, and by near-duplicate text (MinHash; Broder 1997), and
    so are those tied to these.
    """
    parent = list(range(len(posts)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    for first, second in _ties(posts):
        parent[root(first)] = root(second)
    names: dict[int, str] = {}
    for number, post in enumerate(posts):
        top = root(number)
        names[top] = min(names.get(top, post.family), post.family)
    return [names[root(number)] for number in range(len(posts))]


def _ties(posts: Sequence[LabelledPost]) -> Iterator[tuple[int, int]]:
    for key in ("family", "channel"):
        first: dict[str, int] = {}
        for number, post in enumerate(posts):
            if value := getattr(post, key):
                yield first.setdefault(value, number), number
    yield from near_duplicates([post.text for post in posts])


def near_duplicates(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of texts, as an earlier and a later number, whose normalised forms nearly agree."""
    index = MinHashLSH(threshold=SIMILARITY, num_perm=PERMUTATIONS)
    hashes: list[MinHash] = []
    for number, text in enumerate(texts):
        shingles = _shingles(text)
        hashed = MinHash(num_perm=PERMUTATIONS)
        hashed.update_batch([shingle.encode("utf-8", "surrogatepass") for shingle in shingles])
        hashes.append(hashed)
        for other in index.query(hashed):
            known = _shingles(texts[other])
            if len(shingles & known) >= SIMILARITY * len(shingles | known):
                yield other, number
        index.insert(number, hashed, check_duplication=False)


def _shingles(text: str) -> set[str]:
    flat = " ".join(normalise_text(text).lower().split())
    return {flat[at : at + SHINGLE] for at in range(max(1, len(flat) - SHINGLE + 1))}
