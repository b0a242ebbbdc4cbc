"""The model card, generated from the release's own record: no figure is typed by hand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def write_card(path: Path, record: Mapping[str, Any]) -> None:
    """Write ``CARD.md`` for a release record."""
    environment = Environment(
        loader=PackageLoader("training"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  Markdown of our own figures; no post text
    )
    path.write_text(environment.get_template("CARD.md").render(**record), "utf-8")
