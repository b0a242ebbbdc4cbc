from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from models.network import Network
from models.release import OUTPUTS
from screening.labelled import LabelledPost
from tests.training.tiny import tiny_encoder, tiny_tokenizer
from training.data import targets
from training.finetune import Hyperparameters, mean_average_precision, pool, predict
from training.start import start_head

SETTINGS = Hyperparameters(max_tokens=32, precision="float32")


def posts(count: int) -> list[LabelledPost]:
    made = []
    for n in range(count):
        text = f"ayo {'serang polisi' if n % 2 else 'makan nasi'} {'pagi' if n % 3 else 'ibu'} {n}"
        labels = frozenset({"incitement"} if n % 2 else ())
        made.append(LabelledPost(str(n), text, labels, family=str(n)))
    return made


def network() -> Network:
    torch.manual_seed(3)
    return Network(tiny_encoder(), len(OUTPUTS))


def test_mean_states_vary_around_zero_by_one() -> None:
    net, tokenizer = network(), tiny_tokenizer()
    start_head(net, tokenizer, posts(60), SETTINGS)
    pooled = pool(net, tokenizer, posts(60), SETTINGS)
    np.testing.assert_allclose(pooled.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(pooled.std(axis=0), 1.0, atol=1e-2)


def test_the_head_reads_the_states_before_any_fine_tuning() -> None:
    net, tokenizer = network(), tiny_tokenizer()
    start_head(net, tokenizer, posts(60), SETTINGS)
    asked = posts(80)[60:]
    columns = [OUTPUTS.index("incitement")]
    logits = predict(net, tokenizer, asked, SETTINGS)
    assert mean_average_precision(targets(asked), logits, columns) > 0.95


def test_a_label_without_both_answers_keeps_its_row() -> None:
    net, tokenizer = network(), tiny_tokenizer()
    before = net.head.weight.detach().clone()
    start_head(net, tokenizer, posts(20), SETTINGS)
    row = OUTPUTS.index("financing")
    assert torch.equal(net.head.weight[row], before[row])
    assert not torch.equal(net.head.weight[OUTPUTS.index("incitement")], before[row])


def test_predictions_keep_the_order_of_the_posts() -> None:
    net, tokenizer = network(), tiny_tokenizer()
    given = posts(70)
    one_by_one = [predict(net, tokenizer, [post], SETTINGS)[0] for post in given]
    np.testing.assert_allclose(predict(net, tokenizer, given, SETTINGS), one_by_one, atol=1e-4)


def test_an_equal_seed_gives_equal_features() -> None:
    settings = replace(SETTINGS, seed=4)
    first = pool(network(), tiny_tokenizer(), posts(5), settings)
    assert np.array_equal(first, pool(network(), tiny_tokenizer(), posts(5), settings))
