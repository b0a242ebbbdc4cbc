"""An export sent, scored in the background and fetched: on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.auth import Role
from service.db import Database
from service.settings import Settings
from tests.service.serving import key_of, served

HIT = "xxxxxxxx bb"


@pytest.fixture
def client(settings: Settings, database: Database) -> Iterator[TestClient]:
    with served(settings) as client:
        client.headers.update(key_of(database, Role.SUBMITTER))
        yield client


