"""``penapisan-train``: make a release from labelled posts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from models.errors import ModelError
from screening.errors import ScreeningError
from screening.taxonomy import LABEL_IDS
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


lawful_option = click.option(
    "--lawful",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder with the public lawful sets (see training/data.py); default: none.",
)


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--id", "release_id", help="Name of the release; default: the folder's name.")
@click.option("--base", default=DEFAULT_BASE, show_default=True, help="Hub id or local folder.")
@click.option("--base-name", help="Hub id of a base that lies in a local folder, for the card.")
@click.option("--pieces", default=DEFAULT_PIECES, show_default=True, help="Vocabulary to keep.")
@lawful_option
@click.option("--epochs", type=click.IntRange(1), default=6, show_default=True)
@click.option("--max-tokens", type=click.IntRange(16), default=256, show_default=True)
@click.option("--seed", default=0, show_default=True)
def release(
    out: Path,
    release_id: str | None,
    base: str,
    base_name: str | None,
    pieces: int,
    lawful: Path | None,
    epochs: int,
    max_tokens: int,
    seed: int,
) -> None:
    """Train on the authored corpus and write a release folder to OUT.

    An interrupted run goes on from its last finished epoch.
    """
    from training.finetune import Hyperparameters
    from training.recipe import Recipe, build_release

    settings = Hyperparameters(epochs=epochs, max_tokens=max_tokens, seed=seed)
    recipe = Recipe(
        release_id or out.name,
        out,
        base=base,
        base_name=base_name,
        pieces=pieces,
        lawful=lawful,
        settings=settings,
    )
    made = build_release(recipe)
    click.echo((made.folder / "CARD.md").read_text("utf-8"))


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Default: FOLDER.evaluation")
@lawful_option
def evaluate(folder: Path, output: Path | None, lawful: Path | None) -> None:
    """Measure the release in FOLDER on posts it never saw; write metrics.json and report.html."""
    from models.engines import load_engine
    from models.release import load_release
    from models.scorer import ReleaseScorer
    from training.data import in_split, read_corpus, read_lawful
    from training.evaluate import evaluate as measure
    from training.evaluation_report import write_evaluation
    from training.linear import linear_probabilities

    loaded = load_release(folder, allow_refused=True)
    corpus_posts = read_corpus()
    test, train = in_split(corpus_posts, "test"), in_split(corpus_posts, "train")
    if lawful is not None:
        for posts in read_lawful(lawful, "train").values():
            train += posts
    click.echo(f"fitting the linear baseline on {len(train)} posts", err=True)
    baseline = linear_probabilities(train, test)
    click.echo(f"scoring {len(test)} test posts and the lawful sets", err=True)
    scorer = ReleaseScorer(loaded, load_engine(loaded.model_path))
    figures = measure(scorer, test, lawful=lawful, baseline=baseline)
    target = output or Path(f"{folder.name}.evaluation")
    write_evaluation(target, figures)
    for label, row in figures["transformer"].items():
        click.echo(f"{label}: PR-AUC {row['pr_auc']}, linear {figures['linear'][label]['pr_auc']}")
    click.echo(f"functional suite: {figures['functional']['rate']}")
    click.echo(f"{target / 'report.html'} written")


@main.command()
@click.argument("teacher", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--layers", type=click.IntRange(1), default=6, show_default=True)
@click.option("--epochs", type=click.IntRange(1), default=6, show_default=True)
@click.option("--seed", default=0, show_default=True)
@lawful_option
def distil(
    teacher: Path, out: Path, layers: int, epochs: int, seed: int, lawful: Path | None
) -> None:
    """Make a smaller release in OUT that imitates the one in TEACHER."""
    from models.release import load_release
    from training.finetune import Hyperparameters
    from training.recipe import Recipe, build_release

    parent = load_release(teacher)
    settings = Hyperparameters(epochs=epochs, max_tokens=parent.max_tokens, seed=seed)
    recipe = Recipe(
        out.name, out, lawful=lawful, parent=parent, student_layers=layers, settings=settings
    )
    made = build_release(recipe)
    click.echo((made.folder / "CARD.md").read_text("utf-8"))


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.argument("exports", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--base", default=DEFAULT_BASE, show_default=True, help="Hub id or local folder.")
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--seed", default=0, show_default=True)
def adapt(out: Path, exports: tuple[Path, ...], base: str, epochs: int, seed: int) -> None:
    """Pretrain a base further on the unlabelled posts of EXPORTS; a base goes to OUT."""
    from screening.readers import open_export
    from screening.types import ReadReport
    from training.adapt import AdaptSettings
    from training.adapt import adapt as pretrain
    from training.base import load_base, save_base

    report = ReadReport()
    posts = (post for export in exports for post in open_export(export, report=report))
    texts = list(dict.fromkeys(post.text for post in posts))
    encoder, tokenizer = load_base(base)
    losses = pretrain(encoder, tokenizer, texts, AdaptSettings(epochs=epochs, seed=seed))
    save_base(out, encoder, tokenizer)
    click.echo(f"{out}: {len(texts)} posts, loss per epoch {', '.join(f'{x:.3f}' for x in losses)}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("out", type=click.Path(path_type=Path))
@lawful_option
def calibrate(folder: Path, out: Path, lawful: Path | None) -> None:
    """Calibrate the release in FOLDER anew, and set its thresholds; a new release goes to OUT."""
    from models.release import load_release
    from training.recipe import recalibrate

    made = recalibrate(load_release(folder, allow_refused=True), out, lawful=lawful)
    for label, row in made.record["thresholds"].items():
        urgent = "refused" if row["urgent"] is None else row["urgent"]
        click.echo(f"{label}: review from {row['review']}, urgent {urgent}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("CARD.md"))
@click.option(
    "--beside",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Releases of other sizes, measured on the same posts; may be given again.",
)
@click.option("--why", default="", help="One sentence: why this size ships.")
@lawful_option
def card(
    folder: Path, output: Path, beside: tuple[Path, ...], why: str, lawful: Path | None
) -> None:
    """Write the model card of the release in FOLDER from its record."""
    from models.release import load_release
    from training.card import write_card
    from training.data import read_lawful
    from training.recipe import read_parts
    from training.sizes import measure_sizes

    loaded = load_release(folder, allow_refused=True)
    record = dict(loaded.record)
    if beside:
        parts = read_parts()
        train = parts["train"]
        if lawful is not None:
            train = [*train, *(p for posts in read_lawful(lawful, "train").values() for p in posts)]
        releases = [loaded, *(load_release(path, allow_refused=True) for path in beside)]
        rows = measure_sizes(releases, train, parts["test"])
        record["comparison"] = {"rows": rows, "posts": len(parts["test"]), "why": why}
    write_card(output, record)
    click.echo(f"{output} written")


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--base", default=DEFAULT_BASE, show_default=True, help="Hub id or local folder.")
@click.option("--pieces", default=DEFAULT_PIECES, show_default=True, help="Vocabulary to keep.")
def base(out: Path, base: str, pieces: int) -> None:
    """Trim a base's vocabulary to our languages and write it to OUT, to be given as --base."""
    from training.base import load_base, save_base, trim
    from training.data import in_split, read_corpus
    from training.recipe import piece_texts

    encoder, tokenizer = load_base(base)
    before = tokenizer.get_vocab_size()
    encoder, tokenizer = trim(
        encoder, tokenizer, piece_texts(in_split(read_corpus(), "train")), pieces
    )
    save_base(out, encoder, tokenizer)
    click.echo(f"{out}: {tokenizer.get_vocab_size()} of {before} pieces kept")


@main.command("compare")
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
def compare_command(old: Path, new: Path) -> None:
    """Say whether the release in NEW is better, equal or worse than the one in OLD."""
    from models.engines import load_engine
    from models.release import load_release
    from models.scorer import ReleaseScorer
    from training.compare import compare
    from training.data import in_split, read_corpus

    def scorer(folder: Path) -> ReleaseScorer:
        loaded = load_release(folder, allow_refused=True)
        return ReleaseScorer(loaded, load_engine(loaded.model_path))

    for line in compare(scorer(old), scorer(new), in_split(read_corpus(), "test")).sentences():
        click.echo(line)


@main.command("finetune")
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data", required=True, help="A mapping of ours by name, or your .toml file.")
@click.option(
    "--file", "files", multiple=True, type=click.Path(path_type=Path), help="Default: from the hub."
)
@click.option("--label", required=True, help="The one label to learn.")
@click.option("--base", default=DEFAULT_BASE, show_default=True, help="Hub id or local folder.")
@click.option("--epochs", type=click.IntRange(1), default=4, show_default=True)
@click.option("--runs", type=click.IntRange(1), default=1, help="Seeds; mean and deviation shown.")
@click.option("--seed", default=0, show_default=True)
def finetune_command(
    out: Path,
    data: str,
    files: tuple[Path, ...],
    label: str,
    base: str,
    epochs: int,
    runs: int,
    seed: int,
) -> None:
    """Fine-tune on one label of a mapped set; macro-F1 on its test beside the linear baseline."""
    from dataclasses import replace

    from training.mapping import load_mapped, read_mapping
    from training.public import SETTINGS, prove

    posts = load_mapped(read_mapping(data), files)
    settings = replace(SETTINGS, epochs=epochs, seed=seed)
    figures = prove(posts, label, out, base=base, settings=settings, runs=runs)
    spread = "" if figures["deviation"] is None else f" ± {figures['deviation']}"
    click.echo(
        f"macro-F1 {figures['mean']}{spread} on {figures['posts']['test']} test posts; "
        f"linear {figures['linear_macro_f1']}"
    )


@main.command("retrain")
@click.option(
    "--labels",
    "paths",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    help="Reviewers' labels, JSONL; may be given again.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("retrained"))
@click.option("--release", type=click.Path(path_type=Path), help="Parent; default: the shipped one")
@lawful_option
@click.option("--epochs", type=click.IntRange(1), default=4, show_default=True)
@click.option("--seed", default=0, show_default=True)
def retrain_command(
    paths: tuple[Path, ...],
    output: Path,
    release: Path | None,
    lawful: Path | None,
    epochs: int,
    seed: int,
) -> None:
    """Learn from reviewers' labels and say whether the new release beats the serving one."""
    from dataclasses import replace

    from models.release import load_release
    from training.retrain import SETTINGS, read_reviews, retrain

    errors: list[str] = []
    reviews = read_reviews(paths, lambda error: errors.append(str(error)))
    for error in errors:
        click.echo(f"left out: {error}", err=True)
    click.echo(f"{len(reviews)} rows read, {len(errors)} left out", err=True)
    done = retrain(
        reviews,
        output,
        parent=load_release(release),
        lawful=lawful,
        settings=replace(SETTINGS, epochs=epochs, seed=seed),
    )
    for line in done.comparison.sentences():
        click.echo(line)
    if done.release.record["refused"]:
        click.echo(f"{output} is marked refused and will not be loaded; keep the serving release")
    else:
        click.echo(f"serve it with --release {output}")


@main.group()
def corpus() -> None:
    """Look at the authored corpus."""


@corpus.command()
def check() -> None:
    """Read every corpus row, naming the first bad one by line and field, and count them.

    Fails where a near-duplicate straddles two splits.
    """
    from training.data import SPLITS, in_split, label_counts, read_corpus
    from training.merge import split_posts

    posts = read_corpus()
    for split in SPLITS:
        part = in_split(posts, split)
        counts = ", ".join(f"{label} {count}" for label, count in label_counts(part).items())
        click.echo(
            f"{split}: {len(part)} posts, {len({p.family for p in part})} families; {counts}"
        )
    answers: dict[str, set[bool]] = {}
    for post in posts:
        answers.setdefault(post.family, set()).add(bool(post.labels))
    paired = sum(len(answers[post.family]) == 2 for post in posts) / len(posts)
    filled = sum(post.source == "template" for post in posts) / len(posts)
    click.echo(
        f"all: {len(posts)} posts, {paired:.0%} in minimal pairs, {filled:.0%} from templates"
    )
    for split, part in split_posts(posts).items():
        by_family = {post.id for post in in_split(posts, split)}
        if moved := [post.id for post in part if post.id not in by_family]:
            raise TrainingError(
                f"corpus: '{moved[0]}' nearly repeats a post of another split; "
                "give both one family, or drop one"
            )


@corpus.command("agreement")
@click.option(
    "--second", type=click.Path(path_type=Path), help="JSONL with 'id' and 'labels'; default: ours."
)
@click.option("--list", "is_listed", is_flag=True, help="Name the posts the passes differ on.")
def agreement_command(second: Path | None, is_listed: bool) -> None:
    """Krippendorff's alpha between the corpus and a second, blind pass over it, by label."""
    from training.agreement import SECOND_PASS, agreement, read_second_pass
    from training.data import read_corpus

    for row in agreement(read_corpus(), read_second_pass(second or SECOND_PASS)):
        differ = len(row.disagreements)
        click.echo(f"{row.label}: alpha {row.alpha} on {row.posts} posts, {differ} differ")
        if is_listed:
            for name in row.disagreements:
                click.echo(f"  {name}")


@corpus.command("suspects")
@click.option("--label", type=click.Choice(LABEL_IDS), help="Default: every label.")
@click.option("--count", type=click.IntRange(1), default=20, show_default=True)
def suspects_command(label: str | None, count: int) -> None:
    """Posts whose label a model that never saw them doubts most, to be read again."""
    from training.agreement import suspects
    from training.data import read_corpus

    posts = read_corpus()
    for name in [label] if label else LABEL_IDS:
        for identifier, quality in suspects(posts, name, count):
            click.echo(f"{name}\t{identifier}\t{quality}")
