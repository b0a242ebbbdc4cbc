"""The whole way: posts scored, cases reviewed, labels exported, a release retrained and served.

Everything is the real thing, over HTTP and by command; only the corpus and the parent that training
goes on from are small.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fastapi.testclient import TestClient

from models.release import load_release
from screening.labelled import read_labelled
from screening.taxonomy import GUIDELINE_VERSION, LABEL_IDS
from service.app import create_app
from service.auth import Role
from service.cli import main as penapisan
from service.db import Database
from service.settings import Settings
from tests.service.serving import key_of, signed_in
from tests.training.test_recipe import corpus, make
from tests.training.tiny import tiny_encoder, tiny_tokenizer
from training import recipe, vocabulary
from training.base import save_base
from training.cli import main as penapisan_train

VIOLATING = {
    "ayo serbu kantor polisi malam ini, bunuh semua thaghut di sana": "incitement",
    "bergabunglah dengan kami, ucapkan baiat dan berangkat ke wilayah daulah": "recruitment",
    "kirim donasi untuk membeli senjata bagi para pejuang amaliyah": "financing",
    "besok gereja itu akan kami ledakkan, tunggu saja kalian": "threat",
    "puji syukur atas amaliyah bom kemarin, para syuhada patut ditiru": "glorification",
    "cara merakit bom panci di dapur sendiri, ikuti langkah berikut": "instruction",
}
LAWFUL = (
    "selamat pagi semua, semoga hari ini menyenangkan",
    "resep sambal terasi untuk makan siang keluarga",
    "polisi menangkap dua terduga pelaku pengeboman di kota",
    "harga beras naik lagi, pemerintah harus bertindak",
    "pengajian rutin hari jumat dibatalkan karena hujan",
    "timnas menang besar, lawan dibantai tanpa ampun",
)
START_SECONDS = 60


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A small release to go on from, and a small corpus beside the reviews."""
    folder = tmp_path_factory.mktemp("parent")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "read_corpus", corpus)
        patch.setattr(vocabulary, "WORDFREQ_WORDS", 200)
        save_base(folder / "base", tiny_encoder(), tiny_tokenizer())
        result = make(folder / "base", folder / "parent-1")
        assert result.exit_code == 0, result.output  # type: ignore[attr-defined]
        yield folder / "parent-1"


def ok(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def run(command: Any, *arguments: object) -> str:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return str(result.output)


def ruling(text: str) -> dict[str, Any]:
    """What a reviewer answers who reads the text."""
    label = VIOLATING.get(text)
    answers = {name: "yes" if name == label else "no" for name in LABEL_IDS}
    return {"labels": answers, "reason": label or "none"}


def review_all(client: TestClient, who: dict[str, str]) -> int:
    """Decide every case that the queue gives somebody; how many."""
    decided = 0
    while (answer := client.post("/v1/cases/claim", headers=who)).status_code == 200:
        case = answer.json()
        body = ruling(case["posts"][0]["text"]) | {"fence": case["fence"]}
        ok(client.post(f"/v1/cases/{case['id']}/decide", headers=who, json=body))
        decided += 1
    assert answer.status_code == 204, answer.text
    return decided


@contextmanager
def served_by_command(environment: dict[str, str]) -> Iterator[str]:
    """The URL of ``penapisan serve`` in a process of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "service", "serve", "--port", str(port)]
    server = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/livez").raise_for_status()
                break
            except httpx.TransportError:
                assert server.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(START_SECONDS)


def test_posts_are_scored_reviewed_learned_from_and_scored_anew(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("PENAPISAN_DATA_DIR", str(data))
    settings = Settings(audit_share=1.0, gold_share=0.0, second_share=0.0)
    texts = [*VIOLATING, *LAWFUL]
    posts = [
        {"text": text, "platform": "telegram", "channel_id": f"c{n}", "message_id": "1"}
        for n, text in enumerate(texts)
    ]
    with TestClient(create_app(settings)) as client:
        database: Database = client.app.state.database  # type: ignore[attr-defined]
        submitter = key_of(database, Role.SUBMITTER)
        shipped = load_release().id
        answer = ok(client.post("/v1/score", headers=submitter, json={"posts": posts}))
        assert (answer["release"], answer["errors"]) == (shipped, [])
        bands = [result["band"] for result in answer["results"]]
        assert bands.count("clear") < len(bands)
        ada, budi = (signed_in(database, number, Role.REVIEWER) for number in (1, 2))
        assert review_all(client, ada) == len(texts)
        assert review_all(client, budi) == len(VIOLATING)
        senior = signed_in(database, 3, Role.SENIOR)
        closed = ok(client.get("/v1/cases?state=closed", headers=senior))
        assert sum(case["is_violating"] for case in closed) == len(VIOLATING)
        assert len(closed) == len(texts)

    labels = tmp_path / "labels.jsonl"
    run(penapisan, "labels", "export", labels)
    rows = list(read_labelled(labels))
    assert len(rows) == len(texts) + len(VIOLATING) + len(texts)
    assert {row.guideline for row in rows} == {GUIDELINE_VERSION}
    consensus = {row.text: row.labels for row in rows if row.labelled_by == "consensus"}
    assert consensus == {
        text: frozenset({VIOLATING[text]} if text in VIOLATING else ()) for text in texts
    }

    made = tmp_path / "retrained-1"
    arguments = ["--labels", labels, "--release", parent, "-o", made, "--epochs", 1]
    assert f"{len(rows)} rows read" in run(penapisan_train, "retrain", *arguments)
    record = load_release(made).record
    assert (record["base"]["parent"], record["data"]["reviews"]) == ("parent-1", len(rows))

    environment = {"PENAPISAN_DATA_DIR": str(data), "PENAPISAN_RELEASE": str(made)}
    with served_by_command(environment) as url:
        answer = ok(httpx.post(f"{url}/v1/score", headers=submitter, json={"posts": posts}))
    assert answer["release"] == "retrained-1" != shipped
    assert {result["release"] for result in answer["results"]} == {"retrained-1"}
    assert all(0 <= result["terrorism"] <= 1 for result in answer["results"])
