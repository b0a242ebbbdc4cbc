"""A stream of posts to a file of rows: bounded memory, and nothing lost when it is killed.

Posts are scored in chunks. Each finished chunk is one *part* in a work folder beside the output,
written whole or not at all. A second run reads the input again, checks each finished part against
the posts it was made of, scores the rest, and then writes the outputs from all parts in one go,
so that a run that was killed gives the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import orjson

from screening.errors import OutputError, ResumeError
from screening.rows import Row, score_of_row, to_row
from screening.scorer import Scorer
from screening.types import Post, Score

CHUNK_POSTS = 1024
"""Posts per part: what a kill can cost."""

REMEMBERED_TEXTS = 100_000
"""Texts whose scores are kept to be reused for exact duplicates."""

Digest = bytes
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: posts done, of them above ``clear``, and taken from earlier work."""

    posts: int
    hits: int
    resumed: int


class WorkFolder:
    """Finished parts of one run, and the settings they were made with."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder = folder
        self._settings = dict(settings)

    def open(self, *, restart: bool = False) -> None:
        """Accept the folder of an equal run; a new one comes with the first part.

        Raises
        ------
        ResumeError
            Parts are there, made with other settings.
        """
        if restart:
            self.remove()
        if not self._marker.exists():
            return
        earlier = orjson.loads(self._marker.read_bytes())
        changed = [key for key, value in self._settings.items() if earlier.get(key) != value]
        if changed:
            raise ResumeError(
                f"{self._folder}: earlier work was done with another {', '.join(changed)} "
                f"({earlier.get(changed[0])!r}, now {self._settings[changed[0]]!r}); "
                "run the earlier command again, or add --no-resume to start over"
            )

    @property
    def _marker(self) -> Path:
        return self._folder / "run.json"

    def part(self, number: int) -> Path:
        return self._folder / f"part-{number:07d}.jsonl"

    def write_part(self, number: int, digest: str, rows: Iterable[Row]) -> None:
        if not self._marker.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            _write_durably(self._marker, orjson.dumps(self._settings, option=orjson.OPT_SORT_KEYS))
        lines = [orjson.dumps({"input": digest}), *map(orjson.dumps, rows), b""]
        _write_durably(self.part(number), b"\n".join(lines))

    def read_part(self, number: int) -> tuple[str, list[Row]] | None:
        """Input digest and rows of a finished part, or ``None`` where there is none."""
        try:
            lines = self.part(number).read_bytes().splitlines()
        except FileNotFoundError:
            return None
        header, *rows = map(orjson.loads, lines)
        return header["input"], rows

    def rows(self) -> Iterator[Row]:
        """All rows of all parts, in the order of the posts."""
        number = 0
        while (part := self.read_part(number)) is not None:
            yield from part[1]
            number += 1

    def remove(self) -> None:
        if self._folder.exists():
            shutil.rmtree(self._folder)


def score_posts(
    posts: Iterable[Post],
    scorer: Scorer,
    work: WorkFolder,
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    chunk_posts: int = CHUNK_POSTS,
) -> Progress:
    """Score ``posts`` into ``work``, taking over the parts that are already there.

    Raises
    ------
    ResumeError
        A finished part was made from other posts: the input changed.
    """
    run = _Run(scorer, work, iter(posts), chunk_posts, on_progress)
    run.take_over()
    run.score_rest()
    return run.progress


class _Run:
    def __init__(
        self,
        scorer: Scorer,
        work: WorkFolder,
        posts: Iterator[Post],
        chunk_posts: int,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self._scorer = scorer
        self._work = work
        self._posts = posts
        self._chunk_posts = chunk_posts
        self._on_progress = on_progress
        self._number = 0
        self._pending: deque[list[Post]] = deque()
        # Planned while reading, known once scored: the same texts in the same order, so that
        # both forget the same ones.
        self._planned: _Remembered[None] = _Remembered()
        self._known: _Remembered[Score] = _Remembered()
        self.progress = Progress(0, 0, 0)

    def take_over(self) -> None:
        """Read the posts of finished parts again, check them, and remember their scores."""
        while (part := self._work.read_part(self._number)) is not None:
            digest, rows = part
            posts = list(islice(self._posts, self._chunk_posts))
            if digest != _digest_of(posts) or len(rows) != len(posts):
                raise ResumeError(
                    f"{self._work.part(self._number)}: was made from other posts than the input "
                    "now holds; add --no-resume to start over"
                )
            for post, row in zip(posts, rows, strict=True):
                self._planned.add(_text_digest(post), None)
                self._known.add(_text_digest(post), score_of_row(row))
            self._advance(rows, resumed=len(rows))

    def score_rest(self) -> None:
        for scores in self._scorer.score_chunks(self._unscored_texts()):
            posts = self._pending.popleft()
            rows = self._rows(posts, iter(scores))
            self._work.write_part(self._number, _digest_of(posts), rows)
            self._advance(rows)

    def _unscored_texts(self) -> Iterator[Sequence[str]]:
        """Per chunk, the texts nobody remembers; runs in the scorer's reading thread."""
        while posts := list(islice(self._posts, self._chunk_posts)):
            self._pending.append(posts)
            texts = []
            for post in posts:
                if not self._planned.add(_text_digest(post), None):
                    texts.append(post.text)
            yield texts

    def _rows(self, posts: list[Post], scores: Iterator[Score]) -> list[Row]:
        rows = []
        for post in posts:
            digest = _text_digest(post)
            score = self._known.get(digest)
            if score is None:
                score = next(scores)
            self._known.add(digest, score)
            rows.append(to_row(post, score, self._scorer.policy))
        return rows

    def _advance(self, rows: Sequence[Row], resumed: int = 0) -> None:
        self._number += 1
        self.progress = Progress(
            self.progress.posts + len(rows),
            self.progress.hits + sum(row["band"] != "clear" for row in rows),
            self.progress.resumed + resumed,
        )
        self._on_progress(self.progress)


class _Remembered(Generic[Value]):
    """The last ``REMEMBERED_TEXTS`` distinct texts, least recently met forgotten first."""

    def __init__(self) -> None:
        self._values: OrderedDict[Digest, Value] = OrderedDict()

    def get(self, digest: Digest) -> Value | None:
        return self._values.get(digest)

    def add(self, digest: Digest, value: Value) -> bool:
        """Remember; ``True`` where the text was remembered already."""
        is_known = digest in self._values
        self._values[digest] = value
        self._values.move_to_end(digest)
        if len(self._values) > REMEMBERED_TEXTS:
            self._values.popitem(last=False)
        return is_known


def _text_digest(post: Post) -> Digest:
    return hashlib.blake2b(post.text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _digest_of(posts: Iterable[Post]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for post in posts:
        digest.update(post.key.encode("utf-8", "surrogatepass") + b"\0" + _text_digest(post))
    return digest.hexdigest()


def _write_durably(path: Path, content: bytes) -> None:
    """Write a file that is either whole or absent, also after a power cut."""
    scratch = path.with_suffix(".partial")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another -o, then "
            "run the same command again: finished work is kept"
        ) from error
