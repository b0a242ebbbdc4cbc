"""The head of the audit chain, noted outside the database and time-stamped by a third party.

A chain can be cut off or written anew by whoever owns the database; a head that somebody else has
dated (RFC 3161) cannot be explained away.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import httpx
from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from service.errors import Unavailable, Unprocessable

QUERY_TYPE, REPLY_TYPE = "application/timestamp-query", "application/timestamp-reply"


def head_document(sequence: int, sha256: str, at: datetime) -> bytes:
    """The noted head, byte for byte what is time-stamped."""
    body = {"sequence": sequence, "sha256": sha256, "noted_at": at.isoformat()}
    return json.dumps(body, sort_keys=True).encode() + b"\n"


def read_head(path: Path) -> str:
    """The SHA-256 of a noted head.

    Raises
    ------
    Unprocessable
        The file is not one.
    """
    try:
        head = json.loads(path.read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unprocessable(f"{path.name}: is not a chain head ({error!r})") from error
    if not isinstance(head, str) or len(head) != 64:
        raise Unprocessable(f"{path.name}: 'sha256' is not a SHA-256 in hexadecimal")
    return head


def request_stamp(document: bytes, url: str, client: httpx.Client | None = None) -> bytes:
    """The reply of a time-stamping authority, to be kept beside the document.

    Raises
    ------
    Unavailable
        The authority does not answer, or not with a time-stamp.
    """
    request = (
        TimestampRequestBuilder()
        .data(document)
        .hash_algorithm(HashAlgorithm.SHA256)
        .cert_request(cert_request=True)
        .nonce(nonce=True)
        .build()
    )
    try:
        with client or httpx.Client(timeout=30) as web:
            answer = web.post(
                url, content=request.as_bytes(), headers={"Content-Type": QUERY_TYPE}
            ).raise_for_status()
        reply = decode_timestamp_response(answer.content)
        if reply.tst_info.nonce != request.nonce:
            raise ValueError("another request's reply")
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(f"{url}: gave no time-stamp ({error}); try again") from error
    return answer.content


def check_stamp(document: bytes, reply: bytes, roots: Sequence[x509.Certificate]) -> datetime:
    """When the authority saw the document.

    Raises
    ------
    Unprocessable
        The time-stamp is not of this document, or of nobody whom ``roots`` trust.
    """
    builder = VerifierBuilder()
    for root in roots:
        builder = builder.add_root_certificate(root)
    try:
        stamp = decode_timestamp_response(reply)
        builder.build().verify_message(stamp, document)
    except (VerificationError, ValueError) as error:
        raise Unprocessable(f"the time-stamp does not hold: {error}") from error
    return stamp.tst_info.gen_time
