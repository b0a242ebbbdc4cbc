"""Fine-tune an encoder on labelled posts: reads from top to bottom, resumes from checkpoints."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from rich.progress import Progress
from sklearn.metrics import average_precision_score
from tokenizers import Tokenizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.network import Network, masked_loss
from models.release import OUTPUTS
from screening.labelled import LabelledPost
from screening.policy import SCREENED
from screening.text import normalise_text
from training.augment import augment, surround
from training.base import special_id
from training.data import targets
from training.errors import TrainingError

SURROUND_LENGTH = 200
"""Characters of the longest lawful post that another is surrounded with."""


@dataclass(frozen=True)
class Hyperparameters:
    """Everything that decides a run; saved in the release."""

    epochs: int = 6
    patience: int = 4
    batch_size: int = 32
    learning_rate: float = 2e-4
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup_share: float = 0.1
    max_tokens: int = 256
    dropout: float = 0.1
    augment_rate: float = 0.25
    surround_rate: float = 0.15
    max_positive_weight: float = 4.0
    teacher_weight: float = 0.5
    average_over_epochs: float = 1.0
    freeze_embeddings: bool = True
    frozen_layers: int = 0
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    seed: int = 0


def finetune(  # noqa: PLR0915  reads straight down
    network: Network,
    tokenizer: Tokenizer,
    train: Sequence[LabelledPost],
    validation: Sequence[LabelledPost],
    settings: Hyperparameters,
    *,
    outputs: Sequence[str] = OUTPUTS,
    watched: Sequence[str] = SCREENED,
    teacher: Network | None = None,
    checkpoint: Path | None = None,
) -> list[dict[str, float]]:
    """Train ``network`` in place and keep the epoch best on ``validation``.

    ``outputs`` are the answers it learns, unknown ones masked; an epoch is judged by the mean
    PR-AUC of the ``watched`` ones, and the run stops after ``settings.patience`` epochs without a
    better one. Beside the weights runs their moving average over about
    ``settings.average_over_epochs`` epochs (Polyak and Juditsky 1992), which answers more steadily
    on posts not learned; each epoch keeps the better of the two. With ``teacher``,
    ``settings.teacher_weight`` of the loss is the squared distance to its logits (Hinton et al.
    2015, "Distilling the Knowledge"). With ``checkpoint``, the state after each epoch is written
    there and an interrupted run goes on from it bit for bit. Returns loss and both PR-AUC per
    epoch.
    """
    positions = network.encoder.config.max_position_embeddings
    if settings.max_tokens > positions:
        raise TrainingError(
            f"max_tokens {settings.max_tokens} is more than the encoder's {positions} positions; "
            f"give --max-tokens {positions}"
        )
    torch.manual_seed(settings.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    _place(network, device)
    if teacher is not None:
        teacher.to(device).eval()
    _freeze(network, settings)
    answers, expected = targets(train, outputs), targets(validation, outputs)
    columns = [list(outputs).index(label) for label in watched]
    lawful = [post.text for post in train if not post.labels and len(post.text) < SURROUND_LENGTH]
    positive_weight = _positive_weight(answers, settings.max_positive_weight).to(device)
    optimizer = torch.optim.AdamW(_parameter_groups(network, settings), fused=True)
    epoch_steps = math.ceil(len(train) / settings.batch_size)
    steps = settings.epochs * epoch_steps
    average = _moving_average(network, settings.average_over_epochs * epoch_steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: _rate(step, steps, settings.warmup_share)
    )
    run = _Run(network, average, optimizer, schedule, best=copy.deepcopy(network.state_dict()))
    if checkpoint and checkpoint.exists():
        run.load(checkpoint)
    with Progress(transient=True) as progress:
        for epoch in range(len(run.history), settings.epochs):
            if run.epochs_since_best >= settings.patience:
                break
            task = progress.add_task(f"epoch {epoch + 1}/{settings.epochs}", total=len(train))
            rng = random.Random(f"{settings.seed}:{epoch}")
            torch.manual_seed(settings.seed * 1000 + epoch)
            network.train()
            losses = []
            # Tricked first and batched then: a trick that lengthens a post would pad its batch.
            texts = [_tricked(post.text, lawful, rng, settings) for post in train]
            for rows in _batches([len(text) for text in texts], settings.batch_size, rng):
                tokens = encode(
                    tokenizer, [texts[row] for row in rows], settings.max_tokens, device
                )
                with _autocast(device, settings.precision):
                    logits = network(*tokens)
                wanted = torch.from_numpy(answers[rows]).to(device)
                loss = masked_loss(logits, wanted, positive_weight)
                if teacher is not None:
                    distance = _distance(teacher, tokens, logits)
                    loss = torch.lerp(loss, distance, settings.teacher_weight)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                average.update_parameters(network)
                schedule.step()
                optimizer.zero_grad()
                losses.append(loss.item())
                progress.advance(task, len(rows))
            score, averaged = (
                mean_average_precision(
                    expected, predict(model, tokenizer, validation, settings), columns
                )
                for model in (network, cast(Network, average.module))
            )
            run.end_epoch(float(np.mean(losses)), score, averaged)
            progress.console.print(run.last_line())
            if checkpoint:
                run.save(checkpoint)
    network.load_state_dict(run.best)
    return run.history


@dataclass
class _Run:
    """What an interrupted run needs to go on as if it had not stopped."""

    network: Network
    average: AveragedModel
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LambdaLR
    best: dict[str, Any]

    def __post_init__(self) -> None:
        self.history: list[dict[str, float]] = []

    def end_epoch(self, loss: float, score: float, averaged: float) -> None:
        if max(score, averaged) > max(self._scores, default=-1.0):
            better = self.average.module if averaged > score else self.network
            self.best = copy.deepcopy(better.state_dict())
        self.history.append({"loss": loss, "pr_auc": score, "averaged_pr_auc": averaged})

    def last_line(self) -> str:
        row = self.history[-1]
        return (
            f"epoch {len(self.history)}: loss {row['loss']:.4f}, PR-AUC {row['pr_auc']:.4f}, "
            f"averaged weights {row['averaged_pr_auc']:.4f}"
        )

    @property
    def _scores(self) -> list[float]:
        return [max(row["pr_auc"], row["averaged_pr_auc"]) for row in self.history]

    @property
    def epochs_since_best(self) -> int:
        scores = self._scores
        return len(scores) - 1 - scores.index(max(scores)) if scores else 0

    def save(self, path: Path) -> None:
        scratch = path.with_suffix(".partial")
        torch.save(
            {
                "network": self.network.state_dict(),
                "average": self.average.state_dict(),
                "best": self.best,
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
                "history": self.history,
            },
            scratch,
        )
        scratch.replace(path)

    def load(self, path: Path) -> None:
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.best, self.history = state["best"], state["history"]


def encode(
    tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask of shape (n_texts, longest), cut to ``max_tokens``."""
    rows = [
        encoding.ids if len(encoding.ids) <= max_tokens
        else [*encoding.ids[: max_tokens - 1], encoding.ids[-1]]
        for encoding in tokenizer.encode_batch([normalise_text(text) for text in texts])
    ]  # fmt: skip
    longest = max(len(row) for row in rows)
    pad = special_id(tokenizer, "pad") or 0
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, (torch.arange(longest, device=device) < lengths[:, None]).long()


def _distance(
    teacher: Network, tokens: tuple[torch.Tensor, torch.Tensor], logits: torch.Tensor
) -> torch.Tensor:
    with torch.no_grad():
        wished = teacher(*tokens)
    return torch.nn.functional.mse_loss(logits.float(), wished.float())


def predict(
    network: Network,
    tokenizer: Tokenizer,
    posts: Sequence[LabelledPost],
    settings: Hyperparameters,
) -> npt.NDArray[np.float32]:
    """Logits of shape (n_posts, n_outputs), in the order of ``posts``."""
    return _forward(network, network, tokenizer, posts, settings)


def pool(
    network: Network,
    tokenizer: Tokenizer,
    posts: Sequence[LabelledPost],
    settings: Hyperparameters,
) -> npt.NDArray[np.float32]:
    """Mean token states of shape (n_posts, hidden), in the order of ``posts``."""
    return _forward(network, network.pooled, tokenizer, posts, settings)


@torch.no_grad()
def _forward(
    network: Network,
    call: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    tokenizer: Tokenizer,
    posts: Sequence[LabelledPost],
    settings: Hyperparameters,
    *,
    batch_size: int = 64,
) -> npt.NDArray[np.float32]:
    network.eval()
    device = next(network.parameters()).device
    order = np.argsort([len(post.text) for post in posts], kind="stable")
    answers = []
    for start in range(0, len(order), batch_size):
        texts = [posts[row].text for row in order[start : start + batch_size]]
        with _autocast(device, settings.precision):
            answer = call(*encode(tokenizer, texts, settings.max_tokens, device))
        answers.append(answer.float().cpu().numpy())
    found = np.concatenate(answers)
    back = np.empty_like(order)
    back[order] = np.arange(len(order))
    return found[back]


def mean_average_precision(
    y_true: npt.NDArray[np.float32], y_score: npt.NDArray[np.float32], columns: Sequence[int]
) -> float:
    """Mean PR-AUC over ``columns``, unknown answers left out."""
    scores = []
    for column in columns:
        known = ~np.isnan(y_true[:, column])
        scores.append(average_precision_score(y_true[known, column], y_score[known, column]))
    return float(np.mean(scores))


def settings_record(settings: Hyperparameters) -> dict[str, Any]:
    """Hyperparameters as saved in a release, with the precision that was in fact used."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    used = "bfloat16" if _uses_bfloat16(device, settings.precision) else "float32"
    return {**asdict(settings), "precision": used, "device": device.type}


def _uses_bfloat16(device: torch.device, precision: str) -> bool:
    """bfloat16 where it is faster: CUDA, or a CPU that multiplies it (AMX, AVX-512 BF16); where the
    CPU cannot, it halves the speed of float32."""
    if precision != "auto":
        return precision == "bfloat16"
    multiplies = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return device.type == "cuda" or multiplies


def _autocast(device: torch.device, precision: str) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, _uses_bfloat16(device, precision))


def _tricked(
    text: str, lawful: Sequence[str], rng: random.Random, settings: Hyperparameters
) -> str:
    return augment(surround(text, lawful, rng, settings.surround_rate), rng, settings.augment_rate)


def _place(network: Network, device: torch.device) -> None:
    network.to(device)
    if device.type == "cpu":
        # The fused kernel pays off on long sequences; a post has some twenty tokens.
        network.encoder.set_attn_implementation("eager")


def _moving_average(network: Network, steps: float) -> AveragedModel:
    """A copy that follows ``network`` as an exponential moving average over about ``steps``."""
    decay = 1 - 1 / max(1.0, steps)
    return AveragedModel(
        network,
        multi_avg_fn=get_ema_multi_avg_fn(decay),  # type: ignore[no-untyped-call]
    )


def _freeze(network: Network, settings: Hyperparameters) -> None:
    """Keep the lowest layers as they were pretrained: a third less work, and less to unlearn."""
    network.encoder.embeddings.requires_grad_(not settings.freeze_embeddings)
    for layer in network.blocks()[: settings.frozen_layers]:
        layer.requires_grad_(False)


def _positive_weight(answers: npt.NDArray[np.float32], limit: float) -> torch.Tensor:
    """Rare labels weigh more: the square root of negatives over positives, at most ``limit``."""
    positives = np.maximum(np.nansum(answers, axis=0), 1.0)
    negatives = np.maximum((~np.isnan(answers)).sum(axis=0) - positives, 1.0)
    return torch.tensor(np.clip(np.sqrt(negatives / positives), 1.0, limit), dtype=torch.float32)


def _parameter_groups(network: Network, settings: Hyperparameters) -> list[dict[str, Any]]:
    decayed: list[torch.nn.Parameter] = []
    plain: list[torch.nn.Parameter] = []
    for parameter in network.encoder.parameters():
        if parameter.requires_grad:
            (decayed if parameter.ndim > 1 else plain).append(parameter)
    rate = settings.learning_rate
    return [
        {"params": decayed, "lr": rate, "weight_decay": settings.weight_decay},
        {"params": plain, "lr": rate, "weight_decay": 0.0},
        {"params": network.head.parameters(), "lr": settings.head_learning_rate},
    ]


def _rate(step: int, steps: int, warmup_share: float) -> float:
    """Linear warm-up, then linear decay to zero."""
    warmup = max(1, round(steps * warmup_share))
    return (step + 1) / warmup if step < warmup else max(0.0, (steps - step) / (steps - warmup))


def _batches(lengths: Sequence[int], size: int, rng: random.Random) -> Iterator[list[int]]:
    """Shuffled batches of posts of like length: shuffle, sort within pools of 16 batches."""
    order = list(range(len(lengths)))
    rng.shuffle(order)
    batches = []
    for start in range(0, len(order), size * 16):
        pool = sorted(order[start : start + size * 16], key=lambda row: lengths[row])
        batches += [pool[at : at + size] for at in range(0, len(pool), size)]
    rng.shuffle(batches)
    yield from batches
