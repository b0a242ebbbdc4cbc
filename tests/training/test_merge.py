"""Reviewers' labels against the corpus, and a split that nothing crosses."""

from __future__ import annotations

from dataclasses import replace

from screening.labelled import LabelledPost
from training.data import in_split, read_corpus, split_of
from training.families import groups, near_duplicates
from training.merge import merged, split_posts

LONG = "selamat pagi warga sekalian, kerja bakti dimulai pukul tujuh di balai desa, bawa sapu"


def post(name: str, text: str, *labels: str, **fields: str) -> LabelledPost:
    given = {"family": name, **fields}
    return LabelledPost(name, text, frozenset(labels), **given)  # type: ignore[arg-type]


def test_a_person_outranks_the_corpus() -> None:
    (one,) = merged([post("a", "Teks  sama")], [post("r", "teks sama", "threat")])
    assert (one.id, one.labels) == ("a", {"threat"})


def test_where_people_disagree_the_label_is_unknown_and_the_rest_stands() -> None:
    yes, no = post("r1", "teks", "threat", "radicalism"), post("r2", "teks", "radicalism")
    (one,) = merged([post("a", "teks", "threat")], [yes, no])
    assert one.labels == {"radicalism"}
    assert one.is_yes("threat") is None
    assert one.is_yes("financing") is False


def test_what_was_settled_outranks_the_people_who_disagreed() -> None:
    yes, no = post("r1", "teks", "threat"), post("r2", "teks")
    settled = post("r3", "teks", "threat", labelled_by="consensus")
    (one,) = merged([], [yes, no, settled])
    assert one.is_yes("threat") is True


def test_a_label_nobody_answered_keeps_the_corpus_s_answer() -> None:
    silent = replace(post("r", "teks"), unknown=frozenset({"threat"}))
    (one,) = merged([post("a", "teks", "threat")], [silent])
    assert one.is_yes("threat") is True


def test_near_duplicates_channels_and_families_are_one_group() -> None:
    posts = [
        post("f1", LONG),
        post("f2", LONG + "!!"),
        post("f3", "lain sekali dari yang tadi", channel="c"),
        post("f4", "juga lain, tetapi dari kanal yang sama", channel="c"),
        post("f5", "sendiri"),
    ]
    assert groups(posts) == ["f1", "f1", "f3", "f3", "f5"]


def test_a_review_like_a_test_post_is_never_trained_on() -> None:
    names = [f"n{number}" for number in range(200)]
    held = next(name for name in names if split_of(name) == "test")
    other = next(name for name in names if split_of(name) == "train")
    parts = split_posts([post(held, LONG), post(other, LONG + " ya")])
    assert [len(parts[split]) for split in ("train", "validation", "test")] == [0, 0, 2]


def test_a_split_fixed_by_the_source_is_kept() -> None:
    parts = split_posts([post(f"n{n}", f"teks nomor {n}", split="validation") for n in range(9)])
    assert len(parts["validation"]) == 9


def test_no_near_duplicate_of_the_corpus_straddles_a_split() -> None:
    posts = read_corpus()
    for first, second in near_duplicates([post.text for post in posts]):
        assert split_of(posts[first].family) == split_of(posts[second].family), posts[second].id


def test_the_corpus_alone_splits_as_by_family() -> None:
    posts = read_corpus()
    for split, part in split_posts(posts).items():
        assert [p.id for p in part] == [p.id for p in in_split(posts, split)]
