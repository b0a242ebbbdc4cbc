"""Base weights: any hub or local BERT-style encoder, trimmed to the languages we read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

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


def load_base(name_or_folder: str) -> tuple[PreTrainedModel, Tokenizer]:
    """Encoder and tokenizer from the Hugging Face hub or a local folder.

    Raises
    ------
    TrainingError
        Neither a folder nor a reachable hub id, or the tokenizer is not a fast one.
    """
    try:
        model = AutoModel.from_pretrained(
            name_or_folder, dtype=torch.float32, add_pooling_layer=False
        )
        tokenizer = AutoTokenizer.from_pretrained(name_or_folder)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"base '{name_or_folder}' is neither a local folder with an encoder nor a hub id that "
            "can be reached; give --base FOLDER"
        ) from error
    if not isinstance(tokenizer, PreTrainedTokenizerFast):
        raise TrainingError(f"base '{name_or_folder}' has no fast tokenizer (tokenizer.json)")
    return model, tokenizer.backend_tokenizer


def trim(
    model: PreTrainedModel, tokenizer: Tokenizer, texts: Iterable[WeightedText], size: int
) -> tuple[PreTrainedModel, Tokenizer]:
    """Keep ``size`` pieces: the tokenizer loses the rest, the embedding its rows.

    The model is changed in place. Text whose every piece is kept embeds exactly as before.
    """
    from json import loads

    vocab = loads(tokenizer.to_str())["model"]["vocab"]
    counts = count_pieces(tokenizer, texts)
    keep = choose_pieces(vocab, counts, special_ids(tokenizer), size)
    old = model.get_input_embeddings()
    trimmed = torch.nn.Embedding(len(keep), old.embedding_dim)
    trimmed.weight.data = old.weight.data[torch.tensor(keep)].clone()
    model.set_input_embeddings(trimmed)
    model.config.vocab_size = len(keep)
    return model, trim_tokenizer(tokenizer, keep)


def save_base(folder: Path, model: PreTrainedModel, tokenizer: Tokenizer) -> None:
    """Write a folder that ``load_base`` reads."""
    model.save_pretrained(folder)
    specials = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="<s>",
        sep_token="</s>",
        mask_token="<mask>",
        **specials,
    ).save_pretrained(folder)
