"""``penapisan-train``: make a release from labelled posts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from models.errors import ModelError
from screening.errors import ScreeningError
from training.base import DEFAULT_BASE, DEFAULT_PIECES
from training.errors import TrainingError


class Commands(click.Group):
    """Turns the errors of bad input into one sentence and exit code 1."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (TrainingError, ModelError, ScreeningError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=Commands)
@click.version_option(package_name="penapisan")
def main() -> None:
    """Make releases: trim base weights, fine-tune, calibrate, evaluate, export."""


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--id", "release_id", help="Name of the release; default: the folder's name.")
@click.option("--base", default=DEFAULT_BASE, show_default=True, help="Hub id or local folder.")
@click.option("--pieces", default=DEFAULT_PIECES, show_default=True, help="Vocabulary to keep.")
@click.option(
    "--lawful",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the public lawful sets (see training/data.py); default: none.",
)
@click.option("--epochs", type=click.IntRange(1), default=10, show_default=True)
@click.option("--seed", default=0, show_default=True)
def release(
    out: Path,
    release_id: str | None,
    base: str,
    pieces: int,
    lawful: Path | None,
    epochs: int,
    seed: int,
) -> None:
    """Train on the authored corpus and write a release folder to OUT.

    An interrupted run goes on from its last finished epoch.
    """
    from training.finetune import Hyperparameters
    from training.recipe import Recipe, build_release

    settings = Hyperparameters(epochs=epochs, seed=seed)
    recipe = Recipe(
        release_id or out.name, out, base=base, pieces=pieces, lawful=lawful, settings=settings
    )
    made = build_release(recipe)
    click.echo((made.folder / "CARD.md").read_text("utf-8"))


@main.group()
def corpus() -> None:
    """Look at the authored corpus."""


@corpus.command()
def check() -> None:
    """Read every corpus row, naming the first bad one by line and field, and count them."""
    from training.data import in_split, label_counts, read_corpus

    posts = read_corpus()
    for split in ("train", "validation", "test"):
        part = in_split(posts, split)
        counts = ", ".join(f"{label} {count}" for label, count in label_counts(part).items())
        click.echo(
            f"{split}: {len(part)} posts, {len({p.family for p in part})} families; {counts}"
        )
