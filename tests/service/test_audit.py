"""The audit chain: what verification finds, noted heads and their time-stamps."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from sqlalchemy import text

from service import audit
from service.db import Database, now
from service.errors import Unavailable, Unprocessable
from service.timestamps import check_stamp, head_document, read_head, request_stamp


def write(database: Database, count: int = 5) -> None:
    with database.session() as session:
        for number in range(count):
            audit.append(session, "person:1", "case.read", f"case:{number}", {"n": number})


def tamper(database: Database, *statements: str) -> None:
    """What somebody who owns the database can do: take the guard away and write."""
    on = "" if database.is_sqlite else " ON audit_entries"
    with database.session() as session:
        for change in ("update", "delete"):
            session.execute(text(f"DROP TRIGGER audit_entries_no_{change}{on}"))
        for statement in statements:
            session.execute(text(statement))


def fault(database: Database, head: str | None = None) -> tuple[int, str] | None:
    with database.reading() as session:
        found = audit.verify(session, head=head)
    return found and (found.sequence, found.what)


def test_an_untouched_chain_holds(database: Database) -> None:
    assert fault(database) is None
    write(database)
    assert fault(database) is None


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'person:2'",
        "subject = 'case:9'",
        "detail = '{\"n\": 9}'",
        "action = 'case.decide'",
    ],
)
def test_a_changed_entry_is_named(database: Database, change: str) -> None:
    write(database)
    tamper(database, f"UPDATE audit_entries SET {change} WHERE sequence = 3")
    assert fault(database) == (3, "was changed after it was written")


def test_a_missing_entry_is_named(database: Database) -> None:
    write(database)
    tamper(database, "DELETE FROM audit_entries WHERE sequence = 3")
    assert fault(database) == (3, "is missing: entry 4 follows 2")


def test_a_reordered_entry_is_named(database: Database) -> None:
    write(database)
    tamper(
        database,
        "UPDATE audit_entries SET sequence = 99 WHERE sequence = 2",
        "UPDATE audit_entries SET sequence = 2 WHERE sequence = 3",
        "UPDATE audit_entries SET sequence = 3 WHERE sequence = 99",
    )
    assert fault(database) == (2, "does not follow the entry before it")


def test_a_chain_cut_off_is_betrayed_by_the_noted_head(database: Database) -> None:
    write(database)
    with database.reading() as session:
        _, head = audit.chain_head(session)
    tamper(database, "DELETE FROM audit_entries WHERE sequence = 5")
    assert fault(database) is None
    assert fault(database, head) == (5, "is missing: the noted head is not in the chain")


def test_concurrent_writers_make_one_chain(database: Database) -> None:
    threads = [threading.Thread(target=write, args=(database, 10)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert audit.verify(session) is None
        assert audit.chain_head(session)[0] == 40


class Authority:
    """A time-stamping authority of its own: OpenSSL's, with a root made for the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        extension = "extendedKeyUsage=critical,timeStamping\nkeyUsage=critical,digitalSignature\n"
        (folder / "ext").write_text(extension)
        (folder / "serial").write_text("01\n")
        (folder / "config").write_text(
            "[tsa]\ndefault_tsa=t\n[t]\nserial=serial\nsigner_digest=sha256\n"
            "default_policy=1.2.3.4\ndigests=sha256\ness_cert_id_alg=sha256\n"
        )
        self._openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=Root")
        self._openssl("req -newkey rsa:2048 -nodes -keyout tsa.key -out tsa.csr -subj /CN=TSA")
        self._openssl(
            "x509 -req -in tsa.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out tsa.pem "
            "-extfile ext"
        )
        self.root = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())

    def __call__(self, request: httpx.Request) -> httpx.Response:
        (self.folder / "query").write_bytes(request.content)
        self._openssl(
            "ts -reply -config config -queryfile query -signer tsa.pem -inkey tsa.key -out reply"
        )
        return httpx.Response(200, content=(self.folder / "reply").read_bytes())

    def _openssl(self, arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments.split()], cwd=self.folder, check=True, capture_output=True
        )


def test_a_head_is_time_stamped_and_the_stamp_checked(tmp_path: Path) -> None:
    folder, other = tmp_path / "a", tmp_path / "b"
    folder.mkdir()
    other.mkdir()
    authority = Authority(folder)
    document = head_document(5, "ab" * 32, now())
    client = httpx.Client(transport=httpx.MockTransport(authority))
    reply = request_stamp(document, "https://tsa.example/", client)
    seen = check_stamp(document, reply, [authority.root])
    assert abs((now() - seen).total_seconds()) < 3600
    with pytest.raises(Unprocessable, match="does not hold"):
        check_stamp(document + b" ", reply, [authority.root])
    with pytest.raises(Unprocessable, match="does not hold"):
        check_stamp(document, reply, [Authority(other).root])


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.Response(200, content=b"hello")])
def test_an_authority_that_gives_no_stamp_is_named(answer: httpx.Response) -> None:
    client = httpx.Client(transport=httpx.MockTransport(lambda _: answer))
    with pytest.raises(Unavailable, match=r"tsa\.example"):
        request_stamp(b"x", "https://tsa.example/", client)


@pytest.mark.parametrize("content", ["", "[]", '{"sha256": 7}', '{"sha256": "ab"}'])
def test_a_file_that_is_no_head_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "head").write_text(content)
    with pytest.raises(Unprocessable, match=r"head|SHA-256"):
        read_head(tmp_path / "head")
