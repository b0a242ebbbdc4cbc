"""Scopes of keys, people of a provider, sign-ins under way, rate windows, one review each"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.db import UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

STANDING = sa.text("undone_at IS NULL")


def upgrade() -> None:
    op.create_table(
        "rate_windows",
        sa.Column("key", sa.String(length=256), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("current", sa.Integer(), nullable=False),
        sa.Column("previous", sa.Integer(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "sign_in_flows",
        sa.Column("token_sha256", sa.String(length=64), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("token_sha256"),
    )
    op.add_column("api_keys", sa.Column("scopes", sa.JSON(), nullable=True))
    op.add_column("people", sa.Column("provider_name", sa.String(length=256), nullable=True))
    op.create_index("ix_people_provider_name", "people", ["provider_name"], unique=True)
    op.create_index(
        "one_standing_review_a_person",
        "reviews",
        ["case_id", "reviewer"],
        unique=True,
        sqlite_where=STANDING,
        postgresql_where=STANDING,
    )


def downgrade() -> None:
    op.drop_index(
        "one_standing_review_a_person",
        "reviews",
        sqlite_where=STANDING,
        postgresql_where=STANDING,
    )
    op.drop_index("ix_people_provider_name", "people")
    op.drop_column("people", "provider_name")
    op.drop_column("api_keys", "scopes")
    op.drop_table("sign_in_flows")
    op.drop_table("rate_windows")
