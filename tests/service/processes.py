"""A real server in a process of its own, to be killed and started again.

A server's start is its imports: two seconds of the processor's time, against a tenth for all the
rest. They are done once, in multiprocessing's fork server, of which every server is a fork.
"""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.context import ForkServerProcess

import uvicorn

from screening.types import Score
from service.app import create_app
from service.commands import STOP_SECONDS
from service.settings import Settings
from tests.builders import FakeScorer
from tests.service.postgres import free_port

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__])


class SlowScorer(FakeScorer):
    """Takes its time, so that there is something to be interrupted."""

    def __init__(self, seconds_per_post: float) -> None:
        super().__init__()
        self._seconds_per_post = seconds_per_post

    def score(self, texts: Sequence[str]) -> list[Score]:
        time.sleep(self._seconds_per_post * len(texts))
        return super().score(texts)


class Server:
    """A server on one port, however often it is started."""

    def __init__(
        self, settings: Settings, *, seconds_per_post: float = 0.0, stop_seconds: int = STOP_SECONDS
    ) -> None:
        self._settings = settings
        self._seconds_per_post = seconds_per_post
        self._stop_seconds = stop_seconds
        self._port = free_port()
        self._process: ForkServerProcess | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return when it takes requests."""
        arguments = (self._settings, self._port, self._seconds_per_post, self._stop_seconds)
        self._process = _context.Process(target=_serve, args=arguments)
        self._process.start()
        while not self._is_listening():
            if not self._process.is_alive():
                raise RuntimeError(f"the server ended with {self._process.exitcode}")
            time.sleep(0.005)

    def kill(self) -> None:
        """SIGKILL: it gets no chance to put anything in order."""
        if self._process is not None:
            self._process.kill()
            self._process.join()

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        if self._process is not None:
            self._process.terminate()

    def exit_code(self) -> int | None:
        """Its exit code once it has ended, negative for a signal; ``None`` after a minute."""
        if self._process is None:
            return None
        self._process.join(60)
        return self._process.exitcode

    def _is_listening(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=5).close()
        except ConnectionRefusedError:
            return False
        return True


@contextmanager
def running(
    settings: Settings, *, seconds_per_post: float = 0.0, stop_seconds: int = STOP_SECONDS
) -> Iterator[Server]:
    server = Server(settings, seconds_per_post=seconds_per_post, stop_seconds=stop_seconds)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def _serve(settings: Settings, port: int, seconds_per_post: float, stop_seconds: int) -> None:
    uvicorn.run(
        create_app(settings, SlowScorer(seconds_per_post)),
        port=port,
        log_level="error",
        access_log=False,
        timeout_graceful_shutdown=stop_seconds,
    )
