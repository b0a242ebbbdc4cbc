"""Uploads that break off, do not fit or are nothing that can be read leave nothing behind."""

from __future__ import annotations

import gzip
import io
import socket
import time
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from screening import outputs
from screening.batch import WorkFolder
from screening.rows import Row
from service.auth import Role
from service.db import Database
from service.exports import running
from service.exports.folders import JobFolder
from service.exports.running import PART_POSTS
from service.settings import Settings
from service.tables import Job
from tests.service.exports.sending import SAMPLE, ended, kept_files, posts, send
from tests.service.serving import key_of, listening, served


@pytest.fixture
def client(settings: Settings, database: Database) -> Iterator[TestClient]:
    with served(settings) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        yield client


def jobs(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(Job)) or 0


def folders(settings: Settings) -> list[Path]:
    root = settings.data_dir / "exports"
    return list(root.iterdir()) if root.exists() else []


def half_a_zip() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(SAMPLE, "result.json")
    return packed.getvalue()[: packed.tell() // 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "export: is empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG image"),
        (b"[1, 2]", "a JSON array, but not of objects"),
        (half_a_zip(), "not a whole .zip"),
    ],
)
def test_what_no_reader_reads_is_refused_at_once(
    client: TestClient, database: Database, settings: Settings, content: bytes, words: str
) -> None:
    answer = client.post("/v1/exports", content=content)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]
    assert str(settings.data_dir) not in answer.text
    assert (jobs(database), folders(settings)) == (0, [])


def test_an_export_that_breaks_off_inside_fails_its_job(
    client: TestClient, settings: Settings
) -> None:
    cut = gzip.compress(SAMPLE.read_bytes())[:-2000]
    job = ended(client, send(client, cut, name="kanal.json.gz"))
    assert (job["state"], job["error"]["status"]) == ("failed", 422)
    assert job["error"]["detail"].startswith("kanal.json.gz: the compressed data breaks off")
    assert folders(settings) == []


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ({"username": "?"}, "/query/username"),
        ({"columns": "text"}, "/query/columns"),
        ({"name": ""}, "/query/name"),
        ({"name": "a" * 257}, "/query/name"),
    ],
)
def test_a_wrong_option_is_named(
    client: TestClient, settings: Settings, query: dict[str, str], pointer: str
) -> None:
    answer = client.post("/v1/exports", params=query, content=posts(1))
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert folders(settings) == []


def test_a_form_is_refused_with_what_to_send_instead(client: TestClient) -> None:
    answer = client.post("/v1/exports", files={"file": posts(1)})
    assert answer.status_code == 400
    assert "curl -T" in answer.json()["detail"]


@pytest.mark.parametrize("is_chunked", [False, True])
def test_an_export_over_the_limit_is_refused(
    settings: Settings, database: Database, is_chunked: bool
) -> None:
    content: bytes | Iterable[bytes] = posts(100)
    if is_chunked:
        content = iter([posts(10), posts(100), posts(100)])
    small = settings.model_copy(update={"upload_bytes": 4000, "request_bytes": 1024})
    with served(small) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        answer = client.post("/v1/exports", content=content)
        assert answer.status_code == 413
        assert "4000 bytes" in answer.json()["detail"]
        assert (jobs(database), folders(settings)) == (0, [])
        assert ended(client, send(client, posts(10)))["state"] == "done"


def test_a_client_that_goes_away_midway_leaves_nothing(
    settings: Settings, database: Database
) -> None:
    key = key_of(database, Role.SUBMITTER)["Authorization"]
    with listening(settings) as url:
        host, port = url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            head = f"POST /v1/exports HTTP/1.1\r\nHost: {host}\r\nAuthorization: {key}\r\n"
            connection.sendall(f"{head}Content-Length: 9000000\r\n\r\n".encode() + bytes(2**21))
            wait_until(lambda: kept_files(settings) == ["upload"])
        wait_until(lambda: folders(settings) == [])
    assert jobs(database) == 0


def wait_until(is_so: Any) -> None:
    for _ in range(3000):
        if is_so():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about in 30 s")


def test_a_full_disk_is_told_and_nothing_is_left(
    client: TestClient, database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin(folder: JobFolder) -> BinaryIO:
        folder.path.mkdir(parents=True)
        folder.upload.symlink_to("/dev/full")  # the kernel's own "no space left on device"
        return folder.upload.open("wb")

    with monkeypatch.context() as patch:
        patch.setattr(JobFolder, "begin", begin)
        answer = client.post("/v1/exports", content=posts(10))
    assert answer.status_code == 507
    assert answer.json()["detail"] == "the server's disk is full; nothing of the export was kept"
    assert (jobs(database), folders(settings)) == (0, [])
    assert ended(client, send(client, posts(10)))["state"] == "done"


def test_space_is_left_to_the_database(settings: Settings, database: Database) -> None:
    with served(settings.model_copy(update={"spare_bytes": 2**60})) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        answer = client.post("/v1/exports", content=posts(10))
        assert answer.status_code == 507
    assert (jobs(database), folders(settings)) == (0, [])


def test_a_disk_that_fills_between_two_parts_fails_the_job(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_part = WorkFolder.write_part

    def write(work: WorkFolder, number: int, digest: str, rows: Iterable[Row]) -> None:
        if number == 1:
            work.part(1).with_suffix(".partial").symlink_to("/dev/full")
        write_part(work, number, digest, rows)

    monkeypatch.setattr(WorkFolder, "write_part", write)
    job = ended(client, send(client, posts(100)))
    assert (job["state"], job["error"]["status"]) == ("failed", 507)
    assert "disk is full" in job["error"]["detail"]
    assert job["posts"] == PART_POSTS
    assert folders(settings) == []


def test_a_disk_that_fills_at_the_results_fails_the_job(
    client: TestClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_rows(path: Path, rows: Iterable[Row]) -> None:
        path.with_name(f".{path.name}.partial").symlink_to("/dev/full")
        outputs.write_rows(path, rows)

    monkeypatch.setattr(running, "write_rows", write_rows)
    job = ended(client, send(client, posts(100)))
    assert (job["state"], job["error"]["status"]) == ("failed", 507)
    assert job["posts"] == 100
    assert folders(settings) == []
