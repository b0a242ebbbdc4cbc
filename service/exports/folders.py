"""The files of one job: ``data_dir/exports/JOB/``.

=================  ==============================================  ==============================
``upload``         the export as it was sent                       until the job has ended
``work-FENCE/``    finished parts; see ``screening.batch``         until the job has ended
``result-FENCE/``  ``scores.jsonl``, ``.csv`` and ``.parquet``     until the retention's end
=================  ==============================================  ==============================

A run writes only into folders of its own fence. One that was taken for dead and is not, finds its
work folder gone, and cannot spoil what the next run does.

The files are not encrypted: an export is read where it lies, and readers seek in it. Only the
service's user can read them; put ``data_dir`` on an encrypted disk where post text must not lie
open, whether or not keys for the database's text are set.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from fastapi.concurrency import run_in_threadpool

from service.errors import InsufficientStorage, ServiceError, Unavailable

WRITE_BYTES = 2**20
"""Bytes of an upload held in memory."""

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class JobFolder:
    """Where a job's files are."""

    def __init__(self, data_dir: Path, job_id: str) -> None:
        self.path = data_dir / "exports" / job_id

    @property
    def upload(self) -> Path:
        return self.path / "upload"

    def work(self, fence: int) -> Path:
        return self.path / f"work-{fence}"

    def result(self, fence: int) -> Path:
        return self.path / f"result-{fence}"

    def begin(self) -> BinaryIO:
        """An empty upload, to be written."""
        self.path.mkdir(parents=True, mode=0o700)
        return self.upload.open("wb")

    def take_over_work(self, fence: int) -> None:
        """Move the parts of the run before to ``fence``, and what it was just writing away."""
        earlier = sorted(self.path.glob("work-*"), key=_fence_of)
        for stray in earlier[:-1]:
            shutil.rmtree(stray)
        if earlier and earlier[-1] != self.work(fence):
            earlier[-1].replace(self.work(fence))
        for scratch in self.work(fence).glob("*.partial"):
            scratch.unlink()

    def settle(self, fence: int) -> None:
        """Keep only the results of ``fence``."""
        for path in self.path.iterdir():
            if path.is_file():
                path.unlink()
            elif path != self.result(fence):
                shutil.rmtree(path)

    def remove(self) -> None:
        if self.path.exists():
            shutil.rmtree(self.path)


async def receive(
    chunks: AsyncIterator[bytes], folder: JobFolder, *, expected_bytes: int, spare_bytes: int
) -> tuple[int, str]:
    """Bytes and SHA-256 of an upload that is now whole on disk. On any error, none of it is.

    Raises
    ------
    InsufficientStorage
        The disk is full, or would have less than ``spare_bytes`` left.
    """
    try:
        file = await run_in_threadpool(folder.begin)
        with file:
            check_space(folder.path, expected_bytes + spare_bytes)
            writer = _Writer(file, spare_bytes)
            pending = bytearray()
            async for chunk in chunks:
                pending += chunk
                if len(pending) >= WRITE_BYTES:
                    await run_in_threadpool(writer.write, bytes(pending))
                    pending.clear()
            await run_in_threadpool(writer.finish, bytes(pending))
    except OSError as error:
        folder.remove()
        raise storage_error(error) from error
    except BaseException:  # a cancelled request too
        folder.remove()
        raise
    return writer.n_bytes, writer.digest.hexdigest()


class _Writer:
    def __init__(self, file: BinaryIO, spare_bytes: int) -> None:
        self._file = file
        self._spare_bytes = spare_bytes
        self.n_bytes = 0
        self.digest = sha256()

    def write(self, data: bytes) -> None:
        check_space(Path(self._file.name).parent, len(data) + self._spare_bytes)
        self._file.write(data)
        self.digest.update(data)
        self.n_bytes += len(data)

    def finish(self, data: bytes) -> None:
        self.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
        sync_folder(Path(self._file.name).parent)


def check_space(folder: Path, n_bytes: int) -> None:
    """Refuse to fill the disk that the database may be on.

    Raises
    ------
    InsufficientStorage
        Less than ``n_bytes`` are free.
    """
    if shutil.disk_usage(folder).free < n_bytes:
        raise InsufficientStorage("the server's disk is too full for this export; nothing was kept")


def sync_folder(folder: Path) -> None:
    """Let the names in a folder and its parents outlive a power cut."""
    for path in (folder, folder.parent, folder.parent.parent):
        number = os.open(path, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def storage_error(error: OSError) -> ServiceError:
    """What to tell of a write that failed; paths of the server stay out of it."""
    if error.errno in FULL:
        return InsufficientStorage("the server's disk is full; nothing of the export was kept")
    return Unavailable(
        f"the export cannot be kept on the server ({os.strerror(error.errno or 0)}); try again",
        retry_after_seconds=30,
    )


def _fence_of(path: Path) -> int:
    return int(path.name.partition("-")[2])
