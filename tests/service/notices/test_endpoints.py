"""Notices over HTTP and from the command line: who may what, and the report's three shapes."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from click.testing import CliRunner, Result
from fastapi.testclient import TestClient
from selectolax.lexbor import LexborHTMLParser

from service.auth import Role
from service.cli import main
from service.db import Database
from service.notices import report
from service.settings import Settings
from service.tables import AuditEntry
from tests.service.building import LAWFUL
from tests.service.notices.drafting import FLAGGER, closed
from tests.service.serving import key_of, served, signed_in

SHAPES = ("json", "csv", "html")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update=FLAGGER)


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with served(settings) as client:
        yield client


def ok(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def issued(client: TestClient, database: Database, *cases: int) -> int:
    """A notice of the cases, drafted by a senior and approved by a person."""
    senior = key_of(database, Role.SENIOR)
    notice = ok(client.post("/v1/notices", headers=senior, json={"cases": cases}), 201)["id"]
    ok(client.post(f"/v1/notices/{notice}/approve", headers=signed_in(database, 21, Role.APPROVER)))
    return int(notice)


def test_a_notice_from_draft_to_report_in_every_shape(
    client: TestClient, database: Database, settings: Settings
) -> None:
    closed(database, settings, channel_id="1001", permalink="https://t.me/kanal_uji/1")
    closed(database, settings, number=2, channel_id="1001", text="rahasia sekali")
    senior, auditor = key_of(database, Role.SENIOR), key_of(database, Role.AUDITOR)
    body = {"platform": "telegram", "channel_id": "1001"}
    drafted = ok(client.post("/v1/notices", headers=senior, json=body), 201)
    assert (drafted["state"], drafted["items"], drafted["reference"]) == ("draft", 2, None)
    assert drafted["left_out"] == []
    path = f"/v1/notices/{drafted['id']}"
    for shape in SHAPES:
        refused = client.get(f"{path}/report?format={shape}", headers=senior)
        assert refused.status_code == 409
        assert "is a draft" in refused.json()["detail"]
    assert ok(client.get(path, headers=auditor))["content"]["labels"] == ["incitement"]
    assert ok(client.get("/v1/notices?state=approved", headers=auditor)) == []
    done = ok(client.post(f"{path}/approve", headers=signed_in(database, 21, Role.APPROVER)))
    assert (done["state"], done["deadline_class"]) == ("approved", "urgent")
    answers = {s: client.get(f"{path}/report?format={s}", headers=auditor) for s in SHAPES}
    read = ok(answers["json"])
    assert [item["link"] for item in read["items"]] == [
        "https://t.me/kanal_uji/1", "https://t.me/c/1001/2",
    ]  # fmt: skip
    claimed = read.pop("sha256")
    assert claimed == done["sha256"] == hashlib.sha256(rfc8785.dumps(read)).hexdigest()
    assert read["items"][1]["text_sha256"] == hashlib.sha256(b"rahasia sekali").hexdigest()
    table = list(csv.DictReader(io.StringIO(answers["csv"].content.decode("utf-8-sig"))))
    assert [row["link"] for row in table] == [item["link"] for item in read["items"]]
    assert {row["report_sha256"] for row in table} == {claimed}
    page = LexborHTMLParser(answers["html"].text)
    assert [link.attributes["href"] for link in page.css("a")] == [row["link"] for row in table]
    assert claimed in answers["html"].text
    for answer in answers.values():
        assert "rahasia" not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
        assert done["reference"] in answer.headers["Content-Disposition"]
    yudi = signed_in(database, 22, Role.APPROVER)
    ok(client.post(f"{path}/withdraw", headers=yudi, json={"reason": "x"}))
    assert client.get(f"{path}/report", headers=auditor).status_code == 409
    log = ok(client.get("/v1/audit?limit=500", headers=auditor))
    of_notice = [entry["action"] for entry in log if entry["subject"].startswith("notice:")]
    assert of_notice == [
        "notice.draft", "notice.approve", *["notice.export"] * 3, "notice.withdraw",
    ]  # fmt: skip
    assert ok(client.get("/v1/audit/verify", headers=auditor))["fault"] is None


def test_hostile_names_links_and_ids_stay_words(
    client: TestClient, database: Database, settings: Settings
) -> None:
    hostile = "</style><script>alert(1)</script><img src=x onerror=alert(1)>"
    cases = [
        closed(
            database, settings, number=1, channel_id="=1+1", channel_name=hostile,
            permalink="javascript:alert(1)",
        ),
        closed(
            database, settings, number=2, channel_id="=1+1", channel_name=hostile,
            message_id=' =HYPERLINK("x")', permalink='https://t.me/a"onmouseover="alert(1)\u202e',
        ),
    ]  # fmt: skip
    path = f"/v1/notices/{issued(client, database, *cases)}/report"
    auditor = key_of(database, Role.AUDITOR)
    answer = client.get(f"{path}?format=html", headers=auditor)
    page = LexborHTMLParser(answer.text)
    assert not page.css("script, img, iframe, object, form, link, base")
    assert not [n for n in page.css("*") if any(name.startswith("on") for name in n.attributes)]
    assert [link.attributes["href"] for link in page.css("a")] == [
        'https://t.me/a"onmouseover="alert(1)\u202e'
    ]
    assert page.body is not None
    assert "\u202e" not in page.body.text()
    assert hostile in page.body.text()
    (style,) = page.css("style")
    digest = base64.b64encode(hashlib.sha256(style.text().encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in report.PAGE_POLICY
    (policy,) = [
        meta.attributes["content"]
        for meta in page.css("meta[http-equiv]")
        if meta.attributes["http-equiv"] == "Content-Security-Policy"
    ]
    assert policy == report.PAGE_POLICY
    assert str(answer.headers["Content-Security-Policy"]).startswith(report.PAGE_POLICY)
    rows = client.get(f"{path}?format=csv", headers=auditor).content.decode("utf-8-sig")
    for row in csv.DictReader(io.StringIO(rows)):
        for cell in row.values():
            assert cell.lstrip()[:1] not in {"=", "+", "-", "@"}
    assert ok(client.get(path, headers=auditor))["items"][0]["link"] == "javascript:alert(1)"


@pytest.mark.parametrize("role", list(Role))
def test_who_may_draft_read_and_approve(
    client: TestClient, database: Database, settings: Settings, role: Role
) -> None:
    closed(database, settings, number=1, channel_id="1")
    second = closed(database, settings, number=2, channel_id="2")
    notice = issued(client, database, 1)
    headers = signed_in(database, 30, role)
    drafting = {Role.REVIEWER, Role.SENIOR, Role.APPROVER}
    reading = drafting | {Role.AUDITOR}
    seeing = reading - {Role.REVIEWER}
    draft = client.post("/v1/notices", headers=headers, json={"cases": [second]})
    assert draft.status_code == (201 if role in drafting else 403)
    listed = client.get("/v1/notices", headers=headers)
    assert listed.status_code == (200 if role in reading else 403)
    if role in reading:
        mine = [draft.json()["id"]] if role in drafting else []
        expected = [notice, *mine] if role in seeing else mine
        assert [entry["id"] for entry in listed.json()] == expected
    answer = client.get(f"/v1/notices/{notice}", headers=headers)
    assert answer.status_code == (200 if role in seeing else 404 if role in reading else 403)
    answer = client.get(f"/v1/notices/{notice}/report", headers=headers)
    assert answer.status_code == (200 if role in seeing else 404 if role in reading else 403)
    answer = client.post(f"/v1/notices/{notice}/approve", headers=headers)
    assert answer.status_code == (409 if role == Role.APPROVER else 403)


def test_without_credentials_nothing_is_answered(client: TestClient) -> None:
    for path in ("/v1/notices", "/v1/notices/1", "/v1/notices/1/report"):
        assert client.get(path).status_code == 401
    for path in ("/v1/notices", "/v1/notices/1/approve", "/v1/notices/1/withdraw"):
        assert client.post(path, json={}).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"cases": []},
        {"cases": [0]},
        {"cases": [2**60]},
        {"cases": [1, 1]},
        {"cases": ["x"]},
        {"cases": [1], "platform": "telegram"},
        {"cases": [1], "channel_id": "1", "platform": "telegram"},
        {"channel_id": "1"},
        {"channel_id": "", "platform": "telegram"},
        {"account_id": "a\x00b", "platform": "telegram"},
        {"cases": [1], "extra": 1},
        {"cases": list(range(1, 300))},
    ],
)
def test_a_wrong_selection_is_refused(
    client: TestClient, database: Database, body: dict[str, Any]
) -> None:
    answer = client.post("/v1/notices", headers=key_of(database, Role.SENIOR), json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"]


def test_refusals_are_problems_that_name_the_case(
    client: TestClient, database: Database, settings: Settings
) -> None:
    lawful = closed(database, settings, LAWFUL)
    senior = key_of(database, Role.SENIOR)
    answer = client.post("/v1/notices", headers=senior, json={"cases": [lawful]})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (409, "/cases/0")
    assert client.get("/v1/notices/1", headers=senior).status_code == 404
    assert client.get("/v1/notices/0", headers=senior).status_code == 422
    assert client.get("/v1/notices/1/report?format=pdf", headers=senior).status_code == 422
    answer = client.post("/v1/notices/1/withdraw", headers=senior, json={"reason": ""})
    assert answer.status_code == 422


def test_a_method_that_is_not_served_is_told_which_are(client: TestClient) -> None:
    answer = client.put("/v1/notices")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")
    assert client.delete("/v1/notices/1").headers["Allow"] == "GET"


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_the_command_writes_an_approved_report_and_nothing_else(
    client: TestClient,
    database: Database,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if settings.database_url:
        monkeypatch.setenv("PENAPISAN_DATABASE_URL", settings.database_url)
    monkeypatch.setenv("PENAPISAN_DATA_DIR", str(settings.data_dir))
    notice = issued(client, database, closed(database, settings, channel_id="1"))
    second = closed(database, settings, number=2, channel_id="2")
    senior = key_of(database, Role.SENIOR)
    draft = ok(client.post("/v1/notices", headers=senior, json={"cases": [second]}), 201)["id"]
    for shape in SHAPES:
        assert "due" in run("notices", "export", notice, "-o", tmp_path / f"n.{shape}").stderr
    assert json.loads((tmp_path / "n.json").read_bytes())["reference"].startswith("PNP-")
    assert (tmp_path / "n.html").read_text("utf-8").startswith("<!doctype html>")
    assert "is a draft" in run("notices", "export", draft, "-o", tmp_path / "d.json", code=1).output
    assert not (tmp_path / "d.json").exists()
    assert "no notice 99" in run("notices", "export", 99, "-o", tmp_path / "d.csv", code=1).output
    assert "suffix" in run("notices", "export", notice, "-o", tmp_path / "d.pdf", code=1).output
    with database.reading() as session:
        taken = session.query(AuditEntry).where(AuditEntry.action == "notice.export").all()
        assert [entry.actor for entry in taken] == ["system:command-line"] * 3
