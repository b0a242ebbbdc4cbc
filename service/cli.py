"""``penapisan``: score an export, explain a text, show labels and releases, run the service.

Data goes to stdout, progress to stderr. Exit 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from models.errors import ModelError
from models.release import load_release
from models.scorer import ReleaseScorer, load_scorer
from screening.batch import CHUNK_POSTS, WorkFolder, score_posts
from screening.batch import Progress as BatchProgress
from screening.channel import ExportSummary, Tally, held_labels
from screening.errors import OutputError, ScreeningError
from screening.outputs import (
    REPORT_SUFFIXES,
    RESULT_SUFFIXES,
    check_output,
    write_jsonl_stream,
    write_rows,
)
from screening.readers import Columns, input_size, open_export
from screening.report import write_report
from screening.rows import Row, to_row
from screening.taxonomy import CONTEXTS, LABELS, TAXONOMY_VERSION, TERRORISM_LABELS, Label
from screening.text import display_text, normalise
from screening.types import Post, ReadReport
from service.commands import add_commands, export_labels, import_labels
from service.errors import ServiceError

stderr = Console(stderr=True)

ENGINES = click.Choice(["auto", "openvino", "onnxruntime", "torch"])
release_option = click.option(
    "--release", type=click.Path(path_type=Path), help="Release folder; default: the shipped one."
)
engine_option = click.option(
    "--engine", type=ENGINES, default="auto", show_default=True, help="What runs the model."
)
SHOWN_LETTERS = 120
BAND_STYLE = {"urgent": "bold red", "review": "yellow", "clear": "green"}


class Commands(click.Group):
    """Turns the errors of bad input into one sentence and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (ScreeningError, ModelError, ServiceError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands)
@click.version_option(package_name="penapisan")
def main() -> None:
    """Find radicalism and terrorism content in Indonesian posts, for a person to check."""


add_commands(main)


@main.command()
@click.argument("export", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Result file: .jsonl, .csv or .parquet, or - for JSONL on stdout. "
    "Default: EXPORT's name with .scores.jsonl, in this folder.",
)
@click.option("--report", type=click.Path(path_type=Path), help="Also write an HTML report here.")
@click.option(
    "--top",
    type=click.IntRange(0),
    default=20,
    show_default=True,
    help="Posts in the ranked table.",
)
@click.option(
    "--min-score",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Leave posts below this probability out of every output; all are still scored.",
)
@click.option("--username", help="The channel's public name, for permalinks: t.me/NAME/id.")
@click.option("--columns", help="Which columns of a table hold what: text=isi,posted_at=tanggal,…")
@release_option
@engine_option
@click.option(
    "--chunk",
    type=click.IntRange(1),
    default=CHUNK_POSTS,
    show_default=True,
    help="Posts scored between two saves: what a kill can cost.",
)
@click.option(
    "--resume/--no-resume",
    default=True,
    show_default=True,
    help="Go on from the work a killed run left beside the output.",
)
def score(
    export: Path,
    output: Path | None,
    report: Path | None,
    top: int,
    min_score: float,
    username: str | None,
    columns: str | None,
    release: Path | None,
    engine: Any,
    chunk: int,
    resume: bool,
) -> None:
    """Score every post of EXPORT: a Telegram Desktop export (JSON, HTML folder or .zip), a
    Telethon or tdl dump, JSONL, CSV or Parquet, a folder of these, or - for stdin."""
    to_stdout = str(output) == "-"
    target = _default_output(export) if output is None else output
    if not to_stdout:
        check_output(target, RESULT_SUFFIXES)
    if report:
        check_output(report, REPORT_SUFFIXES)
    scorer = load_scorer(release, engine)
    read = ReadReport()
    with _work_folder(target, to_stdout, _settings(scorer, username, columns, chunk)) as work:
        work.open(restart=not resume)
        with _progress_bar(export, scorer.engine) as bar:
            posts = open_export(
                export,
                username=username,
                columns=Columns.parse(columns) if columns else None,
                report=read,
                progress=bar.bytes_read,
            )
            done = score_posts(posts, scorer, work, on_progress=bar.advance, chunk_posts=chunk)
        if not done.posts:
            raise OutputError(f"{export}: no posts with text found ({_counts(read)})")
        summary = ExportSummary(top_size=max(top, 1))
        rows = _summed(work.rows(), summary, min_score)
        if to_stdout:
            write_jsonl_stream(sys.stdout.buffer, rows)
        else:
            write_rows(target, rows)
        if report:
            about = {"export": export.name, "release": scorer.release, "engine": scorer.engine}
            write_report(report, summary, read, about)
        work.remove()
    _print_result(summary, read, done, top, Console(stderr=to_stdout))
    for path in ([] if to_stdout else [target]) + ([report] if report else []):
        stderr.print(f"[bold]{escape(str(path))}[/] written")


@main.command()
@click.argument("text")
@release_option
@engine_option
def explain(text: str, release: Path | None, engine: Any) -> None:
    """Score one TEXT (- reads stdin) and show the words behind the score."""
    if text == "-":
        text = sys.stdin.read()
    if not text.strip():
        raise click.UsageError("TEXT is empty; give the words to explain")
    scorer = load_scorer(release, engine)
    row = to_row(Post("text", None, "1", text), scorer.score([text])[0], scorer.policy)
    console = Console()
    style = BAND_STYLE[row["band"]]
    console.print(
        f"[{style}]{row['band']}[/] {row['decided_by']} {row['score']:.3f} "
        f"(threshold {row['threshold']:.3f}, release {row['release']})"
    )
    console.print(_highlighted(row), soft_wrap=True)
    table = Table("label", "probability")
    for label, probability in [*row["labels"].items(), *row["contexts"].items()]:
        table.add_row(label, f"{probability:.3f}")
    console.print(table)
    if tricks := normalise(text).tricks:
        found = ", ".join(f"{name} {count}" for name, count in sorted(tricks.items()) if count)
        console.print(f"read through: {found}")
    if row["truncated"]:
        console.print("the text is longer than can be scored; its end was left out")


@main.group(invoke_without_command=True)
@click.option("--language", type=click.Choice(["id", "en"]), default="id", show_default=True)
@click.pass_context
def labels(ctx: click.Context, language: str) -> None:
    """Show the taxonomy: what each label and context means, and what is not it."""
    if ctx.invoked_subcommand is not None:
        return
    console = Console()
    console.print(f"taxonomy {TAXONOMY_VERSION}; terrorism = {', '.join(TERRORISM_LABELS)}")
    for title, entries in (("labels", LABELS), ("contexts", CONTEXTS)):
        table = Table("id", "name", "definition", "is not", "source", title=title, show_lines=True)
        for entry in entries:
            table.add_row(*_label_cells(entry, language))
        console.print(table)


labels.add_command(export_labels)
labels.add_command(import_labels)


@main.group("release")
def release_group() -> None:
    """Look at releases."""


@release_group.command()
@click.argument("folder", type=click.Path(path_type=Path), required=False)
def show(folder: Path | None) -> None:
    """Verify and describe the release in FOLDER, or the shipped one."""
    loaded = load_release(folder, allow_refused=True)
    console = Console()
    where = escape(str(loaded.folder))
    console.print(f"[bold]{escape(loaded.id)}[/] in {where}, checksums match", soft_wrap=True)
    table = Table("screened label", "review from", "urgent from", title="thresholds")
    for label, threshold in loaded.policy.thresholds.items():
        urgent = "refused" if threshold.urgent is None else f"{threshold.urgent:.4f}"
        table.add_row(label, f"{threshold.review:.4f}", urgent)
    console.print(table)
    if loaded.record.get("refused"):
        console.print("[red]refused[/]: worse than the release it was made to replace")
    for section in ("base", "training", "data", "comparison", "metrics"):
        if section in loaded.record:
            console.print(f"[bold]{section}[/]")
            console.print_json(data=loaded.record[section], indent=2)


def _label_cells(label: Label, language: str) -> tuple[str, ...]:
    if language == "id":
        return label.id, label.name_id, label.definition_id, label.is_not_id, label.source
    return label.id, label.name_en, label.definition_en, label.is_not_en, label.source


def _default_output(export: Path) -> Path:
    stem = "stdin" if str(export) == "-" else (export.name.split(".")[0] or "export")
    return Path(f"{stem}.scores.jsonl")


def _settings(
    scorer: ReleaseScorer, username: str | None, columns: str | None, chunk: int
) -> dict[str, Any]:
    """What the rows depend on beside the posts: equal in a run and in its resumption."""
    return {
        "release": scorer.release,
        "engine": scorer.engine,
        "username": username,
        "columns": columns,
        "chunk": chunk,
    }


@contextmanager
def _work_folder(target: Path, to_stdout: bool, settings: dict[str, Any]) -> Iterator[WorkFolder]:
    """Beside the output, to be found again by the same command; temporary for stdout."""
    if to_stdout:
        with tempfile.TemporaryDirectory(prefix="penapisan-") as scratch:
            yield WorkFolder(Path(scratch) / "work", settings)
    else:
        yield WorkFolder(target.with_name(f"{target.name}.work"), settings)


def _summed(rows: Iterator[Row], summary: ExportSummary, min_score: float) -> Iterator[Row]:
    for row in rows:
        if row["score"] >= min_score:
            summary.add(row)
            yield row


class _Bar:
    """Posts per second, hits and the time left, by bytes read."""

    def __init__(self, progress: Progress, size: int | None, engine: str) -> None:
        self._progress = progress
        self._task = progress.add_task(engine, total=size, posts=0, hits=0, rate=0.0)
        self._read = 0

    def bytes_read(self, count: int) -> None:
        self._read = count

    def advance(self, done: BatchProgress) -> None:
        elapsed = self._progress.tasks[self._task].elapsed or 1e-9
        self._progress.update(
            self._task,
            completed=self._read,
            posts=done.posts,
            hits=done.hits,
            rate=(done.posts - done.resumed) / elapsed,
        )


@contextmanager
def _progress_bar(export: Path, engine: str) -> Iterator[_Bar]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[posts]} posts  {task.fields[hits]} hits"),
        TextColumn("{task.fields[rate]:.0f} posts/s"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=stderr) as progress:
        yield _Bar(progress, input_size(export), engine)


def _print_result(
    summary: ExportSummary, read: ReadReport, done: BatchProgress, top: int, console: Console
) -> None:
    stderr.print(escape(_counts(read)))
    if done.resumed:
        stderr.print(f"{done.resumed} posts taken over from the earlier run")
    bands = summary.bands
    console.print(
        f"{summary.posts} posts: [bold red]{bands['urgent']} urgent[/], "
        f"[yellow]{bands['review']} review[/], [green]{bands['clear']} clear[/]"
    )
    if top and summary.posts:
        console.print(_top_table(summary))
    for title, tallies in (
        ("accounts", summary.top_accounts(10)),
        ("channels", summary.top_channels(10)),
    ):
        if tallies:
            console.print(_tally_table(title, tallies))


def _counts(read: ReadReport) -> str:
    """What was read, skipped and repaired, in one line."""
    parts = [f"{read.posts} posts read"]
    parts += [f"skipped {reason} {count}" for reason, count in sorted(read.skipped.items())]
    parts += [f"repaired {kind} {count}" for kind, count in sorted(read.repaired.items())]
    return "; ".join([*parts, *map(display_text, read.notes)])


def _top_table(summary: ExportSummary) -> Table:
    """Who, when and where stand above a post's text, so that it is readable on 80 columns."""
    table = Table(title="ranked posts", expand=True)
    for name in ("#", "score", "band"):
        table.add_column(name, no_wrap=True)
    table.add_column("post", ratio=1)
    for number, row in enumerate(summary.top(), 1):
        style = BAND_STYLE[row["band"]]
        labels = ", ".join(held_labels(row)) if row["band"] != "clear" else ""
        about = (labels, (row["posted_at"] or "")[:16].replace("T", " "), _author(row))
        text = display_text(row["text"])
        table.add_row(
            str(number),
            f"{row['score']:.3f}",
            f"[{style}]{row['band']}[/]",
            f"[dim]{escape(' · '.join(filter(None, about)))}[/]\n"
            + escape(text if len(text) <= SHOWN_LETTERS else text[: SHOWN_LETTERS - 1] + "…"),
        )
    return table


def _author(row: Mapping[str, Any]) -> str:
    return str(display_text(row["author_name"] or row["key"]))


def _tally_table(title: str, tallies: list[tuple[str, Tally]]) -> Table:
    table = Table("name", "urgent", "review", "posts", "labels", title=title)
    for _, tally in tallies:
        labels = ", ".join(f"{label} {count}" for label, count in tally.labels.most_common(3))
        counts = (str(tally.urgent), str(tally.review), str(tally.posts))
        table.add_row(escape(display_text(tally.name)), *counts, labels)
    return table


def _highlighted(row: Row) -> str:
    from screening.report import text_pieces

    return "".join(
        f"[reverse]{escape(piece)}[/]" if is_span else escape(piece)
        for piece, is_span in text_pieces(row)
    )
