"""What a job needs to be taken over: a fence, the parts stored, and the reader's report

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.db import UtcDateTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.add_column(sa.Column("report", sa.JSON(), nullable=False, server_default="{}"))
        batch_op.add_column(sa.Column("release", sa.String(length=128), nullable=True))
        batch_op.add_column(sa.Column("parts", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("error_status", sa.Integer(), nullable=True))
        batch_op.add_column(sa.Column("fence", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("purged_at", UtcDateTime(), nullable=True))
        batch_op.create_index(batch_op.f("ix_jobs_finished_at"), ["finished_at"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("jobs", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_jobs_finished_at"))
        batch_op.drop_column("purged_at")
        batch_op.drop_column("attempts")
        batch_op.drop_column("fence")
        batch_op.drop_column("error_status")
        batch_op.drop_column("parts")
        batch_op.drop_column("release")
        batch_op.drop_column("report")
