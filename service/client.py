"""A client of the service for Python programs, in two forms: ``Client`` and ``AsyncClient``.

    with Client("http://127.0.0.1:8000", key) as client:
        answer = client.score(["Selamat pagi semua"])

Busy answers and lost connections are tried again. Every request that changes something carries an
``Idempotency-Key``, so that a repeat whose first answer was lost changes nothing.
"""

from __future__ import annotations

import asyncio
import email.utils
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self, TypeAlias, TypedDict

import httpx

MAX_POSTS = 1000
"""Posts of one request; more are sent in several."""

EXPORTS = "/v1/exports"
CHUNK_BYTES = 2**20
Format: TypeAlias = Literal["jsonl", "csv", "parquet"]

Sendable: TypeAlias = str | Mapping[str, Any]
"""A bare text, or a post with the fields of ``POST /v1/score``."""


class FieldError(TypedDict):
    """What is wrong with one field; ``pointer`` is ``/posts/3/text``, of the list as given."""

    pointer: str
    detail: str


class Span(TypedDict):
    begin: int
    end: int
    label: str
    weight: float


class ScoredPost(TypedDict):
    """The service's proposal for one post; see its OpenAPI document."""

    id: str | None
    key: str
    band: Literal["clear", "review", "urgent"]
    decided_by: str
    threshold: float
    labels: dict[str, float]
    terrorism: float
    contexts: dict[str, float]
    release: str
    policy: str
    windows: int
    truncated: bool
    language: str | None
    spans: list[Span] | None


class Job(TypedDict):
    """How far an export is; see the OpenAPI document. ``error`` says why it ``failed``."""

    id: str
    kind: str
    state: Literal["queued", "running", "done", "failed"]
    name: str
    release: str | None
    posts: int
    hits: int
    bytes_total: int
    bytes_read: int
    skipped: dict[str, int]
    repaired: dict[str, int]
    notes: list[str]
    error: dict[str, Any] | None
    created_at: str
    finished_at: str | None
    removed_at: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """``results`` in the order of the posts; ``None`` where ``errors`` names the post."""

    results: list[ScoredPost | None]
    errors: list[FieldError]


class ClientError(Exception):
    """The service refused, or could not be reached; ``status`` is ``None`` for the latter."""

    def __init__(
        self, detail: str, status: int | None = None, errors: Sequence[FieldError] = ()
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.errors = list(errors)


@dataclass(frozen=True, slots=True)
class Retries:
    """When to try again: ``attempts`` in all, waits that double from ``first_seconds``.

    A wait is drawn between half and the whole of its length, so that clients refused together do
    not come back together. ``Retry-After`` is waited for at least, up to ``most_seconds``.
    """

    attempts: int = 6
    first_seconds: float = 0.2
    most_seconds: float = 30.0

    def seconds(self, attempt: int, asked: float | None) -> float:
        """How long to wait after the ``attempt``-th failure, counted from 1."""
        backed_off = self.first_seconds * 2.0 ** (attempt - 1) * random.uniform(0.5, 1)
        return min(self.most_seconds, max(backed_off, asked or 0.0))


class Client:
    """One thread's client; ``with`` closes its connections."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retries: Retries | None = None,
        timeout_seconds: float = 60,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx.Client(
            base_url=url, headers=_headers(key), timeout=timeout_seconds, transport=transport
        )

    def score(self, posts: Sequence[Sendable], *, spans: bool = False) -> Answer:
        """Scores of any number of posts.

        Raises
        ------
        ClientError
            A request was refused, or failed to the last attempt. Of more than ``MAX_POSTS``
            posts, those sent before it are stored; sending all again stores none twice.
        """
        answer = Answer([], [])
        for start, body in _bodies(posts, spans):
            _join(answer, start, self._post("/v1/score", body))
        return answer

    def upload_export(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        username: str | None = None,
        columns: str | None = None,
    ) -> Job:
        """Send a file (a folder's .zip) to be scored in the background; see ``job``.

        ``username`` is the channel's public name, for links; ``columns`` names a table's, as in
        ``text=isi,posted_at=tanggal``.

        Raises
        ------
        ClientError
            As of ``score``. Nothing of a refused export is kept.
        """
        query, headers = _export_query(path, name, username, columns), _once()

        def send() -> httpx.Response:
            with open(path, "rb") as file:
                return self._http.post(EXPORTS, params=query, content=file, headers=headers)

        job: Job = self._retried(send).json()
        return job

    def job(self, job_id: str) -> Job:
        """How far an export is."""
        job: Job = self._retried(lambda: self._http.get(f"/v1/jobs/{job_id}")).json()
        return job

    def download_result(
        self, job_id: str, path: str | os.PathLike[str], file_format: Format = "jsonl"
    ) -> None:
        """Write the scores of a job that is done to ``path``, whole or not at all."""

        def fetch() -> httpx.Response:
            url, query = f"/v1/jobs/{job_id}/result", {"format": file_format}
            with self._http.stream("GET", url, params=query) as response:
                if not response.is_success:
                    response.read()
                    return response
                with _whole(path) as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
            return response

        self._retried(fetch)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = _once()
        response = self._retried(lambda: self._http.post(path, json=body, headers=headers))
        answer: dict[str, Any] = response.json()
        return answer

    def _retried(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        for attempt in range(1, self._retries.attempts + 1):
            try:
                outcome = _outcome(send())
            except httpx.TransportError as error:
                outcome = _unreachable(error)
            if isinstance(outcome, httpx.Response):
                return outcome
            if attempt == self._retries.attempts or not outcome.is_passing:
                raise outcome.error
            time.sleep(self._retries.seconds(attempt, outcome.retry_after))
        raise ValueError("attempts must be at least 1")


class AsyncClient:
    """The same for ``asyncio``; ``async with`` closes its connections."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retries: Retries | None = None,
        timeout_seconds: float = 60,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._retries = retries or Retries()
        self._http = httpx.AsyncClient(
            base_url=url, headers=_headers(key), timeout=timeout_seconds, transport=transport
        )

    async def score(self, posts: Sequence[Sendable], *, spans: bool = False) -> Answer:
        """As ``Client.score``."""
        answer = Answer([], [])
        for start, body in _bodies(posts, spans):
            _join(answer, start, await self._post("/v1/score", body))
        return answer

    async def upload_export(
        self,
        path: str | os.PathLike[str],
        *,
        name: str | None = None,
        username: str | None = None,
        columns: str | None = None,
    ) -> Job:
        """As ``Client.upload_export``."""
        query, headers = _export_query(path, name, username, columns), _once()
        headers["Content-Length"] = str(os.path.getsize(path))

        async def send() -> httpx.Response:
            chunks = _chunks(path)
            return await self._http.post(EXPORTS, params=query, content=chunks, headers=headers)

        job: Job = (await self._retried(send)).json()
        return job

    async def job(self, job_id: str) -> Job:
        """As ``Client.job``."""
        job: Job = (await self._retried(lambda: self._http.get(f"/v1/jobs/{job_id}"))).json()
        return job

    async def download_result(
        self, job_id: str, path: str | os.PathLike[str], file_format: Format = "jsonl"
    ) -> None:
        """As ``Client.download_result``."""

        async def fetch() -> httpx.Response:
            url, query = f"/v1/jobs/{job_id}/result", {"format": file_format}
            async with self._http.stream("GET", url, params=query) as response:
                if not response.is_success:
                    await response.aread()
                    return response
                with _whole(path) as file:
                    async for chunk in response.aiter_bytes():
                        await asyncio.to_thread(file.write, chunk)
            return response

        await self._retried(fetch)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        headers = _once()
        response = await self._retried(lambda: self._http.post(path, json=body, headers=headers))
        answer: dict[str, Any] = response.json()
        return answer

    async def _retried(self, send: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
        for attempt in range(1, self._retries.attempts + 1):
            try:
                outcome = _outcome(await send())
            except httpx.TransportError as error:
                outcome = _unreachable(error)
            if isinstance(outcome, httpx.Response):
                return outcome
            if attempt == self._retries.attempts or not outcome.is_passing:
                raise outcome.error
            await asyncio.sleep(self._retries.seconds(attempt, outcome.retry_after))
        raise ValueError("attempts must be at least 1")


@dataclass(frozen=True, slots=True)
class _Failure:
    error: ClientError
    is_passing: bool
    retry_after: float | None = None


PASSING = {429, 502, 503, 504}


def _headers(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _once() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_urlsafe(24)}


def _bodies(posts: Sequence[Sendable], spans: bool) -> Iterator[tuple[int, dict[str, Any]]]:
    for start in range(0, len(posts), MAX_POSTS):
        rows = [
            {"text": post} if isinstance(post, str) else dict(post)
            for post in posts[start : start + MAX_POSTS]
        ]
        yield start, {"posts": rows, "spans": spans}


def _join(answer: Answer, start: int, body: dict[str, Any]) -> None:
    answer.results.extend(body["results"])
    answer.errors.extend(_moved(error, start) for error in body["errors"])


def _moved(error: FieldError, by: int) -> FieldError:
    """``/posts/3/text`` of the request, counted from the start of the caller's list."""
    _, name, place, *rest = error["pointer"].split("/")
    pointer = "/".join(["", name, str(int(place) + by), *rest])
    return {"pointer": pointer, "detail": error["detail"]}


def _export_query(
    path: str | os.PathLike[str], name: str | None, username: str | None, columns: str | None
) -> dict[str, str]:
    given = {"name": name or os.path.basename(path), "username": username, "columns": columns}
    return {field: value for field, value in given.items() if value is not None}


async def _chunks(path: str | os.PathLike[str]) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(open, path, "rb") as file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


@contextmanager
def _whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file that takes its name when the block ends well."""
    scratch = f"{os.fspath(path)}.partial"
    try:
        with open(scratch, "wb") as file:
            yield file
        os.replace(scratch, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(scratch)
        raise


def _outcome(response: httpx.Response) -> httpx.Response | _Failure:
    if response.is_success:
        return response
    status, asked = response.status_code, _retry_after(response)
    try:
        problem = response.json()
        detail, errors = str(problem["detail"]), problem.get("errors", [])
    except (ValueError, KeyError, TypeError):
        # Not ours: a proxy in between answered.
        detail, errors = f"{response.request.url} answered {status}", []
    return _Failure(ClientError(detail, status, errors), status in PASSING, asked)


def _unreachable(error: httpx.TransportError) -> _Failure:
    detail = f"the service cannot be reached: {type(error).__name__}"
    failed = ClientError(detail)
    failed.__cause__ = error
    return _Failure(failed, is_passing=True)


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds or a date (RFC 9110, 10.2.3)."""
    given = response.headers.get("Retry-After", "")
    if given.isdigit():
        return float(given)
    try:
        return (email.utils.parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None
