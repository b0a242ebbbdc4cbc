from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from models.errors import ReleaseError
from models.release import OUTPUTS, default_release_folder, load_release
from screening.policy import SCREENED

LIMIT_BYTES = 45 * 1000 * 1000


def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(default_release_folder(), tmp_path / "release"))


def test_the_shipped_release_loads_and_verifies() -> None:
    release = load_release()
    assert release.calibration.outputs == OUTPUTS
    assert set(release.policy.thresholds) == set(SCREENED)
    for threshold in release.policy.thresholds.values():
        assert 0 < threshold.review < 1
        assert threshold.urgent is None or threshold.review <= threshold.urgent <= 1


def test_the_shipped_release_is_small_and_holds_nothing_else() -> None:
    files = sorted(default_release_folder().iterdir())
    assert [file.name for file in files] == [
        "CARD.md", "model.onnx", "release.json", "tokenizer.json",
    ]  # fmt: skip
    assert sum(file.stat().st_size for file in files) <= LIMIT_BYTES


def test_the_card_prints_the_record_s_own_thresholds() -> None:
    release = load_release()
    card = (release.folder / "CARD.md").read_text("utf-8")
    for label, threshold in release.record["thresholds"].items():
        urgent = threshold["urgent"] if threshold["urgent"] is not None else "refused"
        assert f"| {label} | {threshold['review']} | {urgent} |" in card


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_changed_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    folder = copied(tmp_path)
    with (folder / name).open("r+b") as file:
        file.seek(100)
        file.write(b"x")
    with pytest.raises(ReleaseError, match=f"{name}: SHA-256 is"):
        load_release(folder)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_missing_file_is_refused_by_name(tmp_path: Path, name: str) -> None:
    folder = copied(tmp_path)
    (folder / name).unlink()
    with pytest.raises(ReleaseError, match=f"{name} is missing"):
        load_release(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "expected format 1"),
        ({"taxonomy": "9.9"}, "made for taxonomy 9.9"),
        ({"outputs": ["threat"]}, "made for taxonomy"),
        ({"thresholds": {"terrorism": {"review": 0.5, "urgent": None}}}, "'radicalism' is missing"),
        ({"calibration": {}}, "is missing or malformed"),
        ({"max_tokens": "banyak"}, "is missing or malformed"),
    ],
)
def test_a_bad_record_is_refused_naming_the_field(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = copied(tmp_path)
    record = json.loads((folder / "release.json").read_text("utf-8"))
    (folder / "release.json").write_text(json.dumps({**record, **change}), "utf-8")
    with pytest.raises(ReleaseError, match=message):
        load_release(folder)


def test_a_folder_that_is_no_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"is not a release folder: no readable release\.json"):
        load_release(tmp_path)


def test_a_record_cut_off_is_refused(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    (folder / "release.json").write_text('{"format": 1', "utf-8")
    with pytest.raises(ReleaseError, match="not valid JSON"):
        load_release(folder)
