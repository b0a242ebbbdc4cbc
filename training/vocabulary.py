"""Trim a pretrained encoder's unigram vocabulary to the languages it will read.

The rule: every special piece and every single character of the scripts we read stays, so that
any text can still be encoded; then the most frequent pieces of the named texts, until ``size``.
A unigram tokenizer picks the best path over its pieces (Kudo 2018), so where every piece of a
text's best path is kept, the trimmed tokenizer takes the same path and the encoder, whose rows
are copied, gives the same embedding.
"""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tokenizers import Tokenizer

KEPT_SCRIPTS = ("LATIN", "ARABIC", "DIGIT", "JAVANESE")
WORDFREQ_LANGUAGES = {"id": 1.0, "ms": 0.3, "ar": 0.3, "en": 0.5}
WORDFREQ_WORDS = 60_000


@dataclass(frozen=True)
class WeightedText:
    """A text and how often it counts."""

    text: str
    weight: float = 1.0


def wordfreq_texts() -> Iterable[WeightedText]:
    """Indonesian, Malay, Arabic and English words with their frequencies (package ``wordfreq``)."""
    from wordfreq import top_n_list, word_frequency

    for language, share in WORDFREQ_LANGUAGES.items():
        for word in top_n_list(language, WORDFREQ_WORDS, wordlist="best"):
            weight = share * word_frequency(word, language, wordlist="best") * 1e6
            yield WeightedText(word, weight)
            yield WeightedText(word.capitalize(), weight / 4)


def count_pieces(tokenizer: Tokenizer, texts: Iterable[WeightedText]) -> Counter[int]:
    """Weighted frequency of each piece id over ``texts``."""
    counts: Counter[int] = Counter()
    batch: list[WeightedText] = []

    def flush() -> None:
        encoded = tokenizer.encode_batch([item.text for item in batch], add_special_tokens=False)
        for item, encoding in zip(batch, encoded, strict=True):
            for piece in encoding.ids:
                counts[piece] += item.weight  # type: ignore[assignment]
        batch.clear()

    for item in texts:
        batch.append(item)
        if len(batch) == 4096:
            flush()
    flush()
    return counts


def _is_kept_character(piece: str) -> bool:
    body = piece.removeprefix("▁") or piece
    if len(body) != 1:
        return False
    if body.isascii():
        return True
    category = unicodedata.category(body)
    name = unicodedata.name(body, "")
    if category[0] in "LMN":
        return name.startswith(KEPT_SCRIPTS)
    return category in {"So", "Sk", "Sc", "Sm", "Po", "Pd", "Ps", "Pe", "Pi", "Pf", "Cf"}


def choose_pieces(
    vocab: Sequence[tuple[str, float]], counts: Counter[int], special: Iterable[int], size: int
) -> list[int]:
    """Old ids to keep, in the old order; the new id is the position in this list."""
    kept = set(special)
    kept |= {index for index, (piece, _) in enumerate(vocab) if _is_kept_character(piece)}
    if len(kept) > size:
        raise ValueError(f"size {size} is below the {len(kept)} pieces that must stay; raise it")
    by_count = sorted(counts, key=lambda index: (-counts[index], index))
    by_score = sorted(
        (i for i, (piece, _) in enumerate(vocab) if piece.strip("▁").isascii()),
        key=lambda index: -vocab[index][1],
    )
    for index in [*by_count, *by_score]:
        if len(kept) >= size:
            break
        kept.add(index)
    return sorted(kept)


def trim_tokenizer(tokenizer: Tokenizer, keep: Sequence[int]) -> Tokenizer:
    """The same tokenizer over the kept pieces only, renumbered from 0."""
    config: dict[str, Any] = json.loads(tokenizer.to_str())
    model = config["model"]
    if model["type"] != "Unigram":
        raise ValueError(f"only Unigram vocabularies can be trimmed, this one is {model['type']}")
    new_id = {old: new for new, old in enumerate(keep)}
    old_vocab = model["vocab"]
    model["vocab"] = [old_vocab[old] for old in keep if old < len(old_vocab)]
    model["unk_id"] = new_id[model["unk_id"]]
    for token in config.get("added_tokens", []):
        token["id"] = new_id[token["id"]]
    for token in (config.get("post_processor") or {}).get("special_tokens", {}).values():
        token["ids"] = [new_id[old] for old in token["ids"]]
    return Tokenizer.from_str(json.dumps(config))


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """Ids of added tokens (markers, mask) and of the unknown piece."""
    config = json.loads(tokenizer.to_str())
    return {token["id"] for token in config.get("added_tokens", [])} | {config["model"]["unk_id"]}
