"""A tiny encoder and unigram tokenizer, random but fixed: the real code on small numbers."""

from __future__ import annotations

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel

SPECIALS = ("<s>", "<pad>", "</s>", "<unk>")
WORDS = [
    *("▁selamat", "▁pagi", "▁semua", "▁bom", "▁ayo", "▁serang", "▁polisi", "▁pasar", "▁makan"),
    *("▁nasi", "▁goreng", "▁ber", "ita", "▁doa", "▁ibu", "▁guru", "▁bonjour", "▁straße"),
    *("▁спасибо", "▁ありがとう"),
]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz▁.,!?0123456789<>"]


def tiny_tokenizer() -> Tokenizer:
    vocab = [(piece, 0.0) for piece in SPECIALS]
    vocab += [(word, -5.0 - index / 10) for index, word in enumerate(WORDS)]
    vocab += [(letter, -12.0) for letter in LETTERS]
    vocab += [("<mask>", 0.0)]
    tokenizer = Tokenizer(models.Unigram(vocab, unk_id=3))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFKC(), normalizers.Replace(Regex(r" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.add_special_tokens([*SPECIALS, "<mask>"])
    return tokenizer


def tiny_encoder(layers: int = 2) -> BertModel:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tiny_tokenizer().get_vocab_size() + 3,  # spare rows, as real checkpoints have
        hidden_size=64,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=64,
        type_vocab_size=2,
    )
    return BertModel(config, add_pooling_layer=False).eval()
