from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from screening import batch
from screening.batch import WorkFolder, score_posts
from screening.errors import OutputError, ResumeError
from screening.rows import Row
from screening.types import Post
from tests.builders import FakeScorer, make_post


def posts(count: int = 25) -> list[Post]:
    return [make_post(n, text="xab"[: n % 3 + 1] * (n % 5 + 1)) for n in range(count)]


def run(
    folder: Path, given: list[Post], scorer: FakeScorer | None = None, release: str = "fake-1"
) -> list[Row]:
    work = WorkFolder(folder, {"release": release})
    work.open()
    score_posts(given, scorer or FakeScorer(), work, chunk_posts=4)
    return list(work.rows())


def test_every_post_gets_one_row_in_order(tmp_path: Path) -> None:
    rows = run(tmp_path / "work", posts())
    assert [row["key"] for row in rows] == [f"telegram:1001:{n}" for n in range(25)]
    assert [row["text"] for row in rows] == [post.text for post in posts()]
    # 'xab' has one x in three letters: 1/3.
    assert rows[2]["terrorism"] == pytest.approx(1 / 3, abs=1e-6)


def test_equal_texts_are_scored_once_across_chunks(tmp_path: Path) -> None:
    scorer = FakeScorer()
    run(tmp_path / "work", posts(100), scorer)
    assert sorted(scorer.asked) == sorted({post.text for post in posts(100)})


def test_forgetting_texts_changes_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = run(tmp_path / "a", posts(100))
    monkeypatch.setattr(batch, "REMEMBERED_TEXTS", 3)
    assert run(tmp_path / "b", posts(100)) == expected


class Killed(Exception):
    pass


def killed_after(given: list[Post], count: int) -> Iterator[Post]:
    yield from given[:count]
    raise Killed


@pytest.mark.parametrize("count", [0, 1, 4, 7, 8, 13, 24])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, count: int) -> None:
    run(tmp_path / "whole", posts())
    broken = WorkFolder(tmp_path / "broken", {"release": "fake-1"})
    broken.open()
    with pytest.raises(Killed):
        score_posts(killed_after(posts(), count), FakeScorer(), broken, chunk_posts=4)
    scorer = FakeScorer()
    run(tmp_path / "broken", posts(), scorer)
    for part in sorted((tmp_path / "whole").iterdir()):
        assert (tmp_path / "broken" / part.name).read_bytes() == part.read_bytes()
    finished = {post.text for post in posts()[: count // 4 * 4]}
    assert not finished & set(scorer.asked)


def test_a_changed_input_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "work", posts())
    changed = [make_post(0, text="lain"), *posts()[1:]]
    with pytest.raises(ResumeError, match="other posts than the input"):
        run(tmp_path / "work", changed)


def test_another_release_is_refused_and_named(tmp_path: Path) -> None:
    run(tmp_path / "work", posts())
    with pytest.raises(ResumeError, match=r"another release .'fake-1', now 'fake-2'"):
        run(tmp_path / "work", posts(), release="fake-2")


def test_a_restart_drops_earlier_work(tmp_path: Path) -> None:
    run(tmp_path / "work", posts())
    work = WorkFolder(tmp_path / "work", {"release": "fake-2"})
    work.open(restart=True)
    assert list(work.rows()) == []


def test_a_full_disk_is_a_clear_error_and_keeps_finished_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = WorkFolder(tmp_path / "work", {})
    work.open()
    calls = iter(range(100))

    def fsync(_: int) -> None:
        if next(calls) == 3:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("screening.batch.os.fsync", fsync)
    with pytest.raises(OutputError, match=r"No space left on device.*finished work is kept"):
        score_posts(posts(), FakeScorer(), work, chunk_posts=4)
    assert len(list(work.rows())) == 8
