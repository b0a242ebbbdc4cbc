"""Base weights: any hub or local BERT-style encoder, trimmed to the languages we read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.normalizers import Lowercase, Sequence
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from training.errors import TrainingError
from training.vocabulary import (
    WeightedText,
    choose_pieces,
    count_pieces,
    special_ids,
    trim_tokenizer,
)

DEFAULT_BASE = "intfloat/multilingual-e5-small"
DEFAULT_PIECES = 40_000

_ATTENTION_DROPOUT = ("attention_probs_dropout_prob", "attention_dropout")
"""Switched off: torch draws it on one CPU core, and the other dropout is enough."""


def load_base(name_or_folder: str) -> tuple[PreTrainedModel, Tokenizer]:
    """Encoder and tokenizer from the Hugging Face hub or a local folder: BERT (IndoBERT,
    IndoBERTweet, multilingual-e5), XLM-R, ModernBERT, and others of their shape.

    Raises
    ------
    TrainingError
        Neither a folder nor a reachable hub id, or the tokenizer is not a fast one.
    """
    try:
        config = AutoConfig.from_pretrained(name_or_folder)
        for field in _ATTENTION_DROPOUT:
            if hasattr(config, field):
                setattr(config, field, 0.0)
        model = AutoModel.from_pretrained(name_or_folder, config=config, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(name_or_folder)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"base '{name_or_folder}' is neither a local folder with an encoder nor a hub id that "
            "can be reached; give --base FOLDER"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise TrainingError(f"base '{name_or_folder}' has no fast tokenizer (tokenizer.json)")
    if hasattr(model, "pooler"):
        model.pooler = None
    return model, tokenizer.backend_tokenizer


def trim(
    model: PreTrainedModel, tokenizer: Tokenizer, texts: Iterable[WeightedText], size: int
) -> tuple[PreTrainedModel, Tokenizer]:
    """Keep ``size`` pieces: the tokenizer loses the rest, the embedding its rows.

    The model is changed in place. Text whose every piece is kept embeds exactly as before. Only
    unigram vocabularies (XLM-R's and its heirs') hold pieces for a hundred languages: another
    kind, or one of at most ``size`` pieces, stays whole.
    """
    from json import loads

    kind = loads(tokenizer.to_str())["model"]
    vocab = kind["vocab"]
    if kind["type"] != "Unigram" or len(vocab) <= size:
        return model, tokenizer
    counts = count_pieces(tokenizer, texts)
    keep = choose_pieces(vocab, counts, special_ids(tokenizer), size)
    old = model.get_input_embeddings()
    trimmed = torch.nn.Embedding(len(keep), old.embedding_dim)
    trimmed.weight.data = old.weight.data[torch.tensor(keep)].clone()
    model.set_input_embeddings(trimmed)
    model.config.vocab_size = len(keep)
    return model, trim_tokenizer(tokenizer, keep)


def lowercase(tokenizer: Tokenizer) -> None:
    """Let the tokenizer read capitals as small letters, in place: capitals carry shouting, not
    meaning, and a text written in them must score as its words do."""
    before = [tokenizer.normalizer] if tokenizer.normalizer else []
    tokenizer.normalizer = Sequence([*before, Lowercase()])


def save_base(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer) -> None:
    """Write a folder that ``load_base`` reads."""
    model.save_pretrained(folder)
    begin, end = tokenizer.encode("").tokens
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token=begin,
        sep_token=end,
        pad_token=special(tokenizer, "pad"),
        unk_token=special(tokenizer, "unk"),
        mask_token=special(tokenizer, "mask"),
    ).save_pretrained(folder)


def special(tokenizer: Tokenizer, name: str) -> str | None:
    """The padding, unknown or mask token, as SentencePiece or WordPiece vocabularies write it."""
    spellings = (f"<{name}>", f"[{name.upper()}]")
    return next((text for text in spellings if tokenizer.token_to_id(text) is not None), None)


def special_id(tokenizer: Tokenizer, name: str) -> int | None:
    """The number of ``special``."""
    text = special(tokenizer, name)
    return None if text is None else tokenizer.token_to_id(text)
