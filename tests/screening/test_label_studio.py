"""Label Studio's exports, as its own converter writes them, and broken ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from screening.errors import ReadError
from screening.label_studio import Annotation, read_csv, read_json
from screening.taxonomy import CONTEXT_IDS, LABEL_IDS
from screening.types import ReadReport

FOLDER = Path(__file__).parent.parent / "data" / "label_studio"
Read = tuple[list[Annotation], ReadReport, list[str]]


def run(read: Callable[..., Any], content: bytes | str, *choices: str, text: str = "text") -> Read:
    report, errors = ReadReport(), []
    raw = content.encode() if isinstance(content, str) else content
    found = list(
        read(
            raw, "file", text=text, choices=choices, report=report,
            on_error=lambda error: errors.append(str(error)),
        )
    )  # fmt: skip
    return found, report, errors


def answers(found: list[Annotation]) -> list[tuple[str, set[str], str, str]]:
    return [
        (given.post.text, set(given.post.labels | given.post.contexts), given.post.labelled_by,
         given.post.labelled_at)
        for given in found
    ]  # fmt: skip


def test_both_exports_of_one_project_say_the_same() -> None:
    from_json, json_report, json_errors = run(read_json, (FOLDER / "project.json").read_bytes())
    from_csv, csv_report, csv_errors = run(read_csv, (FOLDER / "project.csv").read_bytes())
    assert json_errors == csv_errors == []
    call = 'ayo serbu "pos" itu,\nmalam ini'
    expected = [
        (call, {"incitement"}, "1", "2026-02-01T09:30:00.123456Z"),
        (call, {"incitement", "threat"}, "budi@example.org", "2026-02-02T09:30:00.123456Z"),
        ("polisi menangkap dua orang", {"news"}, "budi@example.org", "2026-02-04T09:30:00.123456Z"),
        ("selamat pagi semua", set(), "1", "2026-02-05T09:30:00.123456Z"),
    ]
    assert answers(from_json) == expected
    assert sorted(answers(from_csv), key=lambda row: row[3]) == expected
    assert json_report.skipped == {"cancelled": 1, "unlabelled": 1, "empty": 1}
    assert csv_report.skipped == {"unlabelled": 1, "empty": 1}
    assert [given.is_gold for given in from_json] == [False, False, True, False]
    assert from_json[1].where == "file: task 11, annotation 2"
    assert from_csv[0].where == "file:3: task 11"
    assert {(given.post.platform, given.post.channel) for given in from_json + from_csv} == {
        ("telegram", "1001")
    }


def test_whoever_annotated_answered_every_label() -> None:
    found, _, _ = run(read_json, (FOLDER / "project.json").read_bytes())
    none = found[-1].post
    assert {none.is_yes(name) for name in (*LABEL_IDS, *CONTEXT_IDS)} == {False}
    assert found[2].post.is_yes("news") is True
    assert found[2].post.is_yes("threat") is False


def task(*choices: str, **fields: Any) -> dict[str, Any]:
    result = [{"from_name": "label", "value": {"choices": list(choices)}}]
    annotation = {"id": 5, "completed_by": 1, "result": result} | fields
    return {"id": 12, "data": {"text": "teks"}, "annotations": [annotation]}


def test_choices_are_known_by_id_and_by_either_name() -> None:
    content = json.dumps([task("Hasutan", " threat ", "FINANCING"), task("Satire dan kiasan")])
    found, _, errors = run(read_json, content)
    assert errors == []
    assert found[0].post.labels == {"incitement", "threat", "financing"}
    assert found[1].post.contexts == {"satire_figurative"}


def test_other_controls_are_left_out_where_one_is_named() -> None:
    given = task("threat")
    other = {"from_name": "mood", "value": {"choices": ["marah"]}}
    given["annotations"][0]["result"].append(other)
    _, _, errors = run(read_json, json.dumps([given]))
    assert "'marah'" in errors[0]
    found, _, errors = run(read_json, json.dumps([given]), "label")
    assert (found[0].post.labels, errors) == ({"threat"}, [])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (task("teror"), "task 12, annotation 5: field 'choices' has 'teror', which is no label"),
        (task("none", "threat"), "field 'choices' holds both 'none' and 'threat'"),
        (task("threat", completed_by=None), "field 'completed_by' does not say who annotated"),
        (task("threat") | {"data": {}}, "field 'text' must be a non-empty string"),
        (task("threat") | {"data": {"text": " "}}, "field 'text' must be a non-empty string"),
        (task("threat") | {"data": [1]}, "task 12: field 'data' must be an object"),
        (task("threat") | {"annotations": {}}, "task 12: field 'annotations' must be a list"),
        (task("threat") | {"annotations": [7]}, "field 'annotations' must be a list of objects"),
        (task(result=5), "annotation 5: field 'result' must be a list"),
        (task(result=[5]), "field 'result' must be a list of objects"),
        (task(result=[{"value": []}]), "field 'value' must be an object"),
        (task(result=[{"value": {"choices": "x"}}]), "field 'choices' must be a list"),
        (7, "task 2: is no object"),
    ],
)
def test_a_bad_task_is_named_and_the_others_are_read(given: Any, message: str) -> None:
    found, _, errors = run(read_json, json.dumps([task("threat"), given]))
    assert len(found) == 1
    (error,) = errors
    assert message in error


@pytest.mark.parametrize("content", ["", "{", '{"text": 1}', "\\", '"x"', b"\xff\xfe"])
def test_a_file_that_is_no_export_is_refused(content: str | bytes) -> None:
    with pytest.raises(ReadError, match=r"file: (not valid JSON|is no list of tasks)"):
        run(read_json, content)


@pytest.mark.parametrize(
    ("content", "choices", "message"),
    [
        ("", (), "holds no row"),
        ("id,text\n1,a\n", (), "column 'annotator' is missing; found id, text"),
        ("id,annotator\n1,a\n", (), "column 'text' is missing"),
        ("id,text,annotator,label\n1,a,1,threat\n", ("jawaban",), "column 'jawaban' is missing"),
        ("id,text,annotator,label\n1,a,1,bagus\n", (), "no column holds choices of the taxonomy"),
        ("text,annotator,a,b\nx,1,threat,news\n", (), "the columns a, b hold choices"),
        (b"text,annotator,label\n\xff,1,threat\n", (), "cannot be read as CSV in UTF-8"),
        ('text,annotator,label\n"x,1,threat\n', (), "cannot be read as CSV in UTF-8"),
    ],
)
def test_a_table_that_is_no_export_is_refused(
    content: str | bytes, choices: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ReadError, match=message):
        run(read_csv, content, *choices)


def test_a_bad_line_is_named_and_the_others_are_read() -> None:
    content = (
        "id,text,annotator,label\n1,teks,1,threat\n2,teks,1,bagus\n3,,1,threat\n4,teks,,none\n"
    )
    found, _, errors = run(read_csv, content)
    assert [given.post.labels for given in found] == [{"threat"}]
    assert [error.split(": field")[0] for error in errors] == [
        "file:3: task 2", "file:4: task 3", "file:5: task 4",
    ]  # fmt: skip


def test_two_columns_count_where_both_are_named() -> None:
    found, _, errors = run(
        read_csv, 'text,annotator,a,b\nx,1,"[""threat"", ""incitement""]",news\n', "a", "b"
    )
    assert errors == []
    assert found[0].post.labels | found[0].post.contexts == {"threat", "incitement", "news"}


def test_no_text_of_a_post_is_in_a_message() -> None:
    secret = "rahasia \x1b[31m sekali"
    bad = {"id": secret * 9, "data": {"text": secret}, "annotations": [task("x")["annotations"][0]]}
    _, _, errors = run(read_json, json.dumps([bad]))
    assert "\x1b" not in errors[0]
    assert len(errors[0]) < 250
