"""Near-duplicates of contents that have a case: MinHash signatures, found by shared bands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from datasketch import MinHash
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from screening.text import normalise_text
from service.tables import Signature, SignatureBand

SHINGLE_LETTERS = 5
BANDS, ROWS = 20, 6
"""A pair of Jaccard similarity s shares a band with probability 1 - (1 - s^6)^20: 0.998 at 0.8,
0.27 at 0.5."""

NEAR = 0.8
"""Estimated Jaccard similarity from which two texts are near-duplicates."""

CANDIDATES = 500

Values = npt.NDArray[np.uint32]


def signature(text: str) -> Values:
    """MinHash values of a text's letter 5-grams, read through disguises; shape (120,)."""
    plain = normalise_text(text).casefold()
    last = max(1, len(plain) - SHINGLE_LETTERS + 1)
    shingles = {plain[start : start + SHINGLE_LETTERS] for start in range(last)}
    minhash = MinHash(num_perm=BANDS * ROWS, seed=1)
    minhash.update_batch([shingle.encode("utf-8", "surrogatepass") for shingle in shingles])
    return np.asarray(minhash.hashvalues, dtype=np.uint32)


def remember(session: Session, sha256: str, values: Values) -> None:
    """Make a content findable; the caller knows that it is not yet."""
    session.add(Signature(content_sha256=sha256, values=values.astype("<u4").tobytes()))
    session.flush()
    rows = [{"band": band, "content_sha256": sha256} for band in bands(values)]
    session.execute(insert(SignatureBand).values(rows))


def is_remembered(session: Session, sha256: str) -> bool:
    return session.get(Signature, sha256) is not None


def find_near(session: Session, values: Values) -> Mapping[str, float]:
    """Contents at least ``NEAR`` similar, most similar first."""
    # In two steps: most texts share no band, and a planner without statistics joins badly.
    shared = session.scalars(
        select(SignatureBand.content_sha256)
        .where(SignatureBand.band.in_(bands(values)))
        .distinct()
        .limit(CANDIDATES)
    ).all()
    if not shared:
        return {}
    rows = session.execute(
        select(Signature.content_sha256, Signature.values).where(
            Signature.content_sha256.in_(shared)
        )
    )
    found = {
        sha256: float(np.mean(np.frombuffer(other, "<u4") == values)) for sha256, other in rows
    }
    near = [item for item in found.items() if item[1] >= NEAR]
    return dict(sorted(near, key=lambda item: (-item[1], item[0])))


def bands(values: Values) -> list[str]:
    raw = values.astype("<u4").reshape(BANDS, ROWS)
    return [
        f"{number}:{hashlib.blake2b(row.tobytes(), digest_size=12).hexdigest()}"
        for number, row in enumerate(raw)
    ]
