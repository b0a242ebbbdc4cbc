"""Notices, which nobody issues alone, and labels from elsewhere"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from service.db import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

SAME = {
    "notices": "SELECT 1 FROM notices WHERE id = NEW.id",
    "notice_items": "SELECT 1 FROM notice_items WHERE notice_id = NEW.notice_id "
    "AND post_id = NEW.post_id",
    "notice_approvals": "SELECT 1 FROM notice_approvals WHERE notice_id = NEW.notice_id",
    "issued_notices": "SELECT 1 FROM issued_notices WHERE notice_id = NEW.notice_id "
    "OR reference = NEW.reference",
    "notice_withdrawals": "SELECT 1 FROM notice_withdrawals WHERE notice_id = NEW.notice_id",
}
"""Tables whose rows no statement may change or remove, and what finds the row that a new one would
take the place of: SQLite's ``INSERT OR REPLACE`` removes it without its trigger."""

REPLACED_BEFORE = {
    "audit_entries": "SELECT 1 FROM audit_entries WHERE sequence = NEW.sequence",
    "case_events": "SELECT 1 FROM case_events WHERE case_id = NEW.case_id AND number = NEW.number",
}
"""Append-only tables of an earlier revision, whose rows could still be replaced or truncated."""

TOOK_PART = """
    NOT EXISTS (SELECT 1 FROM notice_items i WHERE i.notice_id = NEW.notice_id)
    OR EXISTS (SELECT 1 FROM notices n
        WHERE n.id = NEW.notice_id AND n.drafted_by = NEW.approved_by)
    OR EXISTS (SELECT 1 FROM notice_items i
        JOIN reviews r ON r.case_id = i.case_id AND r.cycle <= i.cycle
        WHERE i.notice_id = NEW.notice_id AND r.reviewer = NEW.approved_by)
    OR EXISTS (SELECT 1 FROM notice_withdrawals w WHERE w.notice_id = NEW.notice_id)
"""
NOT_APPROVED = """
    NOT EXISTS (SELECT 1 FROM notice_approvals a JOIN notices n ON n.id = a.notice_id
        WHERE a.notice_id = NEW.notice_id AND a.approved_by <> n.drafted_by)
    OR EXISTS (SELECT 1 FROM notice_withdrawals w WHERE w.notice_id = NEW.notice_id)
"""
APPROVED = "EXISTS (SELECT 1 FROM notice_approvals a WHERE a.notice_id = NEW.notice_id)"

INSERTS = {
    "notice_approvals": (TOOK_PART, "a notice is approved by a person who took no part in it"),
    "issued_notices": (NOT_APPROVED, "a notice is issued once another person has approved it"),
    "notice_items": (APPROVED, "an approved notice gets no more items"),
}
"""Rows that the database refuses whoever asks, as (condition, words)."""


def upgrade() -> None:
    op.create_table(
        "notices",
        sa.Column("id", _ID, nullable=False),
        sa.Column("platform", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.String(length=256), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("drafted_by", sa.String(length=64), nullable=False),
        sa.Column("drafted_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("notices_by_subject", "notices", ["platform", "scope", "subject"])
    op.create_table(
        "notice_items",
        sa.Column("notice_id", _ID, nullable=False),
        sa.Column("post_id", _ID, nullable=False),
        sa.Column("case_id", _ID, nullable=False),
        sa.Column("cycle", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["notice_id"], ["notices.id"]),
        sa.ForeignKeyConstraint(["post_id"], ["posts.id"]),
        sa.ForeignKeyConstraint(["case_id"], ["cases.id"]),
        sa.PrimaryKeyConstraint("notice_id", "post_id"),
    )
    op.create_index("ix_notice_items_post_id", "notice_items", ["post_id"])
    op.create_index("ix_notice_items_case_id", "notice_items", ["case_id"])
    op.create_table(
        "notice_approvals",
        sa.Column("notice_id", _ID, nullable=False),
        sa.Column("approved_by", sa.String(length=64), nullable=False),
        sa.Column("approved_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint("approved_by LIKE 'person:%'", name="a_person_approves"),
        sa.ForeignKeyConstraint(["notice_id"], ["notices.id"]),
        sa.PrimaryKeyConstraint("notice_id"),
    )
    op.create_table(
        "issued_notices",
        sa.Column("notice_id", _ID, nullable=False),
        sa.Column("reference", sa.String(length=32), nullable=False),
        sa.Column("report", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("issued_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["notice_id"], ["notice_approvals.notice_id"]),
        sa.PrimaryKeyConstraint("notice_id"),
        sa.UniqueConstraint("reference"),
    )
    op.create_table(
        "notice_withdrawals",
        sa.Column("notice_id", _ID, nullable=False),
        sa.Column("reason", sa.String(length=2000), nullable=False),
        sa.Column("withdrawn_by", sa.String(length=64), nullable=False),
        sa.Column("withdrawn_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["notice_id"], ["notices.id"]),
        sa.PrimaryKeyConstraint("notice_id"),
    )
    op.create_table(
        "imported_labels",
        sa.Column("id", _ID, nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("content_sha256", sa.String(length=64), nullable=False),
        sa.Column("labels", sa.JSON(), nullable=False),
        sa.Column("contexts", sa.JSON(), nullable=False),
        sa.Column("annotator", sa.String(length=64), nullable=False),
        sa.Column("labelled_at", sa.String(length=64), nullable=False),
        sa.Column("guideline", sa.String(length=32), nullable=False),
        sa.Column("is_gold", sa.Boolean(), nullable=False),
        sa.Column("platform", sa.String(length=64), nullable=False),
        sa.Column("channel_id", sa.String(length=256), nullable=False),
        sa.Column("origin", sa.String(length=256), nullable=False),
        sa.Column("imported_by", sa.String(length=64), nullable=False),
        sa.Column("imported_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["content_sha256"], ["contents.sha256"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("source"),
    )
    op.create_index("ix_imported_labels_content_sha256", "imported_labels", ["content_sha256"])
    if op.get_bind().dialect.name == "postgresql":
        _guard_postgresql()
    else:
        _guard_sqlite()


def downgrade() -> None:
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    for table in REPLACED_BEFORE:
        name = f"{table}_no_truncate ON {table}" if is_postgresql else f"{table}_no_replace"
        op.execute(f"DROP TRIGGER {name}")
    op.drop_table("imported_labels")
    for table in reversed(SAME):  # triggers go with their table
        op.drop_table(table)
    if is_postgresql:
        for table in INSERTS:
            op.execute(f"DROP FUNCTION refuse_{table}()")


def _guard_postgresql() -> None:
    for table in SAME:
        op.execute(
            f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        )
    for table in (*SAME, *REPLACED_BEFORE):
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )
    for table, (condition, words) in INSERTS.items():
        op.execute(
            f"CREATE FUNCTION refuse_{table}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN IF {condition} THEN RAISE EXCEPTION '{words}'; END IF; RETURN NEW; END $$"
        )
        op.execute(
            f"CREATE TRIGGER {table}_guard BEFORE INSERT ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION refuse_{table}()"
        )


def _guard_sqlite() -> None:
    body = "BEGIN SELECT RAISE(ABORT, 'append-only'); END"
    for table in SAME:
        for change in ("UPDATE", "DELETE"):
            name = f"{table}_no_{change.lower()}"
            op.execute(f"CREATE TRIGGER {name} BEFORE {change} ON {table} {body}")
    for table, same in (SAME | REPLACED_BEFORE).items():
        op.execute(
            f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
            f"WHEN EXISTS ({same}) {body}"
        )
    for table, (condition, words) in INSERTS.items():
        op.execute(
            f"CREATE TRIGGER {table}_guard BEFORE INSERT ON {table} WHEN {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{words}'); END"
        )
