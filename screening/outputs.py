"""Result files: JSONL, CSV or Parquet by suffix, each written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from defusedcsv import csv

from screening.errors import OutputError
from screening.rows import Row
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS, TERRORISM
from screening.text import display_text

PARQUET_ROWS = 10_000


def check_output(path: Path, suffixes: tuple[str, ...]) -> None:
    """Refuse an output whose suffix or folder cannot be written, before any work is done.

    Raises
    ------
    OutputError
        Naming the suffixes that can be written, or the folder that is missing.
    """
    if path.suffix.lower() not in suffixes:
        raise OutputError(
            f"{path.name}: unknown output suffix '{path.suffix}'; use {', '.join(suffixes)}"
        )
    if not path.absolute().parent.is_dir():
        raise OutputError(f"{path}: the folder does not exist; create it first")


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows in the format of ``path``'s suffix; an old file stays until all is done."""
    WRITERS[path.suffix.lower()](path, rows)


def write_jsonl_stream(file: IO[bytes], rows: Iterable[Row]) -> None:
    """One JSON object a line."""
    for row in rows:
        file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A scratch path that takes the place of ``path`` when the block ends well."""
    scratch = path.with_name(f".{path.name}.partial")
    try:
        yield scratch
        scratch.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another place"
        ) from error
    finally:
        scratch.unlink(missing_ok=True)


def _write_jsonl(path: Path, rows: Iterable[Row]) -> None:
    with replaced(path) as scratch, scratch.open("wb") as file:
        write_jsonl_stream(file, rows)


def flat(row: Row) -> Row:
    """A row as one line of a table: a column per label, spans as their words."""
    columns = {name: value for name, value in row.items() if name not in _NESTED}
    columns |= {f"p_{label}": row["labels"][label] for label in LABEL_IDS}
    columns |= {f"p_{TERRORISM}": row[TERRORISM]}
    columns |= {f"context_{name}": row["contexts"][name] for name in CONTEXT_IDS}
    columns["words"] = " | ".join(span["text"] for span in row["spans"])
    columns["source"] = None if row["source"] is None else orjson.dumps(row["source"]).decode()
    return columns


_NESTED = {"labels", "contexts", "spans", TERRORISM, "source"}
_COLUMNS = (
    ["key", "score", "band", "decided_by", "threshold", "release", "policy", "text", "windows"]
    + ["truncated", "permalink", "platform", "channel_id", "channel_name", "channel_type"]
    + ["message_id", "posted_at", "edited_at", "author_id", "author_name", "forwarded_from"]
    + ["reply_to", "topic"]
    + [f"p_{label}" for label in (*LABEL_IDS, TERRORISM)]
    + [f"context_{name}" for name in CONTEXT_IDS]
    + ["words", "source"]
)


def _write_csv(path: Path, rows: Iterable[Row]) -> None:
    """UTF-8 with a byte order mark, for spreadsheets; no cell can start a formula."""
    with replaced(path) as scratch, scratch.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(_COLUMNS)
        for row in rows:
            cells = flat(row)
            writer.writerow([safe_cell(cells[column]) for column in _COLUMNS])


def safe_cell(value: Any) -> Any:
    """A cell for ``defusedcsv``: control characters made visible; a formula behind spaces or in
    full width quoted (``defusedcsv`` quotes the plain ones). Source: OWASP, CSV Injection."""
    if not isinstance(value, str):
        return value
    shown = display_text(value)
    hidden = shown[:1] not in _FORMULA and shown.lstrip()[:1] in _FORMULA + _WIDE_FORMULA
    return f"'{shown}" if hidden else shown


_FORMULA, _WIDE_FORMULA = ("=", "+", "-", "@"), ("＝", "＋", "－", "＠")


_FLOATS = {"score", "threshold"} | {name for name in _COLUMNS if name[:2] == "p_"}
_SCHEMA = pa.schema(
    [
        pa.field(
            column,
            pa.float64()
            if column in _FLOATS or column.startswith("context_")
            else pa.int32() if column == "windows"
            else pa.bool_() if column == "truncated"
            else pa.string(),
        )
        for column in _COLUMNS
    ]
)  # fmt: skip


def _write_parquet(path: Path, rows: Iterable[Row]) -> None:
    source = iter(rows)
    with replaced(path) as scratch, pq.ParquetWriter(scratch, _SCHEMA) as writer:
        while some := [flat(row) for row in islice(source, PARQUET_ROWS)]:
            writer.write_table(pa.Table.from_pylist(some, schema=_SCHEMA))


WRITERS: dict[str, Callable[[Path, Iterable[Row]], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}

RESULT_SUFFIXES = tuple(WRITERS)
REPORT_SUFFIXES = (".html", ".htm")
