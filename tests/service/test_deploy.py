"""What the Dockerfile and the units run is there and takes their options."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.cli import main
from service.settings import Settings
from tests.service.serving import listening

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "service" / "deploy"
UNITS = sorted(DEPLOY.glob("penapisan*"))
INSTALLED = "/opt/penapisan/bin/penapisan"


def instructions(name: str) -> list[str]:
    """What follows ``name`` in the Dockerfile, lines joined."""
    joined = (DEPLOY / "Dockerfile").read_text("utf-8").replace("\\\n", " ")
    return re.findall(rf"^ *{name} +(.*)$", joined, re.MULTILINE)


def assert_takes(*arguments: str) -> None:
    result = CliRunner().invoke(main, [*arguments, "--help"])
    assert result.exit_code == 0, result.output
    assert f"Usage: main {arguments[0]}" in result.output


def test_the_image_starts_a_command_that_exists() -> None:
    (entry,), (command,) = instructions("ENTRYPOINT"), instructions("CMD")[-1:]
    assert json.loads(entry) == ["penapisan"]
    assert_takes(*json.loads(command))


def test_what_the_image_copies_and_installs_is_there() -> None:
    copied = [line.split() for line in instructions("COPY") if not line.startswith("--from")]
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    for *sources, _ in copied:
        for source in sources:
            assert (ROOT / source).exists()
            assert f"!{source}" in allowed
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (extras,) = re.findall(r"'\.\[(.+)\]'", "\n".join(instructions("RUN")))
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_the_image_is_not_root_and_writes_to_one_place() -> None:
    (user,) = instructions("USER")
    assert user.isdigit()
    assert int(user) > 0
    assert instructions("VOLUME") == ["/data"]
    assert "PENAPISAN_DATA_DIR=/data" in " ".join(instructions("ENV"))


def test_the_image_s_health_check_passes_while_the_service_answers(settings: Settings) -> None:
    (check,) = (re.search(r"CMD (\[.*\])", line) for line in instructions("HEALTHCHECK"))
    assert check is not None
    python, *arguments = json.loads(check[1])
    assert python == "python"

    def passes(url: str) -> bool:
        told = [argument.replace("http://127.0.0.1:8000", url) for argument in arguments]
        run = subprocess.run([sys.executable, *told], check=False, capture_output=True)
        return run.returncode == 0

    with listening(settings) as url:
        assert passes(url)
    assert not passes(url)


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_a_unit_runs_a_command_that_exists(path: Path) -> None:
    for command in re.findall(r"^ExecStart=(.*)$", path.read_text("utf-8"), re.MULTILINE):
        program, *arguments = command.split()
        assert program == INSTALLED
        assert_takes(*arguments)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_finds_no_fault_in_the_units(tmp_path: Path) -> None:
    for path in UNITS:
        text = path.read_text("utf-8").replace(INSTALLED, sys.executable)
        (tmp_path / path.name).write_text(text)
    units = sorted(map(str, tmp_path.iterdir()))
    assert len(units) == 3
    checked = subprocess.run(
        ["systemd-analyze", "verify", *units], check=False, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stderr) == (0, "")
