"""The product's scorer: a release run by an engine."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.engines import Answer, Engine, EngineName, load_engine
from models.evidence import Evidence, find_spans
from models.release import OUTPUTS, Release, load_release
from models.tokens import Prepared, TextEncoder
from screening.policy import Policy
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS, TERRORISM, TERRORISM_LABELS
from screening.types import Score

_TERRORISM = OUTPUTS.index(TERRORISM)
_CONTEXTS = _TERRORISM + 1


class ReleaseScorer:
    """Implements ``screening.scorer.Scorer`` for a release and an engine."""

    def __init__(self, release: Release, engine: Engine) -> None:
        self._release = release
        self._engine = engine
        self._encoder = TextEncoder(
            release.tokenizer_path,
            max_tokens=release.max_tokens,
            batch_tokens=engine.batch_tokens,
            parallel=engine.parallel,
        )

    @property
    def release(self) -> str:
        return self._release.id

    @property
    def policy(self) -> Policy:
        return self._release.policy

    @property
    def engine(self) -> str:
        """Engine and arithmetic, for example ``openvino bf16``."""
        return f"{self._engine.name} {self._engine.precision}"

    def score(self, texts: Sequence[str]) -> list[Score]:
        """Score raw texts; see ``screening.scorer.Scorer``."""
        return self._scores(self._encoder.prepare(texts), texts)

    def score_chunks(self, chunks: Iterable[Sequence[str]]) -> Iterator[list[Score]]:
        """Score chunk after chunk; the next is read and tokenised in a thread meanwhile."""
        source = iter(chunks)

        def prepare_next() -> tuple[Prepared, Sequence[str]] | None:
            texts = next(source, None)
            return None if texts is None else (self._encoder.prepare(texts), texts)

        with ThreadPoolExecutor(1, thread_name_prefix="tokens") as pool:
            upcoming: Future[tuple[Prepared, Sequence[str]] | None] = pool.submit(prepare_next)
            while (prepared := upcoming.result()) is not None:
                upcoming = pool.submit(prepare_next)
                yield self._scores(*prepared)

    def logits(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Uncalibrated logits of shape (n_texts, n_outputs): what calibration is fitted on."""
        prepared = self._encoder.prepare(texts)
        logits = _text_logits(prepared, self._run(prepared)[0])
        return logits[prepared.texts]

    def _run(self, prepared: Prepared) -> tuple[npt.NDArray[np.float32], list[tuple[Answer, int]]]:
        """Logits by window, and where each window's evidence is: its answer and row there."""
        logits = np.zeros((prepared.n_windows, len(OUTPUTS)), np.float32)
        places: list[tuple[Answer, int]] = [(Answer(logits, logits), 0)] * prepared.n_windows
        for batch, answer in self._engine.run(prepared.batches):
            logits[batch.rows] = answer.logits
            for row, window in enumerate(batch.rows.tolist()):
                places[window] = (answer, row)
        return logits, places

    def _scores(self, prepared: Prepared, texts: Sequence[str]) -> list[Score]:
        windows, places = self._run(prepared)
        logits = _text_logits(prepared, windows)
        rows: list[list[float]] = self._release.calibration.probabilities(logits).round(6).tolist()
        scores = [
            self._score(row, len(window), truncated)
            for row, window, truncated in zip(
                rows, prepared.windows, prepared.truncated, strict=True
            )
        ]
        evidence = Evidence(prepared, windows, places, self._release.calibration)
        answers = []
        for number, text in zip(prepared.texts, texts, strict=True):
            decision = self.policy.decide(scores[number])
            if decision.band == "clear":
                answers.append(scores[number])
            else:
                spans = find_spans(evidence, number, text, decision.label)
                answers.append(replace(scores[number], spans=spans))
        return answers

    def _score(self, row: list[float], windows: int, truncated: bool) -> Score:
        # The group holds at least as surely as any of its labels.
        terrorism = max(*row[: len(TERRORISM_LABELS)], row[_TERRORISM])
        return Score(
            labels=dict(zip(LABEL_IDS, row, strict=False)),
            terrorism=terrorism,
            contexts=dict(zip(CONTEXT_IDS, row[_CONTEXTS:], strict=True)),
            release=self._release.id,
            windows=windows,
            truncated=truncated,
        )


def _text_logits(prepared: Prepared, windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The largest logit of a text's windows: one bad paragraph is enough."""
    if not prepared.windows:
        return windows
    starts = [window.start for window in prepared.windows]
    return np.maximum.reduceat(windows, starts, axis=0)


def load_scorer(
    release: str | os.PathLike[str] | None = None, engine: EngineName = "auto"
) -> ReleaseScorer:
    """A scorer for a release folder, or for the shipped default; on the best engine here.

    >>> scorer = load_scorer()                                   # doctest: +SKIP
    >>> scorer.score(["Selamat pagi semua"])[0].terrorism < 0.5  # doctest: +SKIP
    True
    """
    loaded = load_release(release)
    return ReleaseScorer(loaded, load_engine(loaded.model_path, engine))
