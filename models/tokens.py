"""Texts to token batches: normalised, cut into windows, batched by length, duplicates merged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from models.errors import ReleaseError
from screening.text import normalise_text

Ids = npt.NDArray[np.int64]

WINDOW_OVERLAP = 0.25
"""Share of a window repeated in the next, so that no phrase is only ever seen cut in two."""

MAX_WINDOWS = 64
"""Windows scored per text; a longer text is reported as truncated."""


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """``input_ids`` and ``attention_mask`` of shape (n, length), and each row's window number."""

    input_ids: Ids
    attention_mask: Ids
    rows: Ids


@dataclass(frozen=True, slots=True)
class Prepared:
    """Token batches of a chunk of texts.

    ``texts[i]`` is the number of the distinct normalised text of input ``i``; ``windows``,
    ``truncated`` and ``offsets`` are by that number. ``offsets`` are each token's ``(begin, end)``
    in the normalised text; window ``k`` of a text starts at its token ``k * stride``.
    """

    batches: list[TokenBatch]
    texts: list[int]
    normalised: list[str]
    windows: list[range]
    truncated: list[bool]
    offsets: list[Sequence[tuple[int, int]]]
    n_windows: int
    stride: int


class TextEncoder:
    """The release's tokenizer and window size."""

    def __init__(
        self, tokenizer_path: Path, *, max_tokens: int, batch_tokens: int, parallel: int = 1
    ) -> None:
        try:
            self._tokenizer = Tokenizer.from_file(str(tokenizer_path))
        except Exception as error:  # tokenizers raises a bare Exception
            raise ReleaseError(f"{tokenizer_path}: not a tokenizer file ({error})") from error
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._begin, self._end = self._ends(tokenizer_path)
        self._max_tokens = max_tokens
        self._stride = max(1, round((max_tokens - 2) * (1 - WINDOW_OVERLAP)))
        self._batch_tokens = batch_tokens
        self._parallel = parallel

    def _ends(self, path: Path) -> tuple[int, int]:
        """The tokens around a text, whatever the tokenizer calls them."""
        ends = self._tokenizer.encode("").ids
        if len(ends) != 2:
            raise ReleaseError(
                f"{path}: puts {len(ends)} tokens around a text, expected one before and one after"
            )
        return ends[0], ends[1]

    def prepare(self, texts: Sequence[str]) -> Prepared:
        """Raw texts to token batches, at most ``batch_tokens`` tokens each; of few texts as many
        batches as are computed at once."""
        normalised = [normalise_text(text) for text in texts]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(normalised))}
        encodings = self._tokenizer.encode_batch(list(numbers), add_special_tokens=False)
        windows: list[list[int]] = []
        ranges: list[range] = []
        truncated: list[bool] = []
        for encoding in encodings:
            pieces, is_cut = self._windows(encoding.ids)
            ranges.append(range(len(windows), len(windows) + len(pieces)))
            truncated.append(is_cut)
            windows += pieces
        return Prepared(
            batches=self._batches(windows),
            texts=[numbers[text] for text in normalised],
            normalised=list(numbers),
            windows=ranges,
            truncated=truncated,
            offsets=[encoding.offsets for encoding in encodings],
            n_windows=len(windows),
            stride=self._stride,
        )

    def _windows(self, ids: list[int]) -> tuple[list[list[int]], bool]:
        room = self._max_tokens - 2
        starts = range(0, max(1, len(ids) - room + self._stride), self._stride)
        kept = starts[:MAX_WINDOWS]
        windows = [[self._begin, *ids[start : start + room], self._end] for start in kept]
        return windows, len(starts) > len(kept)

    def _batches(self, windows: list[list[int]]) -> list[TokenBatch]:
        """Windows of one length each, never padded: padding would move the last bits of a sum, and
        through int8 rounding the scores, so that they would depend on the texts beside it."""
        by_length: dict[int, list[int]] = {}
        for row, window in enumerate(windows):
            by_length.setdefault(len(window), []).append(row)
        # Two pieces for each core, so that one that is busy with other work holds up little.
        pieces = 2 * self._parallel if self._parallel > 1 else 1
        share = sum(map(len, windows)) / pieces
        # Longest first: the last to finish is then a short one, and both cores end together.
        return [
            self._batch(windows, rows)
            for length in sorted(by_length, reverse=True)
            for rows in _cut(by_length[length], self._rows(length, share))
        ]

    def _rows(self, length: int, share: float) -> int:
        return max(1, min(self._batch_tokens // length, math.ceil(share / length)))

    def _batch(self, windows: list[list[int]], rows: Sequence[int]) -> TokenBatch:
        ids = np.array([windows[row] for row in rows], np.int64)
        return TokenBatch(ids, np.ones_like(ids), np.array(rows))


def _cut(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
