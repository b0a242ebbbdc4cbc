"""Which words drove a score: each token's part of a logit, added up by word.

The head is linear over the mean of the token states, so a logit is the sum of one number per
token and a constant (exact, and free: no further pass of the model).
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.engines import Answer
from models.release import OUTPUTS
from models.tokens import Prepared
from screening.calibration import Calibration
from screening.text import normalise
from screening.types import Span

MAX_WORDS = 8
"""Words named per post: the strongest ones."""

_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the engine said of a chunk: logits and token evidence by window."""

    prepared: Prepared
    logits: npt.NDArray[np.float32]
    places: list[tuple[Answer, int]]
    calibration: Calibration

    def token_weights(self, number: int, output: int) -> dict[tuple[int, int], float]:
        """Log-odds by token offset, of the window of text ``number`` that scored highest."""
        windows = self.prepared.windows[number]
        best = windows.start + int(np.argmax(self.logits[windows.start : windows.stop, output]))
        answer, row = self.places[best]
        first = (best - windows.start) * self.prepared.stride
        offsets = self.prepared.offsets[number][first:]
        n_tokens = min(len(offsets), answer.evidence.shape[1] - 2)
        # Padding never counts: offsets end where the text does. +1 skips the begin mark.
        shares = answer.evidence[row, 1 : n_tokens + 1, output] / (n_tokens + 2)
        weights: dict[tuple[int, int], float] = defaultdict(float)
        for offset, share in zip(offsets, shares.tolist(), strict=False):
            weights[offset] += share * self.calibration.slope[output]
        return weights


def find_spans(evidence: Evidence, number: int, text: str, label: str) -> tuple[Span, ...]:
    """The words that raised ``label`` most, as spans of the original ``text`` in reading order."""
    normalised = normalise(text)
    tokens = sorted(evidence.token_weights(number, OUTPUTS.index(label)).items())
    words = []
    for word in _WORD.finditer(normalised.text):
        weight = sum(w for (begin, end), w in tokens if begin < word.end() and end > word.start())
        words.append((weight, word.start(), word.end()))
    words.sort(reverse=True)
    # Where the constant alone carries a low threshold, the strongest word is still named.
    strongest = [word for word in words[:MAX_WORDS] if word[0] > 0] or words[:1]
    spans = []
    for weight, begin, end in sorted(strongest, key=lambda word: word[1]):
        first, last = normalised.original_span(begin, end)
        spans.append(Span(first, last, label, round(weight, 4)))
    return tuple(spans)
