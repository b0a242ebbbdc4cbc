"""The whole way on small numbers: fine-tune, export, engines, calibrate, thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
import torch
from transformers import (
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
    XLMRobertaConfig,
    XLMRobertaModel,
)

from models.engines import Engine, load_engine
from models.engines.openvino import OpenVINOEngine, fold_weights
from models.errors import ReleaseError
from models.network import Network, masked_loss, read_network, shortened
from models.release import OUTPUTS
from models.tokens import TextEncoder
from screening.labelled import LabelledPost
from screening.policy import SCREENED
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from tests.training.tiny import tiny_encoder, tiny_tokenizer
from training.adapt import AdaptSettings, adapt
from training.calibrate import fit_calibration, review_threshold, urgent_threshold
from training.data import targets
from training.errors import TrainingError
from training.export import export_onnx
from training.finetune import Hyperparameters, finetune, mean_average_precision, predict
from training.metrics import calibration_error, interval, pr_auc, recall_at_precision
from training.wide import fit_wide, widen

SETTINGS = Hyperparameters(
    epochs=3,
    patience=9,
    surround_rate=0.0,
    batch_size=8,
    learning_rate=1e-3,
    max_tokens=32,
    augment_rate=0.2,
    frozen_layers=0,
)


def posts(count: int = 48) -> list[LabelledPost]:
    """Half call to attack, half to eat; radicalism goes with the first."""
    made = []
    for n in range(count):
        tail = ["semua", "pagi", "ibu", "guru"][n % 4]
        text = f"ayo {'serang polisi' if n % 2 else 'makan nasi'} {tail} {n}"
        labels = frozenset({"incitement", "radicalism"} if n % 2 else ())
        made.append(LabelledPost(str(n), text, labels, family=str(n)))
    return made


def network() -> Network:
    torch.manual_seed(1)
    return Network(tiny_encoder(), len(OUTPUTS))


def test_fine_tuning_learns_and_keeps_the_best_epoch() -> None:
    net, tokenizer = network(), tiny_tokenizer()
    settings = replace(SETTINGS, epochs=6, freeze_embeddings=False)
    history = finetune(net, tokenizer, posts(), posts(20), settings)
    assert len(history) == 6
    assert history[-1]["loss"] < history[0]["loss"]
    columns = [OUTPUTS.index(label) for label in SCREENED]
    logits = predict(net, tokenizer, posts(20), settings)
    kept = mean_average_precision(targets(posts(20)), logits, columns)
    assert kept == max(max(row["pr_auc"], row["averaged_pr_auc"]) for row in history) > 0.85


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = network(), network()
    for net in (first, second):
        finetune(net, tiny_tokenizer(), posts(), posts(20), SETTINGS)
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_an_interrupted_run_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = (tiny_tokenizer(), posts(), posts(20), SETTINGS)
    whole = network()
    finetune(whole, *given)

    class Killed(Exception):
        pass

    calls = iter(range(10))

    def dies_in_second_epoch(*scores: object) -> object:
        if next(calls) == 1:
            raise Killed
        return mean_average_precision(*scores)  # type: ignore[arg-type]

    broken = network()
    with monkeypatch.context() as patch:
        patch.setattr("training.finetune.mean_average_precision", dies_in_second_epoch)
        with pytest.raises(Killed):
            finetune(broken, *given, checkpoint=tmp_path / "c.pt")
    again = network()
    finetune(again, *given, checkpoint=tmp_path / "c.pt")
    for a, b in zip(whole.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_student_of_half_the_layers_comes_close_to_its_teacher() -> None:
    tokenizer, settings = tiny_tokenizer(), replace(SETTINGS, epochs=8, teacher_weight=1.0)
    teacher = Network(tiny_encoder(layers=4), len(OUTPUTS))
    finetune(teacher, tokenizer, posts(), posts(20), replace(SETTINGS, epochs=6))
    student = shortened(teacher, 2)
    assert len(student.encoder.encoder.layer) == 2
    expected = predict(teacher, tokenizer, posts(20), settings)

    def distance() -> float:
        return float(np.square(predict(student, tokenizer, posts(20), settings) - expected).mean())

    before = distance()
    finetune(student, tokenizer, posts(), posts(20), settings, teacher=teacher)
    assert distance() < before / 2


def test_adapting_lowers_the_loss_and_needs_text() -> None:
    torch.manual_seed(0)
    encoder = tiny_encoder()
    texts = [post.text for post in posts()]
    losses = adapt(encoder, tiny_tokenizer(), texts, AdaptSettings(epochs=6, max_tokens=32))
    assert losses[-1] < losses[0]
    with pytest.raises(TrainingError, match="no text to adapt to"):
        adapt(encoder, tiny_tokenizer(), [], AdaptSettings())


def test_an_unknown_answer_carries_no_loss() -> None:
    logits = torch.tensor([[0.0, 3.0]])
    known = masked_loss(logits[:, :1], torch.tensor([[1.0]]), torch.ones(1))
    masked = masked_loss(logits, torch.tensor([[1.0, float("nan")]]), torch.ones(2))
    # -ln(sigmoid(0)) = ln 2
    assert known.item() == pytest.approx(0.693147, abs=1e-6)
    assert masked.item() == known.item()


@pytest.fixture(scope="module", params=["deep", "wide and deep"])
def exported(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[Network, Path]:
    folder = tmp_path_factory.mktemp("export")
    net = network()
    finetune(net, tiny_tokenizer(), posts(), posts(20), SETTINGS)
    if request.param != "deep":
        net.wide = fit_wide(tiny_tokenizer(), answered(posts()))
    export_onnx(net, folder / "model.onnx")
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    return net.eval(), folder


def answered(made: list[LabelledPost]) -> list[LabelledPost]:
    """The posts, and two that give every output a yes and a no: each needs both to be fitted."""
    everything = LabelledPost("", "semua", frozenset(LABEL_IDS), frozenset(CONTEXT_IDS))
    return [*made, everything, LabelledPost("", "pagi", frozenset())]


def test_the_wide_part_finds_a_pair_of_words_whose_words_tell_nothing() -> None:
    hit, order = frozenset({"threat"}), ["serang pagi", "pagi serang"]
    made = [LabelledPost("", f"{order[n % 2]}", hit if n % 2 else frozenset()) for n in range(20)]
    net = network()
    net.wide = fit_wide(tiny_tokenizer(), answered(made))
    net.head.weight.data.zero_()
    yes, no = predict(net, tiny_tokenizer(), [made[1], made[0]], SETTINGS)
    assert yes[OUTPUTS.index("threat")] > no[OUTPUTS.index("threat")] + 2


def test_a_wide_part_that_helps_is_kept_and_one_that_harms_is_left_out() -> None:
    net = network()
    net.head.weight.data.zero_()
    wide = fit_wide(tiny_tokenizer(), answered(posts()))
    check = posts(20)
    assert widen(net, wide, tiny_tokenizer(), check, ["incitement"], SETTINGS) > 0
    found = predict(net, tiny_tokenizer(), check, SETTINGS)[:, OUTPUTS.index("incitement")]
    assert ((found > 0) == [bool(post.labels) for post in check]).all()
    assert widen(net, wide.scaled(-1), tiny_tokenizer(), check, ["incitement"], SETTINGS) == 0
    assert net.wide is None


def engine_logits(folder: Path, name: str, texts: list[str]) -> np.ndarray:
    if name in ("bf16", "int8"):
        engine: Engine = OpenVINOEngine(folder / "model.onnx", precision=name)  # type: ignore[arg-type]
    else:
        engine = load_engine(folder / "model.onnx", name)  # type: ignore[arg-type]
    encoder = TextEncoder(folder / "tokenizer.json", max_tokens=32, batch_tokens=40)
    prepared = encoder.prepare(texts)
    out = np.zeros((prepared.n_windows, len(OUTPUTS)), np.float32)
    for batch, answer in engine.run(prepared.batches):
        out[batch.rows] = answer.logits
        mask = batch.attention_mask[..., None]
        mean = (answer.evidence * mask).sum(1) / mask.sum(1)
        # Logits are the mean evidence plus one constant per output.
        assert np.ptp(answer.logits - mean, axis=0).max() < 0.05
    return out[[prepared.windows[number].start for number in prepared.texts]]


@pytest.mark.parametrize("name", ["onnxruntime", "torch", "openvino", "bf16", "int8"])
def test_every_engine_gives_the_trained_network_s_logits(
    exported: tuple[Network, Path], name: str
) -> None:
    net, folder = exported
    texts = [post.text for post in posts(24)]
    labelled = [LabelledPost("", text, frozenset()) for text in texts]
    expected = predict(net, tiny_tokenizer(), labelled, replace(SETTINGS, precision="float32"))
    # int8 weights move a logit by little; the engines agree far closer among each other.
    assert engine_logits(folder, name, texts) == pytest.approx(expected, abs=0.15)


def test_onnxruntime_and_torch_agree_on_the_shipped_weights(exported: tuple[Network, Path]) -> None:
    _, folder = exported
    texts = [post.text for post in posts(24)]
    torch_logits = engine_logits(folder, "torch", texts)
    assert engine_logits(folder, "onnxruntime", texts) == pytest.approx(torch_logits, abs=2e-3)


def test_the_network_is_read_back_from_the_onnx_file(exported: tuple[Network, Path]) -> None:
    net, folder = exported
    again = read_network(folder / "model.onnx").state_dict()
    for name, value in net.state_dict().items():
        if "token_type" in name or "position_embeddings" in name:
            continue  # stored as their sum
        scale = value.abs().max() / 127 if value.ndim > 1 else torch.tensor(1e-9)
        assert (again[name] - value).abs().max() <= scale, name


def test_matrices_are_stored_as_int8(exported: tuple[Network, Path]) -> None:
    stored = {t.name: t.data_type for t in onnx.load(exported[1] / "model.onnx").graph.initializer}
    matrices = [name for name in stored if name.endswith(".int8")]
    assert len(matrices) == 1 + 2 * 6 + 2 * (exported[0].wide is not None)
    assert {stored[name] for name in matrices} == {onnx.TensorProto.INT8}


def test_bfloat16_kernels_get_plain_weights(exported: tuple[Network, Path]) -> None:
    model = openvino.Core().read_model(exported[1] / "model.onnx")

    def n_codes() -> int:
        kinds = [op.get_output_element_type(0).get_type_name() for op in model.get_ordered_ops()]
        return kinds.count("i8")

    assert n_codes() == 13 + 2 * (exported[0].wide is not None)
    fold_weights(model)
    assert n_codes() == 0


def xlm_roberta() -> XLMRobertaModel:
    config = XLMRobertaConfig(
        vocab_size=90,
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=66,
        type_vocab_size=1,
    )
    return XLMRobertaModel(config, add_pooling_layer=False)


def modernbert() -> ModernBertModel:
    config = ModernBertConfig(
        vocab_size=90,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=96,
        max_position_embeddings=64,
        pad_token_id=1,
        bos_token_id=0,
        cls_token_id=0,
        eos_token_id=2,
        sep_token_id=2,
        attn_implementation="eager",
    )
    return ModernBertModel(config)


@pytest.mark.parametrize("make_encoder", [xlm_roberta, modernbert])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_encoders_of_other_families_are_trained_and_exported(
    make_encoder: Callable[[], PreTrainedModel], name: str, tmp_path: Path
) -> None:
    torch.manual_seed(1)
    net = Network(make_encoder(), len(OUTPUTS))
    settings = replace(SETTINGS, epochs=1, frozen_layers=1)
    finetune(net, tiny_tokenizer(), posts(), posts(20), settings)
    net.wide = fit_wide(tiny_tokenizer(), answered(posts()))
    export_onnx(net, tmp_path / "model.onnx")
    tiny_tokenizer().save(str(tmp_path / "tokenizer.json"))
    expected = predict(net, tiny_tokenizer(), posts(24), settings)
    found = engine_logits(tmp_path, name, [post.text for post in posts(24)])
    assert found == pytest.approx(expected, abs=0.15)


def test_torch_refuses_a_file_that_was_traced(tmp_path: Path) -> None:
    export_onnx(Network(modernbert(), len(OUTPUTS)), tmp_path / "model.onnx")
    with pytest.raises(ReleaseError, match="BERT-like encoders only"):
        read_network(tmp_path / "model.onnx")


def test_calibration_recovers_the_line_answers_were_drawn_from() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, len(OUTPUTS)))
    chance = 1 / (1 + np.exp(-(0.5 * logits - 1.0)))
    answers = (rng.random(logits.shape) < chance).astype(np.float32)
    answers[::7, 0] = np.nan
    calibration = fit_calibration(logits, answers)
    assert calibration.slope == pytest.approx([0.5] * len(OUTPUTS), abs=0.05)
    assert calibration.intercept == pytest.approx([-1.0] * len(OUTPUTS), abs=0.1)


def test_review_keeps_the_promised_recall_of_fresh_positives() -> None:
    rng = np.random.default_rng(0)
    kept = []
    for _ in range(400):
        positives = rng.beta(5, 2, 300)
        kept.append((rng.beta(5, 2, 500) >= review_threshold(positives, [])).mean())
    # The mean of 400 runs is known to about 0.0004.
    assert np.mean(kept) >= 0.98 - 3 * 0.0004


def test_review_takes_the_lowest_score_when_few_positives_allow_no_miss() -> None:
    # (20 + 1) * 0.02 = 0.42: not one may be missed.
    assert review_threshold(np.linspace(0.3, 0.9, 20), []) == 0.3


def test_review_never_takes_more_lawful_posts_than_allowed() -> None:
    # 98 % of these positives lie above 0.1, but so do 9 in 10 lawful posts: 0.2 % reach 0.998.
    positives, lawful = np.linspace(0.1, 1.0, 200), np.linspace(0.0, 1.0, 10_001)
    assert review_threshold(positives, [lawful / 2, lawful]) == pytest.approx(0.998, abs=1e-4)


def test_urgent_is_refused_when_the_data_cannot_carry_the_promise() -> None:
    # 100 lawful posts, none above: the rate's upper bound is still 3.6 %, far above 1 % of posts.
    assert urgent_threshold(np.full(100, 0.9), np.zeros(100), 0.01) is None


def test_urgent_is_the_lowest_threshold_that_carries_the_promise() -> None:
    positives = np.concatenate([np.full(150, 0.6), np.full(150, 0.9)])
    negatives = np.concatenate([np.zeros(40_000), np.full(100, 0.7)])
    assert urgent_threshold(positives, negatives, 0.01) == 0.9


def test_metrics_match_hand_computed_numbers() -> None:
    truth, score = np.array([1, 0, 1, 0]), np.array([0.9, 0.8, 0.7, 0.1])
    # Positives at ranks 1 and 3: (1/1 + 2/3) / 2.
    assert pr_auc(truth, score) == pytest.approx(0.833333, abs=1e-6)
    assert recall_at_precision(truth, score, 0.9) == 0.5
    # Bins: 0.9 -> 1 (gap .1), 0.8 -> 0 (.8), 0.7 -> 1 (.3), 0.1 -> 0 (.1); mean 0.325.
    assert calibration_error(truth, score) == pytest.approx(0.325)


def test_intervals_draw_whole_families() -> None:
    truth, score = np.array([1, 0] * 50), np.array([0.9, 0.1] * 50)
    families = [str(n // 2) for n in range(100)]
    assert interval(pr_auc, truth, score, families) == (1.0, 1.0)
