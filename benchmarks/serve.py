"""Load on the service, side by side in one run with the same weights in a plain application.

    apt-get install wrk && make install-dev && .venv/bin/python benchmarks/serve.py

Ours is ``penapisan serve`` as it comes: every post is committed to its database before it is
answered. The plain application (``plain_app.py``) calls ``transformers.pipeline`` once a request
and stores nothing. ``wrk`` loads both over loopback, on the cores it shares with them:
``--clients`` connections that each wait for their answer, unique posts of ``--tokens`` tokens. Then
ours is sent three times the posts per second it sustained, whether answered or not; shown are the
share that was refused with 429 or 503 and how long the accepted ones took.

Posts are authored everyday posts without a label, joined by chance and cut. The share that became
cases is shown, because a case costs more than a clear post.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

SCRIPT = Path(__file__).with_name("serve.lua")
OVERLOAD = 3
EVERYDAY = ("lawful", "single")
"""Families of posts as most posts are; the other lawful ones are written to look like hits."""

THREADS = 2

PATIENCE_SECONDS = 4
"""Connections under overload: as many as requests are sent in so long, so that none waits."""


@dataclass(slots=True)
class Load:
    """What one run of ``wrk`` saw."""

    duration: float = 0.0
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    cpu_seconds: float = 0.0
    lost: int = 0
    repeated: int = 0

    @property
    def rate(self) -> float:
        """Posts answered with a score, per second."""
        return len(self.seconds) / self.duration

    def milliseconds(self, percent: float) -> float:
        return float(np.percentile(self.seconds, percent)) * 1000 if self.seconds else float("nan")


@dataclass(frozen=True, slots=True)
class Target:
    """Where posts go, and how a request is written around an id and a text."""

    process: int
    url: str
    parts: tuple[str, str, str]
    key: str = "none"


def make_texts(count: int, tokens: int, seed: int = 0) -> list[str]:
    """Distinct texts of exactly ``tokens`` tokens, the two around a text included."""
    from tokenizers import Tokenizer

    from models.release import load_release
    from training.data import read_corpus

    tokenizer = Tokenizer.from_file(str(load_release().tokenizer_path))
    posts = [
        [(word, size(tokenizer, word)) for word in post.text.split()]
        for post in read_corpus()
        if not post.labels and post.family.startswith(EVERYDAY)
    ]
    rng, texts = random.Random(seed), dict[str, None]()
    while len(texts) < count:
        room, chosen = tokens - 2, list[str]()
        while room:
            for word, needed in rng.choice(posts):
                if needed <= room:
                    chosen.append(word)
                    room -= needed
        texts[" ".join(chosen)] = None
    return list(texts)


def size(tokenizer: Tokenizer, word: str) -> int:
    return len(tokenizer.encode(word, add_special_tokens=False).ids)


class Posts:
    """A file of texts for each run, so that none is sent twice."""

    def __init__(self, folder: Path, texts: Sequence[str]) -> None:
        self._folder, self._texts = folder, list(texts)

    def take(self, count: int) -> Path:
        if count > len(self._texts):
            raise SystemExit(f"{len(self._texts)} texts are left and {count} are needed")
        taken, self._texts = self._texts[:count], self._texts[count:]
        path = self._folder / f"{len(self._texts)}.jsonl"
        path.write_text("".join(json.dumps(text) + "\n" for text in taken), encoding="utf-8")
        return path


def load(
    target: Target, posts: Path, *, seconds: float, clients: int, per_second: float = 0
) -> Load:
    """Load ``target`` with ``wrk``."""
    command = ["wrk", f"-t{THREADS}", f"-c{clients}", f"-d{seconds:.0f}s", "--timeout=60s", "-s"]
    arguments = [str(posts), *target.parts, target.key, str(per_second), str(THREADS)]
    before = cpu_seconds(target.process)
    done = subprocess.run(
        [*command, str(SCRIPT), target.url, "--", *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    seen = Load(cpu_seconds=cpu_seconds(target.process) - before)
    for name, *values in json.loads(line.removeprefix("RESULT ")):
        match name:
            case "seconds":
                seen.seconds.append(values[0])
            case "status":
                seen.statuses[values[0]] += values[1]
            case "lost":
                seen.lost = values[0]
            case "repeated":
                seen.repeated += values[0]
            case "duration":
                seen.duration = values[0]
    return seen


@contextmanager
def running(command: Sequence[str], url: str, **environment: str) -> Iterator[int]:
    """A server's process id, once it answers."""
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(600):
            if process.poll() is not None:
                raise SystemExit(f"{command[-1]} ended with {process.returncode}")
            try:
                urllib.request.urlopen(url)
                break
            except urllib.error.HTTPError:
                break
            except OSError:
                time.sleep(0.1)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def ours(data: Path) -> Iterator[Target]:
    """The service on a new database."""
    port, command = free_port(), [sys.executable, "-m", "service"]
    environment = {"PENAPISAN_DATA_DIR": str(data)}
    key = subprocess.run(
        [*command, "keys", "new", "load", "--role", "submitter"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    url, serve = f"http://127.0.0.1:{port}", [*command, "serve", "--port", str(port)]
    with running(serve, f"{url}/readyz", **environment) as process:
        parts = ('{"posts": [{"id": "', '", "text": ', "}]}")
        yield Target(process, f"{url}/v1/score", parts, key)


@contextmanager
def plain(model: Path) -> Iterator[Target]:
    """The same weights in ``plain_app``."""
    port = free_port()
    folder = str(Path(__file__).parent)
    command = [sys.executable, "-m", "uvicorn", "plain_app:app", "--app-dir", folder]
    url = f"http://127.0.0.1:{port}"
    command += ["--port", str(port)]
    with running(command, f"{url}/openapi.json", MODEL=str(model)) as process:
        yield Target(process, f"{url}/classify", ('{"id": "', '", "text": ', "}"))


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def cpu_seconds(process: int) -> float:
    """What a server and its threads have used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stored(data: Path) -> tuple[int, int]:
    """Posts and cases in the database."""
    with sqlite3.connect(data / "penapisan.db") as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("posts", "cases")
        ]
    return counts[0], counts[1]


def show(name: str, seen: Load) -> None:
    print(
        f"{name:28} {seen.rate:7.1f} posts/s   p50 {seen.milliseconds(50):6.0f} ms   "
        f"p95 {seen.milliseconds(95):6.0f} ms   p99 {seen.milliseconds(99):6.0f} ms   "
        f"{seen.cpu_seconds / max(len(seen.seconds), 1) * 1000:5.1f} ms CPU a post   "
        f"answers {dict(sorted(seen.statuses.items()))}, lost {seen.lost}"
    )
    if seen.repeated:
        print(f"  {seen.repeated} posts were sent twice: give more with --most")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--seconds", type=float, default=30, help="of each measured run")
    arguments.add_argument("--clients", type=int, default=32)
    arguments.add_argument("--tokens", type=int, default=64)
    arguments.add_argument("--most", type=int, default=500, help="posts/s to have texts for")
    arguments.add_argument("--only-ours", action="store_true", help="skip the plain application")
    options = arguments.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is not installed: apt-get install wrk")
    most = round(options.most * options.seconds)
    few = most // 4
    texts = make_texts(5 * most, options.tokens)
    print(f"{len(texts)} distinct posts of {options.tokens} tokens, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        posts = Posts(folder, texts)
        if not options.only_ours:
            from score import save_pipeline

            save_pipeline(folder / "model")
            with plain(folder / "model") as target:
                load(target, posts.take(few), seconds=3, clients=options.clients)
                other = load(
                    target, posts.take(few), seconds=options.seconds, clients=options.clients
                )
            show("FastAPI + pipeline", other)
        with ours(folder / "data") as target:
            load(target, posts.take(most // 8), seconds=3, clients=options.clients)
            seen = load(target, posts.take(most), seconds=options.seconds, clients=options.clients)
            show("penapisan serve", seen)
            kept, cases = stored(folder / "data")
            print(f"  {kept} posts are in its database, {cases / kept:.1%} as cases")
            if not options.only_ours:
                print(f"  {seen.rate / other.rate:.1f} times the plain application's posts/s")
            rate = OVERLOAD * seen.rate
            over = load(
                target,
                posts.take(3 * most),
                seconds=options.seconds,
                clients=round(rate * PATIENCE_SECONDS / 2) * 2,
                per_second=rate,
            )
        show(f"penapisan serve, {OVERLOAD}x load", over)
        shed, sent = over.statuses[429] + over.statuses[503], over.statuses.total()
        print(f"  {sent / over.duration:.0f} posts/s were sent; {shed / sent:.0%} were refused")


if __name__ == "__main__":
    main()
