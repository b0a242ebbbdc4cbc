"""Reviewers' labels and the corpus as one set, split so that nothing leaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from screening.labelled import LabelledPost
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from screening.text import normalise_text
from training.data import SPLITS, Split, fixed_split
from training.families import groups

ANSWERED = (*LABEL_IDS, *CONTEXT_IDS)
CONSENSUS = "consensus"
"""Who labelled a row that a service settled from several people's."""

STRICTEST: tuple[Split, ...] = ("test", "validation", "train")


def merged(corpus: Sequence[LabelledPost], reviews: Sequence[LabelledPost]) -> list[LabelledPost]:
    """One post per text. A person's answer outranks the corpus; where people disagree about a
    label, it is unknown and teaches nothing."""
    by_text: dict[str, list[LabelledPost]] = {}
    for post in reviews:
        by_text.setdefault(_flat(post), []).append(post)
    posts = []
    for post in corpus:
        people = by_text.pop(_flat(post), [])
        posts.append(_answered(post, people) if people else post)
    return posts + [_answered(people[0], people) for people in by_text.values()]


def _answered(post: LabelledPost, people: Sequence[LabelledPost]) -> LabelledPost:
    """``post`` with what ``people`` agree on; its own answer where none of them gave one.

    Rows of ``CONSENSUS`` hold what was settled after the others, which count no longer.
    """
    people = [row for row in people if row.labelled_by == CONSENSUS] or people
    answers = {label: _consensus(label, post, people) for label in ANSWERED}
    return replace(
        post,
        labels=frozenset(label for label in LABEL_IDS if answers[label]),
        contexts=frozenset(context for context in CONTEXT_IDS if answers[context]),
        unknown=frozenset(label for label in ANSWERED if answers[label] is None),
    )


def _consensus(label: str, post: LabelledPost, people: Sequence[LabelledPost]) -> bool | None:
    given = {answer for person in people if (answer := person.is_yes(label)) is not None}
    if not given:
        return post.is_yes(label)
    return given.pop() if len(given) == 1 else None


def split_posts(posts: Sequence[LabelledPost]) -> dict[Split, list[LabelledPost]]:
    """Posts by split; a group of minimal pairs, near-duplicates and one channel never straddles.

    A group that holds families of several splits goes whole to the strictest: what touches the
    test is never trained on.
    """
    names = groups(posts)
    where: dict[str, Split] = {}
    for post, name in zip(posts, names, strict=True):
        own = fixed_split(post)
        held = where.setdefault(name, own)
        where[name] = min(held, own, key=STRICTEST.index)
    parts: dict[Split, list[LabelledPost]] = {split: [] for split in SPLITS}
    for post, name in zip(posts, names, strict=True):
        parts[where[name]].append(post)
    return parts


def _flat(post: LabelledPost) -> str:
    return " ".join(normalise_text(post.text).lower().split())
