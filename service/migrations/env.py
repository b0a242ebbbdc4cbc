"""Alembic's entry: migrates the connection that ``service.db.Database`` hands over."""

from alembic import context

import service.tables  # noqa: F401  every table registers itself
from service.db import Base, UtcDateTime

connection = context.config.attributes["connection"]


def render_item(kind, item, autogen_context):  # type: ignore[no-untyped-def]
    if kind == "type" and isinstance(item, UtcDateTime):
        autogen_context.imports.add("from service.db import UtcDateTime")
        return "UtcDateTime()"
    return False


context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
