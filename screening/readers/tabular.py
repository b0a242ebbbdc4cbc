"""Tables into posts: CSV, JSONL, a JSON array of objects, Parquet; one row, one post.

A row needs only a text. Which column is which is guessed from the usual English and Indonesian
names, or told by `Columns`. Every field but the text comes through under ``Post.source``.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import ijson
import orjson

from screening.errors import LimitError, ReadError
from screening.readers.streams import HEAD_BYTES, Lookahead, as_utf8, buffered
from screening.readers.table import (
    Columns,
    MissingTextError,
    Table,
    as_json,
    unique_names,
    without_surrogates,
)
from screening.types import Post, ReadReport

__all__ = [
    "Columns",
    "MissingTextError",
    "read_csv",
    "read_json_array",
    "read_jsonl",
    "read_parquet",
]

MAX_ROW_BYTES = 16 * 2**20
MAX_DEPTH = 128
MAX_OPEN_RECORD_BYTES = 64 * 2**10
DELIMITERS = (",", ";", "\t", "|")


def read_jsonl(
    stream: BinaryIO,
    *,
    name: str,
    columns: Columns | None = None,
    report: ReadReport,
    row_prefix: str = "",
) -> Iterator[Post]:
    """Posts of a JSONL file: one JSON object a line; the line's number stands in for an id."""
    table = Table(name, columns, report, unit="line", row_prefix=row_prefix)
    for number, line in enumerate(_lines(as_utf8(stream, name), name), start=1):
        if not line.strip():
            continue
        if (post := table.post(_parse_line(line, report), number)) is not None:
            yield post
    table.finish()


def read_json_array(
    stream: BinaryIO,
    *,
    name: str,
    columns: Columns | None = None,
    report: ReadReport,
    row_prefix: str = "",
) -> Iterator[Post]:
    """Posts of a JSON array of objects, one object in memory at a time."""
    table = Table(name, columns, report, unit="item", row_prefix=row_prefix)
    for number, row in enumerate(_array_items(as_utf8(stream, name), table), start=1):
        row_or_none = as_json(row, report) if isinstance(row, dict) else None
        if (post := table.post(row_or_none, number)) is not None:
            yield post
    table.finish()


def read_csv(
    stream: BinaryIO,
    *,
    name: str,
    columns: Columns | None = None,
    report: ReadReport,
    row_prefix: str = "",
) -> Iterator[Post]:
    """Posts of a CSV file with a header row; delimiter one of ``, ; tab |``; UTF-8 or UTF-16."""
    table = Table(name, columns, report, unit="line", row_prefix=row_prefix)
    records = _records(stream, table)
    header = next(records, None)
    if header is None:
        raise ReadError(f"{name}: is empty; expected a header row.")
    names = unique_names(header.cells)
    table.settle(tuple(names))
    for number, record in enumerate(records, start=1):
        cells = record.cells
        while len(cells) > len(names) and not cells[-1]:
            cells.pop()
        if len(cells) > len(names):
            table.malformed(record.line)
            continue
        row = dict.fromkeys(names) | dict(zip(names, cells, strict=False))
        if (post := table.post(row, number)) is not None:
            yield post
    table.finish()


def read_parquet(
    stream: BinaryIO,
    *,
    name: str,
    columns: Columns | None = None,
    report: ReadReport,
    row_prefix: str = "",
) -> Iterator[Post]:
    """Posts of a Parquet file; ``stream`` must seek."""
    table = Table(name, columns, report, unit="row", row_prefix=row_prefix)
    for number, row in enumerate(_parquet_rows(stream, table), start=1):
        if (post := table.post(as_json(row, report), number)) is not None:
            yield post
    table.finish()


def _lines(stream: BinaryIO, name: str) -> Iterator[bytes]:
    number = 0
    while line := stream.readline(MAX_ROW_BYTES + 1):
        number += 1
        if len(line) > MAX_ROW_BYTES:
            raise LimitError(f"{name}: line {number} is longer than {MAX_ROW_BYTES // 2**20} MiB.")
        yield line


def _parse_line(line: bytes, report: ReadReport) -> dict[str, Any] | None:
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        row = _parse_odd_line(line, report)
    return row if isinstance(row, dict) and not _is_deep(row) else None


def _parse_odd_line(line: bytes, report: ReadReport) -> Any:
    """What orjson refuses but other writers emit: lone surrogates, NaN, numbers past 64 bits."""
    try:
        return as_json(json.loads(line, parse_constant=lambda _: None), report)
    except (ValueError, RecursionError):
        return None


def _is_deep(value: Any, room: int = MAX_DEPTH) -> bool:
    """Whether a row nests past `MAX_DEPTH`, where JSON writers begin to refuse."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return room == 0 or any(_is_deep(item, room - 1) for item in value)


class _Bounded:
    """A stream for ijson that ends the read when one item alone has taken too many bytes."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self.item = 1
        self.unparsed = 0

    def read(self, n_bytes: int) -> bytes:
        data = self._stream.read(n_bytes)
        self.unparsed += len(data)
        if self.unparsed > MAX_ROW_BYTES + n_bytes:
            raise LimitError(
                f"{self._name}: item {self.item} is longer than {MAX_ROW_BYTES // 2**20} MiB."
            )
        return data


# How ijson's C and Python parsers say that the input ended too early.
_CUT_JSON = ("parse error: premature EOF", "Incomplete JSON content", "Incomplete string lexeme")


def _array_items(stream: BinaryIO, table: Table) -> Iterator[Any]:
    bounded = _Bounded(stream, table.name)
    try:
        yield from _built_items(bounded, table.name)
    except ijson.JSONError as error:
        # ijson's own message quotes the input, so it is not passed on.
        if not str(error).startswith(_CUT_JSON):
            raise ReadError(
                f"{table.name}: not valid JSON in or after item {bounded.item}; "
                "write it again, or save it as JSONL."
            ) from None
        table.report.repaired["truncated_tail"] += 1


def _built_items(bounded: _Bounded, name: str) -> Iterator[Any]:
    depth = 0
    builder = ijson.ObjectBuilder()
    events = ijson.basic_parse(bounded, use_float=True, multiple_values=True, buf_size=HEAD_BYTES)
    for event, value in events:
        if depth == 0 and event != "start_array":
            raise ReadError(f"{name}: after item {bounded.item - 1}: expected one JSON array.")
        if event in ("start_map", "start_array"):
            depth += 1
            if depth > MAX_DEPTH:
                raise LimitError(f"{name}: item {bounded.item} nests deeper than {MAX_DEPTH}.")
            if depth == 1:
                continue
        elif event in ("end_map", "end_array"):
            depth -= 1
            if depth == 0:
                continue
        builder.event(event, value)
        if depth == 1:
            yield builder.value
            builder = ijson.ObjectBuilder()
            bounded.item += 1
            bounded.unparsed = 0


class _Record(NamedTuple):
    cells: list[str]
    line: int


_END = "\0end"  # no line can hold it: NUL bytes are taken out


class _CsvLines:
    """Lines for `csv.reader`, decoded one by one so that an error can say where."""

    def __init__(self, stream: BinaryIO, table: Table) -> None:
        self._lines = _lines(stream, table.name)
        self._table = table
        self.number = 0
        self.offset = 0
        self.unparsed = 0

    def __iter__(self) -> Iterator[str]:
        for raw in self._lines:
            self.number += 1
            self.unparsed += len(raw)
            if self.unparsed > MAX_ROW_BYTES:
                raise LimitError(
                    f"{self._table.name}: the record before line {self.number} is longer than "
                    f"{MAX_ROW_BYTES // 2**20} MiB; a quote may be open there that never closes."
                )
            yield self._decoded(raw)
            self.offset += len(raw)
        yield _END

    def _decoded(self, raw: bytes) -> str:
        try:
            text = raw.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise ReadError(
                f"{self._table.name}: line {self.number}, byte {self.offset + error.start:,}: "
                "not UTF-8 (and no UTF-16 mark at the start); save the file as UTF-8."
            ) from None
        report = self._table.report
        if "\0" in text:
            report.repaired["nul_byte"] += text.count("\0")
            text = text.replace("\0", "")
        return without_surrogates(text, report)


def _records(stream: BinaryIO, table: Table) -> Iterator[_Record]:
    ahead = Lookahead(as_utf8(stream, table.name))
    delimiter = sniff_delimiter(ahead.head.decode("utf-8", "replace"))
    # The module's limit, not the reader's: csv offers no other way to lift its 128 KiB.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_BYTES))
    lines = _CsvLines(buffered(ahead), table)
    reader = csv.reader(lines, delimiter=delimiter)
    line = 1
    try:
        for cells in reader:
            if cells and cells[-1].endswith(_END):
                _check_end(cells, line, lines.unparsed, table)
                return
            if cells:
                yield _Record(cells, line)
            lines.unparsed = 0
            line = reader.line_num + 1
    except csv.Error:
        raise ReadError(f"{table.name}: line {reader.line_num}: not readable as CSV.") from None


def _check_end(cells: list[str], line: int, unparsed: int, table: Table) -> None:
    """Tell a whole file from one cut in a quoted text, and that from a quote swallowing rows."""
    if cells == [_END]:
        return
    if unparsed > MAX_OPEN_RECORD_BYTES:
        raise ReadError(f"{table.name}: line {line}: a quote opens in this record, never to close.")
    table.report.repaired["truncated_tail"] += 1
    note = f"{table.name}: line {line}: the file ends inside a quoted text; left out"
    table.report.notes.append(note)


def sniff_delimiter(head: str) -> str:
    """The delimiter that splits the first record most; a comma where none does."""
    header = re.sub(r'"[^"]*"', "", head).lstrip("\r\n").partition("\n")[0]
    return max(DELIMITERS, key=header.count)


def _parquet_rows(stream: BinaryIO, table: Table) -> Iterator[dict[str, Any]]:
    # Imported here: pyarrow takes a third of a second, which other inputs need not pay.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(stream, buffer_size=2**20)
        table.settle(tuple(file.schema_arrow.names))
        batches = file.iter_batches(batch_size=_batch_rows(file.metadata), use_threads=False)
        for batch in batches:
            yield from _batch_dicts(batch, table.report)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise ReadError(f"{table.name}: damaged, or not Parquet; write it again.") from error


def _batch_dicts(batch: Any, report: ReadReport) -> Iterator[dict[str, Any]]:
    import pyarrow as pa

    rows = pa.Table.from_batches([batch])
    rows = rows.cast(_in_microseconds(rows.schema), safe=False)
    columns = [_values(column, report) for column in rows.columns]
    for cells in zip(*columns, strict=True):
        yield dict(zip(rows.column_names, cells, strict=True))


def _values(column: Any, report: ReadReport) -> list[Any]:
    """A column's values; a time outside the years Python knows becomes ``None``."""
    try:
        return list(column.to_pylist())
    except (ValueError, OverflowError):
        return [_value(scalar, report) for scalar in column]


def _value(scalar: Any, report: ReadReport) -> Any:
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):
        report.repaired["bad_date"] += 1
        return None


def _batch_rows(metadata: Any) -> int:
    """Rows that fit `MAX_ROW_BYTES` on average, at most 1,024."""
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    row_bytes = max((g.total_byte_size / max(g.num_rows, 1) for g in groups), default=1)
    return int(min(1024, max(1, MAX_ROW_BYTES // max(row_bytes, 1))))


def _in_microseconds(schema: Any) -> Any:
    """The schema with nanosecond times shortened, which Python's ``datetime`` cannot hold."""
    import pyarrow as pa

    for i, column in enumerate(schema):
        kind = column.type
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            schema = schema.set(i, column.with_type(pa.timestamp("us", tz=kind.tz)))
        elif pa.types.is_time64(kind) and kind.unit == "ns":
            schema = schema.set(i, column.with_type(pa.time64("us")))
        elif pa.types.is_duration(kind) and kind.unit == "ns":
            schema = schema.set(i, column.with_type(pa.duration("us")))
    return schema
