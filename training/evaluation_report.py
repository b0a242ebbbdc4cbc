"""The evaluation as one HTML file with plots, and ``metrics.json`` beside it."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from screening.errors import OutputError
from screening.policy import SCREENED


def write_evaluation(folder: Path, figures: Mapping[str, Any]) -> None:
    """Write ``metrics.json`` and ``report.html`` into ``folder``.

    Raises
    ------
    OutputError
        The folder cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("training"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=True,
    )
    plots = {"reliability": _reliability_plot(figures), "obfuscation": _obfuscation_plot(figures)}
    page = environment.get_template("evaluation.html").render(figures=figures, plots=plots)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(figures, indent=2, ensure_ascii=False) + "\n"
        (folder / "metrics.json").write_text(text, "utf-8")
        (folder / "report.html").write_text(page, "utf-8")
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror})") from error


def _reliability_plot(figures: Mapping[str, Any]) -> Markup:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5, 4.5))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#999", linestyle="--", linewidth=1, label="perfect")
    for label in SCREENED:
        bins = figures["reliability"][label]
        axes.plot(
            [row["probability"] for row in bins],
            [row["positives"] for row in bins],
            marker="o",
            label=label,
        )
    axes.set(xlabel="mean probability", ylabel="share of positives", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    return _svg(figure)


def _obfuscation_plot(figures: Mapping[str, Any]) -> Markup:
    from matplotlib.figure import Figure

    tricks = figures["obfuscation"]["tricks"]
    figure = Figure(figsize=(6, 4.5))
    axes = figure.subplots()
    axes.barh(list(tricks), [row["kept"] or 0.0 for row in tricks.values()], color="#4a7")
    axes.axvline(0.92, color="#999", linestyle="--", linewidth=1)
    axes.set(xlabel="share of clean recall kept", xlim=(0, 1.1))
    figure.tight_layout()
    return _svg(figure)


def _svg(figure: Any) -> Markup:
    """The figure as inline SVG; every text in it is our own."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return Markup(buffer.getvalue()[buffer.getvalue().index("<svg") :])  # noqa: S704
