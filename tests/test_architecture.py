"""The direction of imports, imports inside functions included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {"screening", "models", "training", "service"}
MAY_IMPORT = {
    "screening": set(),
    "models": {"screening"},
    "training": {"screening", "models"},
    "service": {"screening", "models"},
}
TORCH_FILES = {"models/network.py", "models/engines/torch.py"}
WEB_OR_DATABASE = {"fastapi", "starlette", "uvicorn", "sqlalchemy"}


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield (node.module or "").split(".")[0]


def sources(room: str) -> list[Path]:
    return sorted((ROOT / room).rglob("*.py"))


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_a_room_imports_only_the_rooms_below_it(room: str) -> None:
    files = sources(room)
    assert files
    for path in files:
        strays = set(imported(path)) & ROOMS - MAY_IMPORT[room] - {room}
        assert not strays, f"{path.relative_to(ROOT)} imports {strays}"


def test_scoring_needs_no_torch_and_no_training_package() -> None:
    for room in ("screening", "models", "service"):
        for path in sources(room):
            heavy = set(imported(path)) & {"torch", "transformers", "sklearn", "datasets", "onnx"}
            assert not heavy or str(path.relative_to(ROOT)) in TORCH_FILES, path


def test_the_core_needs_no_web_framework_and_no_database() -> None:
    for path in sources("screening"):
        assert not set(imported(path)) & WEB_OR_DATABASE, path


def test_nothing_loads_pickles() -> None:
    for room in sorted(ROOMS):
        for path in sources(room):
            assert not set(imported(path)) & {"pickle", "joblib", "dill"}, path
