"""What a file is, told from its first bytes, never from its name."""

from __future__ import annotations

import codecs
import csv
import re
from dataclasses import dataclass, field
from typing import Literal

import orjson

from screening.readers.table import Columns, is_name, unique_names
from screening.readers.tabular import sniff_delimiter

Kind = Literal[
    "telegram_json",
    "telegram_html",
    "telethon",
    "tdl",
    "jsonl",
    "json_array",
    "csv",
    "parquet",
    "zip",
    "gzip",
    "empty",
    "unknown",
]

READABLE = (
    "Telegram Desktop JSON or HTML, Telethon JSON or JSONL, tdl JSON, JSONL, a JSON array of "
    "objects, CSV with a header row, or Parquet; plain, gzipped, in a .zip or in a directory"
)

GZIP_MAGIC = b"\x1f\x8b"
_ACCOUNT_KEYS = frozenset({"chats", "left_chats", "personal_information", "frequent_contacts"})
_CHAT_PAGE = re.compile(r'class="(page_body chat_page|history|message (default|service)\b)')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[{}\[\],:]|[^\s{}\[\],:"]+|"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Detected:
    """A kind; where it is ``unknown``, also what was seen, in words."""

    kind: Kind
    seen: str = ""


_MAGIC: dict[bytes, Detected] = {
    b"PK\x03\x04": Detected("zip"),
    b"PK\x05\x06": Detected("zip"),
    b"PAR1": Detected("parquet"),
    GZIP_MAGIC: Detected("gzip"),
    b"%PDF": Detected("unknown", "a PDF document"),
    b"\x89PNG": Detected("unknown", "a PNG image"),
    b"\xff\xd8\xff": Detected("unknown", "a JPEG image"),
    b"GIF8": Detected("unknown", "a GIF image"),
    b"OggS": Detected("unknown", "an Ogg media file"),
    b"7z\xbc\xaf\x27\x1c": Detected("unknown", "a 7z archive"),
    b"Rar!\x1a": Detected("unknown", "a RAR archive"),
    b"\xfd7zXZ": Detected("unknown", "an xz archive"),
    b"\x28\xb5\x2f\xfd": Detected("unknown", "a Zstandard archive"),
    b"BZh": Detected("unknown", "a bzip2 archive"),
    b"SQLite format 3": Detected("unknown", "an SQLite database"),
    b"\xd0\xcf\x11\xe0": Detected("unknown", "an old Microsoft Office file"),
}


def detect(head: bytes, *, is_whole: bool, columns: Columns | None = None) -> Detected:
    """The kind of a file that begins with ``head``; ``is_whole`` if nothing follows it."""
    for magic, found in _MAGIC.items():
        if head.startswith(magic):
            return found
    text = _decoded(head, is_whole=is_whole)
    if text is None:
        return Detected("unknown", _binary_seen(head))
    return _detect_text(text.lstrip(), is_whole=is_whole, columns=columns or Columns())


def _detect_text(text: str, *, is_whole: bool, columns: Columns) -> Detected:
    match text[:1]:
        case "":
            return Detected("empty") if is_whole else Detected("unknown", "only blank lines")
        case "[":
            return _detect_array(text)
        case "{":
            return _detect_object(text, is_whole=is_whole)
        case "<":
            return _detect_markup(text)
    return _detect_csv(text, columns)


def _decoded(head: bytes, *, is_whole: bool) -> str | None:
    """The head as text, flaws and all (the reader says where they are); ``None`` for binary."""
    is_utf16 = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    decoder = codecs.getincrementaldecoder("utf-16" if is_utf16 else "utf-8-sig")("replace")
    text = decoder.decode(head, final=is_whole)
    odd = len(re.findall(r"[\x00-\x08\x0e-\x1f]", text))
    broken = text.count("\ufffd")
    return None if odd > max(4, len(text) // 100) or broken > max(4, len(text) // 10) else text


def _binary_seen(head: bytes) -> str:
    if head.count(0) > len(head) // 4:
        return "binary data, or UTF-16 text without its byte order mark (then save it as UTF-8)"
    return f"binary data beginning {head[:4].hex(' ')}"


def _detect_array(text: str) -> Detected:
    if text[1:].lstrip()[:1] not in ("{", "]", ""):
        return Detected("unknown", "a JSON array, but not of objects")
    return Detected("telethon" if "_" in _shape(text).first else "json_array")


def _detect_object(text: str, *, is_whole: bool) -> Detected:
    shape = _shape(text)
    if "_" in shape.keys:
        return Detected("telethon")
    if shape.keys.get("messages") == "[":
        return Detected("tdl" if shape.is_tdl() else "telegram_json")
    if any(shape.keys.get(key) == "{" for key in _ACCOUNT_KEYS):
        return Detected("telegram_json")
    if _is_jsonl(text, is_whole=is_whole):
        return Detected("jsonl")
    return Detected("unknown", "a JSON object without messages")


def _is_jsonl(text: str, *, is_whole: bool) -> bool:
    """Whether most of the first whole lines are objects; one endless line may be a long row."""
    *lines, last = text.split("\n")
    if is_whole:
        lines.append(last)
    elif not lines:
        return True
    lines = [line for line in lines if line.strip()][:20]
    return 2 * sum(map(_is_object, lines)) >= len(lines)


def _is_object(line: str) -> bool:
    try:
        return isinstance(orjson.loads(line.encode("utf-8", "replace")), dict)
    except orjson.JSONDecodeError:
        return line.startswith("{") and line.rstrip().endswith("}")


def _detect_markup(text: str) -> Detected:
    if _CHAT_PAGE.search(text):
        return Detected("telegram_html")
    return Detected("unknown", "markup that is no page of messages from Telegram Desktop")


def _detect_csv(text: str, columns: Columns) -> Detected:
    delimiter = sniff_delimiter(text)
    try:
        header = next(csv.reader(text.splitlines(keepends=True), delimiter=delimiter), [])
    except csv.Error:
        return Detected("unknown", "text that is not CSV")
    cells = [cell.strip() for cell in header]
    if "text" in columns.found_in(unique_names(cells)):
        return Detected("csv")
    if len(cells) > 1 and all(map(is_name, cells)):
        return Detected("csv")
    return Detected("unknown", "text without a header row that names its columns")


@dataclass(slots=True)
class _Shape:
    """Keys of a JSON text's top object, and of the first object in its list of rows, each with
    the token its value begins with."""

    keys: dict[str, str] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    def is_tdl(self) -> bool:
        """tdl writes a chat's id and messages only, with dates as numbers."""
        if "date" in self.first:
            return self.first["date"].isdecimal()
        return not self.first and not {"name", "type"} & self.keys.keys()


def _shape(text: str) -> _Shape:
    """Read by a loose scan, since a broken export must be known for what it is."""
    shape = _Shape()
    path: list[str] = []
    key = previous = ""
    for piece in map(re.Match.group, _TOKEN.finditer(text)):
        if piece == '"':
            break  # a string that the head cuts
        if previous == ":":
            _note(shape, path, key, piece)
        if piece == ":":
            key = previous.strip('"')
        elif piece in ("{", "["):
            path.append(piece if piece == "{" else f"[{key}")
        elif piece in ("}", "]"):
            path = path[:-1]
            if not path or (shape.first and path in (["["], ["{", "[messages"])):
                break
        previous = piece
    return shape


def _note(shape: _Shape, path: list[str], key: str, value: str) -> None:
    if path == ["{"]:
        shape.keys[key] = value
    elif path in (["[", "{"], ["{", "[messages", "{"]):
        shape.first[key] = value
