"""What the notice endpoints read and answer."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from service.notices.repository import Whole
from service.notices.service import MAX_CASES, Drafted, Selection

NoticeId = Annotated[int, Path(ge=1, le=2**53, description="The notice's number")]
NoticeState = Literal["draft", "approved", "withdrawn"]
Shape = Literal["json", "csv", "html"]


def _each_once(ids: list[int]) -> list[int]:
    if len(set(ids)) != len(ids):
        raise ValueError("names a case twice")
    return ids


Subject = Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]


class NoticeIn(BaseModel):
    """What to report: cases by id, or all unreported cases of a channel or an account."""

    model_config = ConfigDict(extra="forbid")

    cases: (
        Annotated[
            list[Annotated[int, Field(ge=1, le=2**53)]],
            Field(min_length=1, max_length=MAX_CASES, json_schema_extra={"uniqueItems": True}),
            AfterValidator(_each_once),
        ]
        | None
    ) = None
    platform: Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9_.-]+$")] | None = None
    channel_id: Subject | None = None
    account_id: Subject | None = None

    @model_validator(mode="after")
    def _is_one_selection(self) -> Self:
        given = [self.cases, self.channel_id, self.account_id]
        if sum(value is not None for value in given) != 1:
            raise ValueError("give one of 'cases', 'channel_id' and 'account_id'")
        if (self.cases is None) == (self.platform is None):
            raise ValueError(
                "'platform' goes with 'channel_id' or 'account_id', and only with them"
            )
        return self

    def selection(self) -> Selection:
        if self.cases is not None:
            return Selection(self.cases)
        if self.channel_id is not None:
            return Selection((), self.platform or "", "channel", self.channel_id)
        return Selection((), self.platform or "", "account", self.account_id or "")


class NoticeSummary(BaseModel):
    """Where a notice stands. ``reference``, ``sha256`` and ``due_at`` are null before approval."""

    id: int
    state: NoticeState
    platform: str
    scope: Literal["channel", "account"]
    subject: str
    items: int
    labels: list[str]
    deadline_class: Literal["urgent", "standard"]
    drafted_by: str
    drafted_at: datetime
    reference: str | None
    sha256: str | None
    approved_by: str | None
    approved_at: datetime | None
    due_at: datetime | None
    withdrawn_by: str | None
    withdrawn_at: datetime | None
    withdrawal_reason: str | None


class DraftedOut(NoticeSummary):
    """A new draft. ``left_out`` are cases of the channel or account that cannot be reported yet:
    their posts have no link, or their decision can still be undone."""

    left_out: list[int]


class NoticeOut(NoticeSummary):
    """A notice with what it says. It is no report: that is handed out once it is approved."""

    content: dict[str, Any]


def summary_of(whole: Whole) -> NoticeSummary:
    return NoticeSummary(**_fields(whole, json.loads(whole.notice.content)))


def drafted_of(drafted: Drafted) -> DraftedOut:
    whole = drafted.whole
    fields = _fields(whole, json.loads(whole.notice.content))
    return DraftedOut(**fields, left_out=list(drafted.left_out))


def notice_of(whole: Whole) -> NoticeOut:
    content = json.loads(whole.notice.content)
    return NoticeOut(**_fields(whole, content), content=content)


def _fields(whole: Whole, content: dict[str, Any]) -> dict[str, Any]:
    notice, approval = whole.notice, whole.approval
    issued, withdrawal = whole.issued, whole.withdrawal
    return {
        "id": notice.id,
        "state": whole.state,
        "platform": notice.platform,
        "scope": notice.scope,
        "subject": notice.subject,
        "items": len(content["items"]),
        "labels": content["labels"],
        "deadline_class": content["deadline"]["class"],
        "drafted_by": notice.drafted_by,
        "drafted_at": notice.drafted_at,
        "reference": issued and issued.reference,
        "sha256": issued and issued.sha256,
        "approved_by": approval and approval.approved_by,
        "approved_at": approval and approval.approved_at,
        "due_at": issued and issued.due_at,
        "withdrawn_by": withdrawal and withdrawal.withdrawn_by,
        "withdrawn_at": withdrawal and withdrawal.withdrawn_at,
        "withdrawal_reason": withdrawal and withdrawal.reason,
    }
