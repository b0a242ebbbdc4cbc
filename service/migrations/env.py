"""Alembic's entry: migrates the connection that ``service.db.Database`` hands over."""

from alembic import context

import service.tables  # noqa: F401  every table registers itself
from service.db import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Base.metadata,
    # SQLite changes a table by copying it.
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
