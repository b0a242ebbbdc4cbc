"""The command line, from the outside, on the shipped release and the sample export."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from service.cli import main

SAMPLE = Path(__file__).parent.parent / "data" / "telegram_export"
SCORE = [sys.executable, "-m", "service", "score"]


def run(*arguments: object, **options: object) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments], **options)  # type: ignore[arg-type]
    assert result.exit_code == 0, result.output
    return result.output


def failure(*arguments: object, code: int = 1) -> str:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exit_code == code, result.output
    return result.output


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("scored")
    out = run("score", SAMPLE, "-o", folder / "out.jsonl", "--report", folder / "report.html")
    return folder, out


def test_the_sample_is_scored_ranked_and_reported(scored: tuple[Path, str]) -> None:
    folder, printed = scored
    assert "ranked posts" in printed
    made = rows(folder / "out.jsonl")
    assert len(made) >= 300
    assert f"{len(made)} posts" in printed
    assert (folder / "report.html").read_text("utf-8").startswith("<!doctype html>")
    assert {path.name for path in folder.iterdir()} == {"out.jsonl", "report.html"}


def test_every_row_has_labels_band_release_permalink_and_words(scored: tuple[Path, str]) -> None:
    made = rows(scored[0] / "out.jsonl")
    assert {row["band"] for row in made} <= {"clear", "review", "urgent"}
    assert any(row["band"] != "clear" for row in made)
    for row in made:
        assert tuple(row["labels"]) == LABEL_IDS
        assert tuple(row["contexts"]) == CONTEXT_IDS
        assert all(0 <= p <= 1 for p in row["labels"].values())
        assert row["release"]
        assert row["key"].startswith("telegram:1765432100:")
        number = int(row["message_id"])
        link = f"https://t.me/c/1765432100/{number}" if number > 0 else None
        assert row["permalink"] == link
        if row["band"] != "clear":
            assert row["spans"]
        for span in row["spans"]:
            assert row["text"][span["begin"] : span["end"]] == span["text"]


def test_rows_come_in_the_order_of_the_export(scored: tuple[Path, str]) -> None:
    numbers = [int(row["message_id"]) for row in rows(scored[0] / "out.jsonl")]
    export = json.loads((SAMPLE / "result.json").read_text("utf-8"))
    order = [m["id"] for m in export["messages"]]
    assert numbers == [n for n in order if n in set(numbers)]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_csv_and_parquet_hold_as_many_rows(
    scored: tuple[Path, str], tmp_path: Path, suffix: str
) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    path = tmp_path / f"out.{suffix}"
    run("score", SAMPLE, "-o", path, "--top", 0)
    if suffix == "parquet":
        table = pyarrow.parquet.read_table(path)
    else:
        newlines = pyarrow.csv.ParseOptions(newlines_in_values=True)
        table = pyarrow.csv.read_csv(path, parse_options=newlines)
    assert table.num_rows == len(rows(scored[0] / "out.jsonl"))
    assert {"key", "score", "band", "p_terrorism", "words"} <= set(table.column_names)


def test_jsonl_needs_only_text_and_hands_back_the_rest(tmp_path: Path) -> None:
    given = tmp_path / "in.jsonl"
    given.write_text('{"text": "selamat pagi"}\n{"text": "halo", "nomor": 7, "x": [1]}\n')
    run("score", given, "-o", tmp_path / "out.jsonl")
    first, second = rows(tmp_path / "out.jsonl")
    assert first["text"] == "selamat pagi"
    assert second["source"] == {"nomor": 7, "x": [1]}


def test_results_go_to_stdout_and_nothing_else_does() -> None:
    result = CliRunner().invoke(main, ["score", "-", "-o", "-"], input='{"text": "selamat pagi"}\n')
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert json.loads(line)["text"] == "selamat pagi"


def test_min_score_leaves_low_posts_out(tmp_path: Path) -> None:
    run("score", SAMPLE, "-o", tmp_path / "out.jsonl", "--min-score", 0.5)
    made = rows(tmp_path / "out.jsonl")
    assert made
    assert all(row["score"] >= 0.5 for row in made)


def test_a_username_gives_public_links(tmp_path: Path) -> None:
    run("score", SAMPLE, "-o", tmp_path / "out.jsonl", "--username", "@contoh_kanal")
    links = {row["permalink"] for row in rows(tmp_path / "out.jsonl")} - {None}
    assert links
    assert all(link.startswith("https://t.me/contoh_kanal/") for link in links)


def finished(output: Path, wait: bool = True) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [*SCORE, str(SAMPLE), "-o", str(output), "--report", f"{output}.html", "--chunk", "16"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    if wait:
        assert process.wait(timeout=300) == 0
    return process


def test_killed_anywhere_and_run_again_gives_the_same_bytes(tmp_path: Path) -> None:
    begin = time.monotonic()
    finished(tmp_path / "whole.jsonl")
    duration = time.monotonic() - begin
    expected = (tmp_path / "whole.jsonl").read_bytes()
    rng = random.Random(7)
    resumed = 0
    for number in range(6):
        output = tmp_path / str(number) / "whole.jsonl"
        output.parent.mkdir()
        for _ in range(2):
            process = finished(output, wait=False)
            time.sleep(rng.uniform(0.3, 0.95) * duration)
            process.send_signal(signal.SIGKILL)
            process.wait()
        resumed += any(output.parent.glob("*.work/part-*.jsonl"))
        finished(output)
        assert output.read_bytes() == expected
        assert {p.name for p in output.parent.iterdir()} == {"whole.jsonl", "whole.jsonl.html"}
        assert Path(f"{output}.html").read_bytes() == (tmp_path / "whole.jsonl.html").read_bytes()
    assert resumed, "no kill fell into the scoring; the test would prove nothing"


def test_explain_shows_band_labels_and_read_through_tricks() -> None:
    printed = run("explain", "ayo s.e.r.a.n.g kantor p0l1s1 itu")
    assert "threshold" in printed
    assert "incitement" in printed
    assert "read through" in printed


def test_explain_prints_hostile_text_harmlessly() -> None:
    printed = run("explain", "[red]x[/red] \x1b[31m merah \u202e balik")
    assert "\x1b[31m" not in printed
    assert "\u202e" not in printed
    assert "[red]x[/red]" in printed


def test_labels_shows_the_whole_taxonomy() -> None:
    for language in ("id", "en"):
        printed = run("labels", "--language", language, env={"COLUMNS": "200"})
        assert all(identifier in printed for identifier in (*LABEL_IDS, *CONTEXT_IDS))


def test_release_show_verifies_and_prints_thresholds() -> None:
    printed = run("release", "show")
    assert "checksums match" in printed
    assert "terrorism" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "none.json"], "none.json"),
        (["score", str(SAMPLE), "-o", "out.xlsx"], "unknown output suffix"),
        (["score", str(SAMPLE), "-o", "no/folder/out.csv"], "the folder does not exist"),
        (["score", str(SAMPLE), "--release", "/nowhere"], "is not a release folder"),
        (["score", str(SAMPLE), "--username", "ada spasi"], "username"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_1_and_leaves_nothing(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    printed = failure(*arguments)
    assert not list(tmp_path.iterdir())
    assert message in printed
    assert "Traceback" not in printed


def test_wrong_usage_exits_2() -> None:
    failure("score", code=2)
    failure("score", str(SAMPLE), "--min-score", "7", code=2)
    failure("explain", " ", code=2)


@pytest.mark.parametrize("command", [["score"], ["explain"], ["labels"], ["release", "show"]])
def test_every_command_has_help(command: list[str]) -> None:
    assert "Usage:" in run(*command, "--help")
