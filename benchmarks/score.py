"""Scoring speed, side by side in one run on the same texts and the same weights.

    make install-dev && .venv/bin/python benchmarks/score.py

Ours against ``transformers.pipeline("text-classification")`` in float32 (batch 1, and its best
batch), against ONNX Runtime in float32, and against this machine's own matrix-multiply peak.
Texts are authored posts joined and cut to a length mix like a channel's: mean about 33 tokens,
95 % under 82. All are distinct, so no cache helps anybody; tokenisation is included everywhere.
Each contender runs ``--rounds`` times, in turn; the median is kept. Absolute figures drift with
the machine, ratios less.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

from models.release import OUTPUTS, load_release
from models.scorer import load_scorer
from models.tokens import TextEncoder

PIPELINE_BATCHES = (2, 4, 8, 16, 32)
LOG_MEAN, LOG_SD = 3.249, 0.704  # lognormal with mean 33 and 95th percentile 82
PEAK_SIZE = 2048


def make_texts(count: int, seed: int = 0) -> list[str]:
    """Distinct texts of the length mix."""
    from tokenizers import Tokenizer

    from training.data import read_corpus

    rng, shuffle = np.random.default_rng(seed), random.Random(seed)
    tokenizer = Tokenizer.from_file(str(load_release().tokenizer_path))
    posts = [post.text for post in read_corpus()]

    def words() -> Iterator[str]:
        while True:
            shuffle.shuffle(posts)
            for post in posts:
                yield from post.split()

    source = words()
    lengths = np.clip(np.exp(rng.normal(LOG_MEAN, LOG_SD, count)), 4, 250).round().astype(int) - 2
    texts = []
    for length in lengths:
        text = next(source)
        while len(tokenizer.encode(text, add_special_tokens=False).ids) < length:
            text = f"{text} {next(source)}"
        texts.append(text)
    return texts


def describe(texts: list[str]) -> float:
    """Print the length mix; return the arithmetic of one pass over the texts, in operations."""
    encoder = TextEncoder(load_release().tokenizer_path, max_tokens=512, batch_tokens=1024)
    prepared = encoder.prepare(texts)
    lengths = np.concatenate([batch.attention_mask.sum(axis=1) for batch in prepared.batches])
    print(
        f"{len(texts)} distinct texts, {lengths.mean():.1f} tokens on average, "
        f"95 % under {np.percentile(lengths, 95):.0f}"
    )
    hidden, wide, layers = 384, 1536, 12
    per_token = layers * 2 * (4 * hidden * hidden + 2 * hidden * wide)
    attention = layers * 4 * hidden * (lengths.astype(float) ** 2).sum()
    return float(per_token * lengths.sum() + attention)


def measured_peak(dtype_name: str) -> float:
    """Operations per second of a large matrix product in torch."""
    import torch

    dtype = getattr(torch, dtype_name)
    a, b = (torch.randn(PEAK_SIZE, PEAK_SIZE).to(dtype) for _ in range(2))
    times = []
    for _ in range(8):
        begin = time.perf_counter()
        a @ b
        times.append(time.perf_counter() - begin)
    return 2 * PEAK_SIZE**3 / min(times)


def save_pipeline(folder: Path) -> None:
    """The release's weights as a ``transformers`` checkpoint."""
    from transformers import BertForSequenceClassification, PreTrainedTokenizerFast

    from models.network import read_network

    release = load_release()
    network = read_network(release.model_path)
    config = network.encoder.config
    config.num_labels = len(OUTPUTS)
    config.problem_type = "multi_label_classification"
    model = BertForSequenceClassification(config)
    # A pipeline pools its own way; the encoder, where the time goes, is ours to the last weight.
    model.bert.load_state_dict(network.encoder.state_dict(), strict=False)
    model.classifier.weight.data = network.head.weight.data
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_file=str(release.tokenizer_path), pad_token="<pad>", model_max_length=512
    ).save_pretrained(folder)


def contenders(folder: Path) -> dict[str, Callable[[list[str]], object]]:
    import torch
    from transformers import pipeline

    torch.set_num_threads(len(__import__("os").sched_getaffinity(0)))
    classify = pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    ours, plain = load_scorer(), load_scorer(engine="onnxruntime")
    chosen: dict[str, Callable[[list[str]], object]] = {
        f"ours ({ours.engine})": lambda texts: list(ours.score_chunks(_chunks(texts))),
        "onnxruntime f32": lambda texts: list(plain.score_chunks(_chunks(texts))),
    }
    for size in (1, *PIPELINE_BATCHES):
        chosen[f"pipeline f32, batch {size}"] = lambda texts, size=size: classify(
            texts, batch_size=size, truncation=True
        )
    return chosen


def _chunks(texts: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), 1024):
        yield texts[start : start + 1024]


def measure(texts: list[str], pipeline_texts: int, rounds: int) -> dict[str, float]:
    """Median posts per second of each contender, rounds taken in turn."""
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        save_pipeline(Path(scratch))
        chosen = contenders(Path(scratch))
        for number in range(rounds + 1):  # the first round warms up
            for name, score in chosen.items():
                given = texts[:pipeline_texts] if name.startswith("pipeline") else texts
                begin = time.perf_counter()
                score(given)
                if number:
                    rates.setdefault(name, []).append(len(given) / (time.perf_counter() - begin))
    return {name: statistics.median(values) for name, values in rates.items()}


def peak_memory(texts: list[str]) -> int:
    """Peak resident memory of our scorer alone, in a process of its own; bytes."""
    code = (
        "import json, resource, sys; from models.scorer import load_scorer;"
        "list(load_scorer().score_chunks([json.load(sys.stdin)]));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout) * 1024


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--texts", type=int, default=2048, help="texts for our scorer")
    arguments.add_argument("--pipeline-texts", type=int, default=256, help="texts for the pipeline")
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    texts = make_texts(options.texts)
    operations = describe(texts)
    peaks = {name: measured_peak(name) for name in ("bfloat16", "float32")}
    rates = measure(texts, options.pipeline_texts, options.rounds)
    ours = next(name for name in rates if name.startswith("ours"))
    best = max((n for n in rates if n.startswith("pipeline")), key=rates.__getitem__)
    for name, rate in rates.items():
        print(f"{name:24} {rate:8.1f} posts/s   ours is {rates[ours] / rate:5.2f} times as fast")
    print(f"ratio to pipeline batch 1: {rates[ours] / rates['pipeline f32, batch 1']:.1f}")
    print(f"ratio to its best ({best}): {rates[ours] / rates[best]:.1f}")
    speed = operations / len(texts) * rates[ours]
    for name, peak in peaks.items():
        print(
            f"{speed / 1e12:.3f} Tflop/s, {speed / peak:.0%} of the measured {name} "
            f"matrix peak ({peak / 1e12:.3f} Tflop/s)"
        )
    print(
        f"peak memory: ours alone {peak_memory(texts) / 2**20:.0f} MiB, this whole comparison "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB"
    )


if __name__ == "__main__":
    main()
