from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import BertModel

from tests.training.tiny import SPECIALS, tiny_encoder, tiny_tokenizer
from training.base import load_base, save_base, trim
from training.errors import TrainingError
from training.vocabulary import WeightedText, count_pieces

TEXTS = [WeightedText("selamat pagi semua"), WeightedText("ayo makan nasi goreng", 2.0)]
SIZE = len(SPECIALS) + 1 + 43 + 8  # markers, mask, letters, eight words


def embedding(model: BertModel, tokenizer: Tokenizer, text: str) -> torch.Tensor:
    with torch.no_grad():
        return model(torch.tensor([tokenizer.encode(text).ids])).last_hidden_state.mean(1)[0]


def test_kept_text_embeds_as_before() -> None:
    whole, tokenizer = tiny_encoder(), tiny_tokenizer()
    trimmed, smaller = trim(copy.deepcopy(whole), tokenizer, TEXTS, SIZE)
    assert smaller.get_vocab_size() == SIZE == trimmed.config.vocab_size
    for text in ("selamat pagi semua", "ayo makan nasi", "a, b. 12!"):
        assert smaller.encode(text).tokens == tokenizer.encode(text).tokens
        cosine = torch.cosine_similarity(
            embedding(whole, tokenizer, text), embedding(trimmed, smaller, text), dim=0
        )
        assert cosine >= 0.999


def test_a_dropped_word_is_read_by_letters_not_lost() -> None:
    _, smaller = trim(tiny_encoder(), tiny_tokenizer(), TEXTS, SIZE)
    tokens = smaller.encode("bonjour").tokens
    assert "<unk>" not in tokens
    assert "".join(tokens[1:-1]) == "▁bonjour"


def test_the_most_frequent_pieces_stay() -> None:
    _, smaller = trim(tiny_encoder(), tiny_tokenizer(), TEXTS, SIZE)
    vocab = smaller.get_vocab()
    assert {"▁selamat", "▁pagi", "▁semua", "▁ayo", "▁makan", "▁nasi", "▁goreng"} <= set(vocab)
    assert "▁спасибо" not in vocab
    assert all(special in vocab for special in (*SPECIALS, "<mask>"))


def test_counts_are_weighted() -> None:
    tokenizer = tiny_tokenizer()
    counts = count_pieces(tokenizer, TEXTS)
    assert counts[tokenizer.token_to_id("▁nasi")] == 2.0
    assert counts[tokenizer.token_to_id("▁pagi")] == 1.0


def test_a_size_below_what_must_stay_is_refused() -> None:
    with pytest.raises(ValueError, match="size 10 is below the"):
        trim(tiny_encoder(), tiny_tokenizer(), TEXTS, 10)


def test_a_base_is_loaded_from_a_local_folder(tmp_path: Path) -> None:
    trimmed, smaller = trim(tiny_encoder(), tiny_tokenizer(), TEXTS, SIZE)
    save_base(tmp_path, trimmed, smaller)
    loaded, tokenizer = load_base(str(tmp_path))
    again = embedding(loaded.eval(), tokenizer, "ayo makan")
    assert torch.equal(again, embedding(trimmed, smaller, "ayo makan"))


def test_a_base_that_is_nowhere_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="neither a local folder"):
        load_base(str(tmp_path / "none"))
