"""Domain-adaptive pretraining: masked-language modelling on unlabelled posts.

Gururangan et al. (2020), "Don't Stop Pretraining". The encoder learns the domain's words; labels
are learned afterwards. The head over the vocabulary is tied to the embedding and thrown away.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from rich.progress import Progress
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from training.base import special_id
from training.errors import TrainingError
from training.finetune import encode

IGNORED = -100
"""Target of a token that is not predicted (PyTorch's cross-entropy convention)."""


@dataclass(frozen=True)
class AdaptSettings:
    """Masking follows BERT: of the chosen tokens 80 % are masked, 10 % random, 10 % kept."""

    epochs: int = 1
    batch_size: int = 32
    learning_rate: float = 1e-4
    mask_share: float = 0.15
    max_tokens: int = 128
    warmup_share: float = 0.1
    seed: int = 0


def adapt(
    encoder: PreTrainedModel,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    settings: AdaptSettings,
) -> list[float]:
    """Train ``encoder`` in place on ``texts``; mean loss per epoch, in nats per masked token.

    Raises
    ------
    TrainingError
        No text, or the tokenizer has no mask token.
    """
    mask = special_id(tokenizer, "mask")
    if mask is None:
        raise TrainingError("the tokenizer has no mask token; this base cannot be adapted")
    if not texts:
        raise TrainingError("no text to adapt to; name exports that hold posts")
    torch.manual_seed(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    head = _Head(encoder).to(device)
    encoder.to(device).train()
    embeddings = encoder.get_input_embeddings().weight
    optimizer = torch.optim.AdamW(
        [*encoder.parameters(), *head.parameters()], lr=settings.learning_rate
    )
    steps = settings.epochs * math.ceil(len(texts) / settings.batch_size)
    warmup = max(1, round(steps * settings.warmup_share))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warmup, (steps - step) / max(1, steps - warmup))
    )
    losses: list[float] = []
    with Progress(transient=True) as progress:
        for epoch in range(settings.epochs):
            task = progress.add_task(f"epoch {epoch + 1}/{settings.epochs}", total=len(texts))
            order = random.Random(f"{settings.seed}:{epoch}").sample(range(len(texts)), len(texts))
            total, count = 0.0, 0
            for start in range(0, len(order), settings.batch_size):
                batch = [texts[n] for n in order[start : start + settings.batch_size]]
                ids, attention = encode(tokenizer, batch, settings.max_tokens, device)
                given, wanted = _masked(ids, attention, mask, embeddings.shape[0], settings)
                progress.advance(task, len(batch))
                if not (wanted != IGNORED).any():
                    continue
                states = encoder(input_ids=given, attention_mask=attention).last_hidden_state
                chosen = wanted != IGNORED
                logits = head(states[chosen]) @ embeddings.T
                loss = torch.nn.functional.cross_entropy(logits, wanted[chosen])
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
                total, count = total + loss.item() * int(chosen.sum()), count + int(chosen.sum())
            losses.append(total / max(1, count))
    encoder.eval()
    return losses


class _Head(torch.nn.Module):
    """BERT's transform before the tied vocabulary matrix."""

    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        size = encoder.config.hidden_size
        self.dense = torch.nn.Linear(size, size)
        self.norm = torch.nn.LayerNorm(size)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.norm(torch.nn.functional.gelu(self.dense(states)))
        return answer


def _masked(
    ids: torch.Tensor, attention: torch.Tensor, mask: int, pieces: int, settings: AdaptSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids with some tokens hidden, and the hidden ones' ids; the ends of a text stay."""
    inner = attention.bool().clone()
    inner[:, 0] = False
    inner[torch.arange(len(ids)), attention.sum(1) - 1] = False
    chosen = inner & (torch.rand(ids.shape, device=ids.device) < settings.mask_share)
    fate = torch.rand(ids.shape, device=ids.device)
    given = torch.where(chosen & (fate < 0.8), torch.full_like(ids, mask), ids)
    noise = torch.randint(pieces, ids.shape, device=ids.device)
    given = torch.where(chosen & (fate >= 0.9), noise, given)
    return given, torch.where(chosen, ids, torch.full_like(ids, IGNORED))
