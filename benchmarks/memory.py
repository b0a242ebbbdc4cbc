"""Peak memory of ``penapisan score`` on a generated export, and on one ten times larger.

    .venv/bin/python benchmarks/memory.py --messages 1000000

Texts are authored posts joined by chance; ``--distinct`` of them are distinct, the rest forwards
of earlier ones, as most of Telegram is. Prints peak resident memory of the whole process and
messages per second for both sizes.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))


def write_export(path: Path, messages: int, distinct: int, seed: int = 0) -> None:
    from training.data import read_corpus

    rng = random.Random(seed)
    posts = [post.text for post in read_corpus()]
    texts = [f"{rng.choice(posts)} {rng.choice(posts)}" for _ in range(distinct)]
    with path.open("w", encoding="utf-8") as file:
        file.write('{"name": "Besar", "type": "public_channel", "id": 1999999999, "messages": [\n')
        for number in range(1, messages + 1):
            stamp = 1_700_000_000 + number * 20
            author = rng.randrange(50_000)
            row = {
                "id": number,
                "type": "message",
                "date_unixtime": str(stamp),
                "from": f"Orang {author}",
                "from_id": f"user{author}",
                "text": texts[number % distinct if number <= distinct else rng.randrange(distinct)],
            }
            file.write(json.dumps(row, ensure_ascii=False) + (",\n" if number < messages else "\n"))
        file.write("]}\n")


def score(path: Path) -> tuple[float, float]:
    """Peak memory in MiB and seconds of one run."""
    begin = time.perf_counter()
    command = [sys.executable, "-m", "service", "score", path, "-o", path.with_suffix(".jsonl")]
    subprocess.run([*map(str, command), "--report", f"{path}.html"], cwd=ROOT, check=True)
    seconds = time.perf_counter() - begin
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, seconds


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--messages", type=int, default=1_000_000)
    arguments.add_argument("--distinct", type=int, default=20_000)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for messages in (options.messages // 10, options.messages):
            path = Path(scratch) / f"{messages}.json"
            write_export(path, messages, options.distinct)
            peak, seconds = score(path)
            size = path.stat().st_size / 2**20
            print(
                f"{messages} messages ({size:.0f} MiB, {options.distinct} distinct texts): "
                f"peak {peak:.0f} MiB, {messages / seconds:.0f} messages/s"
            )


if __name__ == "__main__":
    main()
