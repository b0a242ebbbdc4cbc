"""Every table. Contents are stored once per SHA-256; posts, scores and cases point at them."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db import Base, UtcDateTime

Id = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts rows of INTEGER keys only."""

Sha256 = String(64)


class Content(Base):
    """A text, once, however often it is posted; ``sealed`` is ``None`` once it was purged."""

    __tablename__ = "contents"

    sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    characters: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_seen_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    purged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class PostRow(Base):
    """A submitted post: content, and where, when and by whom it was posted."""

    __tablename__ = "posts"
    __table_args__ = (
        # '' where a source gives no channel, so that a repeat is a repeat.
        UniqueConstraint("platform", "channel_id", "message_id", "content_sha256"),
        Index("posts_by_author", "platform", "author_id"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    platform: Mapped[str] = mapped_column(String(64))
    channel_id: Mapped[str] = mapped_column(String(256))
    channel_name: Mapped[str | None] = mapped_column(String(512))
    message_id: Mapped[str] = mapped_column(String(256))
    content_sha256: Mapped[str] = mapped_column(ForeignKey("contents.sha256"), index=True)
    posted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    author_id: Mapped[str | None] = mapped_column(String(256))
    author_name: Mapped[str | None] = mapped_column(String(512))
    forwarded_from: Mapped[str | None] = mapped_column(String(512))
    permalink: Mapped[str | None] = mapped_column(String(2048))
    views: Mapped[int | None] = mapped_column(BigInteger)
    submitted_by: Mapped[str] = mapped_column(String(64))
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)


class ScoreRow(Base):
    """What a release gave a content, with the policy's proposal."""

    __tablename__ = "scores"

    content_sha256: Mapped[str] = mapped_column(ForeignKey("contents.sha256"), primary_key=True)
    release: Mapped[str] = mapped_column(String(128), primary_key=True)
    band: Mapped[str] = mapped_column(String(16), index=True)
    decided_by: Mapped[str] = mapped_column(String(32))
    threshold: Mapped[float]
    policy: Mapped[str] = mapped_column(String(128))
    terrorism: Mapped[float]
    labels: Mapped[dict[str, float]] = mapped_column(JSON)
    contexts: Mapped[dict[str, float]] = mapped_column(JSON)
    windows: Mapped[int]
    truncated: Mapped[bool]
    scored_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Answered(Base):
    """An answer kept for its ``Idempotency-Key``, so that a repeated request changes nothing."""

    __tablename__ = "answered_requests"

    principal: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(256), primary_key=True)
    request_sha256: Mapped[str] = mapped_column(Sha256)
    answer: Mapped[dict[str, Any]] = mapped_column(JSON)
    answered_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class Person(Base):
    """Someone who signs in: with a password, or as the ``subject`` of the OpenID provider.

    ``provider_name`` is by what name the provider's first sign-in finds them.
    """

    __tablename__ = "people"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(128), unique=True)
    role: Mapped[str] = mapped_column(String(32))
    password_hash: Mapped[str | None] = mapped_column(String(256))
    subject: Mapped[str | None] = mapped_column(String(512), unique=True)
    provider_name: Mapped[str | None] = mapped_column(String(256), index=True, unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SessionRow(Base):
    """A signed-in browser; only a hash of its cookie is kept."""

    __tablename__ = "sessions"

    token_sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), index=True)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)


class ApiKey(Base):
    """A program's key; only its hash is kept, and it is shown once.

    ``scopes`` are those of its role's permissions that it has; all of them where it is ``None``.
    """

    __tablename__ = "api_keys"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(128))
    key_sha256: Mapped[str] = mapped_column(Sha256, unique=True)
    role: Mapped[str] = mapped_column(String(32))
    scopes: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    per_minute: Mapped[int | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    expires_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class AuditEntry(Base):
    """One link of the audit chain; see ``service.audit``."""

    __tablename__ = "audit_entries"

    sequence: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(256), index=True)
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    previous: Mapped[str] = mapped_column(Sha256)
    sha256: Mapped[str] = mapped_column(Sha256)


class Case(Base):
    """Something to be decided, and its place in the queue.

    ``kind`` is ``content`` (``subject``: the content's SHA-256), ``account`` or ``channel``
    (``subject``: its id), or ``gold``, shown as content (``subject``: SHA-256 and reviewer).
    ``fence`` grows with every claim: a decision that carries an older one comes from someone
    whose claim has ended. ``cycle`` grows when a case is reopened. ``not_before`` keeps a case
    out of the queue while the decision that put it there can be undone.
    """

    __tablename__ = "cases"
    __table_args__ = (
        UniqueConstraint("kind", "platform", "channel_id", "subject"),
        Index("cases_by_state", "state"),
        # The queue is read from its end and is short beside what was closed before.
        Index(
            "open_cases_by_priority",
            "priority",
            "id",
            sqlite_where=text("state <> 'closed'"),
            postgresql_where=text("state <> 'closed'"),
        ),
        CheckConstraint("priority >= 0", name="priority_is_not_negative"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    platform: Mapped[str] = mapped_column(String(64))
    channel_id: Mapped[str] = mapped_column(String(256))
    subject: Mapped[str] = mapped_column(String(512))
    content_sha256: Mapped[str | None] = mapped_column(ForeignKey("contents.sha256"), index=True)
    cluster: Mapped[int | None] = mapped_column(Id, index=True)
    state: Mapped[str] = mapped_column(String(32))
    band: Mapped[str] = mapped_column(String(16))
    label: Mapped[str] = mapped_column(String(32))
    probability: Mapped[float]
    labels: Mapped[dict[str, float]] = mapped_column(JSON)
    release: Mapped[str] = mapped_column(String(128))
    priority: Mapped[float]
    reach: Mapped[int] = mapped_column(BigInteger, default=1)
    posted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    came_by: Mapped[str] = mapped_column(String(32), index=True)
    sampling_probability: Mapped[float] = mapped_column(default=1.0)
    not_before: Mapped[datetime | None] = mapped_column(UtcDateTime)
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    changed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    is_violating: Mapped[bool | None]
    holder: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fence: Mapped[int] = mapped_column(default=0)
    cycle: Mapped[int] = mapped_column(default=1)
    events: Mapped[int] = mapped_column(default=0)


class CasePost(Base):
    """A post that belongs to a case: the first, a repeat, or a near-duplicate."""

    __tablename__ = "case_posts"

    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"), primary_key=True, index=True)
    similarity: Mapped[float]


class CaseEvent(Base):
    """What happened to a case; never changed, never removed."""

    __tablename__ = "case_events"

    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    actor: Mapped[str] = mapped_column(String(64))
    event: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str | None] = mapped_column(String(2000))
    release: Mapped[str | None] = mapped_column(String(128))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)


class Review(Base):
    """A named person's ruling on a case; outranks any score. Never changed, only undone.

    ``round`` is 1, 2 (blind second review) or 3 (a senior's settlement) of the case's ``cycle``.
    ``labels`` answers ``yes``, ``no`` or ``unknown``; ``batch`` ties decisions made in bulk.
    """

    __tablename__ = "reviews"
    __table_args__ = (
        Index(
            "one_standing_review_a_round",
            "case_id",
            "cycle",
            "round",
            unique=True,
            sqlite_where=text("undone_at IS NULL"),
            postgresql_where=text("undone_at IS NULL"),
        ),
        Index(
            "one_standing_review_a_person",
            "case_id",
            "reviewer",
            unique=True,
            sqlite_where=text("undone_at IS NULL"),
            postgresql_where=text("undone_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    reviewer: Mapped[str] = mapped_column(String(64), index=True)
    cycle: Mapped[int]
    round: Mapped[int]
    labels: Mapped[dict[str, str]] = mapped_column(JSON)
    context: Mapped[str | None] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(String(32))
    note: Mapped[str] = mapped_column(String(2000), default="")
    is_violating: Mapped[bool]
    guideline: Mapped[str] = mapped_column(String(32))
    release: Mapped[str] = mapped_column(String(128))
    came_by: Mapped[str] = mapped_column(String(32))
    sampling_probability: Mapped[float]
    batch: Mapped[str | None] = mapped_column(String(32), index=True)
    made_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Signature(Base):
    """A content's MinHash, by which near-duplicates of cases are found."""

    __tablename__ = "signatures"

    content_sha256: Mapped[str] = mapped_column(ForeignKey("contents.sha256"), primary_key=True)
    values: Mapped[bytes] = mapped_column(LargeBinary)


class SignatureBand(Base):
    """One band of a signature: contents that share any band may be near-duplicates."""

    __tablename__ = "signature_bands"

    band: Mapped[str] = mapped_column(String(40), primary_key=True)
    content_sha256: Mapped[str] = mapped_column(
        ForeignKey("contents.sha256"), primary_key=True, index=True
    )


class GoldItem(Base):
    """A content whose right answer is known, slipped into queues to measure reviewers."""

    __tablename__ = "gold_items"

    content_sha256: Mapped[str] = mapped_column(ForeignKey("contents.sha256"), primary_key=True)
    platform: Mapped[str] = mapped_column(String(64))
    channel_id: Mapped[str] = mapped_column(String(256))
    scores: Mapped[dict[str, float]] = mapped_column(JSON)
    labels: Mapped[dict[str, str]] = mapped_column(JSON)
    context: Mapped[str | None] = mapped_column(String(32))
    is_violating: Mapped[bool]
    made_by: Mapped[str] = mapped_column(String(64))
    made_at: Mapped[datetime] = mapped_column(UtcDateTime)
    retired_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Exposure(Base):
    """A text shown to a reviewer, counted against the limits of a shift."""

    __tablename__ = "exposures"
    __table_args__ = (Index("exposures_by_reviewer", "reviewer", "at"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    reviewer: Mapped[str] = mapped_column(String(64))
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"))
    at: Mapped[datetime] = mapped_column(UtcDateTime)


class Pause(Base):
    """A reviewer's pause. One cut short names who did it and why."""

    __tablename__ = "pauses"
    __table_args__ = (
        CheckConstraint(
            "skipped_at IS NULL OR skip_reason IS NOT NULL", name="a_skip_names_its_reason"
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    reviewer: Mapped[str] = mapped_column(String(64), index=True)
    begins_at: Mapped[datetime] = mapped_column(UtcDateTime)
    until: Mapped[datetime] = mapped_column(UtcDateTime)
    skipped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    skip_reason: Mapped[str | None] = mapped_column(String(2000))


class Job(Base):
    """Work in the background, such as an uploaded export; taken up again after a restart.

    ``fence`` grows with every run: what a former holder would still write is refused.
    ``parts`` of its posts are stored; ``attempts`` counts the runs since the last of them.
    ``report`` holds what the reader skipped, repaired and noted.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16), index=True)
    principal: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(256))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
    report: Mapped[dict[str, Any]] = mapped_column(JSON)
    release: Mapped[str | None] = mapped_column(String(128))
    parts: Mapped[int] = mapped_column(default=0)
    posts: Mapped[int] = mapped_column(BigInteger, default=0)
    hits: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_total: Mapped[int] = mapped_column(BigInteger, default=0)
    bytes_read: Mapped[int] = mapped_column(BigInteger, default=0)
    error: Mapped[str | None] = mapped_column(String(2000))
    error_status: Mapped[int | None]
    holder: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    fence: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    purged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SignInLink(Base):
    """A link that signs a person in once; only its hash is kept."""

    __tablename__ = "sign_in_links"

    token_sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)
    used_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class SignInFlow(Base):
    """A sign-in that a browser began at the OpenID provider: state, nonce and code verifier."""

    __tablename__ = "sign_in_flows"

    token_sha256: Mapped[str] = mapped_column(Sha256, primary_key=True)
    data: Mapped[dict[str, Any]] = mapped_column(JSON)
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class RateWindow(Base):
    """Requests counted in the window ``number`` (of equal ones since 1970) and the one before."""

    __tablename__ = "rate_windows"

    key: Mapped[str] = mapped_column(String(256), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    current: Mapped[int]
    previous: Mapped[int]
    expires_at: Mapped[datetime] = mapped_column(UtcDateTime)


class LegalHold(Base):
    """Evidence under legal hold: what holds it, since when, and by whom."""

    __tablename__ = "legal_holds"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    content_sha256: Mapped[str] = mapped_column(ForeignKey("contents.sha256"), index=True)
    reason: Mapped[str] = mapped_column(String(2000))
    placed_by: Mapped[str] = mapped_column(String(64))
    placed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lifted_by: Mapped[str | None] = mapped_column(String(64))
    lifted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Notice(Base):
    """A trusted-flagger report as it was drafted. It and the four tables below are append-only: a
    notice is approved once it has an ``IssuedNotice``, and withdrawn once it has a
    ``NoticeWithdrawal``.

    ``scope`` is ``channel`` or ``account``, ``subject`` its id; ``content`` is canonical JSON.
    """

    __tablename__ = "notices"
    __table_args__ = (Index("notices_by_subject", "platform", "scope", "subject"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    platform: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(256))
    content: Mapped[str] = mapped_column(Text)
    drafted_by: Mapped[str] = mapped_column(String(64))
    drafted_at: Mapped[datetime] = mapped_column(UtcDateTime)


class NoticeItem(Base):
    """A post that a notice is about, and the case, at its ``cycle``, that found it to violate."""

    __tablename__ = "notice_items"

    notice_id: Mapped[int] = mapped_column(ForeignKey("notices.id"), primary_key=True)
    post_id: Mapped[int] = mapped_column(ForeignKey("posts.id"), primary_key=True, index=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("cases.id"), index=True)
    cycle: Mapped[int]


class NoticeApproval(Base):
    """The approval of a notice by a person who neither drafted it nor reviewed a case of it; a
    trigger refuses any other."""

    __tablename__ = "notice_approvals"
    __table_args__ = (CheckConstraint("approved_by LIKE 'person:%'", name="a_person_approves"),)

    notice_id: Mapped[int] = mapped_column(ForeignKey("notices.id"), primary_key=True)
    approved_by: Mapped[str] = mapped_column(String(64))
    approved_at: Mapped[datetime] = mapped_column(UtcDateTime)


class IssuedNotice(Base):
    """The report that goes out: canonical JSON (RFC 8785) and its SHA-256. There is none without an
    approval by another person; a trigger sees to it."""

    __tablename__ = "issued_notices"

    notice_id: Mapped[int] = mapped_column(
        ForeignKey("notice_approvals.notice_id"), primary_key=True
    )
    reference: Mapped[str] = mapped_column(String(32), unique=True)
    report: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(Sha256)
    issued_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)


class NoticeWithdrawal(Base):
    """A notice taken back, by whom and why; it can be neither approved nor handed out again."""

    __tablename__ = "notice_withdrawals"

    notice_id: Mapped[int] = mapped_column(ForeignKey("notices.id"), primary_key=True)
    reason: Mapped[str] = mapped_column(String(2000))
    withdrawn_by: Mapped[str] = mapped_column(String(64))
    withdrawn_at: Mapped[datetime] = mapped_column(UtcDateTime)


# The triggers of these tables read others, which a restore has to fill before.
for _later, _earlier in (
    (NoticeApproval, NoticeItem),
    (NoticeApproval, Review),
    (NoticeWithdrawal, IssuedNotice),
):
    cast(Table, _later.__table__).add_is_dependent_on(cast(Table, _earlier.__table__))


class ImportedLabel(Base):
    """What somebody answered about a text outside Penapisan; never changed.

    ``source`` says where the answer was given and tells repeats, as a SHA-256; ``annotator`` is a
    pseudonym. ``labels`` and ``contexts`` answer ``yes``, ``no`` or ``unknown``.
    """

    __tablename__ = "imported_labels"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    source: Mapped[str] = mapped_column(Sha256, unique=True)
    content_sha256: Mapped[str] = mapped_column(ForeignKey("contents.sha256"), index=True)
    labels: Mapped[dict[str, str]] = mapped_column(JSON)
    contexts: Mapped[dict[str, str]] = mapped_column(JSON)
    annotator: Mapped[str] = mapped_column(String(64))
    labelled_at: Mapped[str] = mapped_column(String(64))
    guideline: Mapped[str] = mapped_column(String(32))
    is_gold: Mapped[bool]
    platform: Mapped[str] = mapped_column(String(64))
    channel_id: Mapped[str] = mapped_column(String(256))
    origin: Mapped[str] = mapped_column(String(256))
    imported_by: Mapped[str] = mapped_column(String(64))
    imported_at: Mapped[datetime] = mapped_column(UtcDateTime)
