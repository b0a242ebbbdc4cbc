"""The rules of notices: draft, approve, withdraw, hand out.

::

    draft ──approve──► approved
      └──withdraw──► withdrawn ◄──withdraw──┘

A notice is drafted from closed cases that at least two people found to violate. A person approves
it who neither drafted it nor ever reviewed one of its cases; the database refuses any other. What
was issued is never changed. Every function works inside the caller's transaction, locks first and
writes the audit chain last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from service import audit
from service.auth import Permission, Principal
from service.cases.states import State
from service.errors import Conflict, Forbidden, NotFound, Unprocessable
from service.notices import report, repository
from service.notices.report import Content, Finding, Subject
from service.notices.repository import Whole
from service.settings import Settings
from service.tables import (
    Case,
    IssuedNotice,
    Notice,
    NoticeApproval,
    NoticeItem,
    NoticeWithdrawal,
    PostRow,
    Review,
)

MAX_CASES = 200
PERSON = "person:"


@dataclass(frozen=True, slots=True)
class Selection:
    """What a notice is to be about: cases by id, or all unreported ones of a channel or account."""

    cases: Sequence[int] = ()
    platform: str = ""
    scope: str = ""
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Drafted:
    """A draft, and the channel's or account's cases that cannot be reported yet."""

    whole: Whole
    left_out: Sequence[int]


@dataclass(frozen=True, slots=True)
class Unnoticed:
    """A case's posts that no notice in force has: all, and those that have a link."""

    posts: Sequence[PostRow]
    linked: Sequence[PostRow]


def draft(
    session: Session,
    who: Principal,
    selection: Selection,
    settings: Settings,
    name_of: Callable[[str], str],
    at: datetime,
) -> Drafted:
    """A new draft; ``name_of`` gives people their pseudonyms.

    Cases that were named must all be fit to be reported; of a channel's or an account's, those that
    are not are left out.

    Raises
    ------
    NotFound
        A case that there is not.
    Conflict
        A case that may not be reported, or nothing that can be; or no flagger is configured.
    Unprocessable
        Cases of several channels and several accounts.
    """
    issuer = _issuer(settings)
    ids = selection.cases or _cases_of(session, selection)
    cases = repository.lock_cases(session, ids)
    reviews = repository.reviews_by_case(session, list(cases.values()))
    posts = _linked_posts(session, cases, selection)
    fit: list[int] = []
    for place, number in enumerate(ids):
        case = cases.get(number)
        if case is None or case.kind == "gold":
            raise NotFound(f"there is no case {number}")
        fault = _fault(case, reviews[number], posts[number], at)
        if fault is None:
            fit.append(number)
        elif selection.cases:
            raise Conflict(f"case {number} {fault}", pointer=f"/cases/{place}")
    if not fit:
        raise Conflict(f"none of the {selection.scope}'s {len(ids)} cases can be reported yet")
    scores = repository.scores_of(session, list(cases.values()))
    findings = [
        Finding(post, cases[number], scores.get(number), reviews[number])
        for number in sorted(fit)
        for post in posts[number].linked
    ]
    subject = _subject_of([finding.post for finding in findings], selection)
    content = report.draft_content(
        subject, findings, issuer=issuer, drafter=who.id, name_of=name_of, at=at
    )
    notice = Notice(
        platform=subject.platform,
        scope=subject.scope,
        subject=subject.id,
        content=report.canonical(content),
        drafted_by=who.id,
        drafted_at=at,
    )
    session.add(notice)
    session.flush()
    session.add_all(
        NoticeItem(
            notice_id=notice.id,
            post_id=finding.post.id,
            case_id=finding.case.id,
            cycle=finding.case.cycle,
        )
        for finding in findings
    )
    left_out = sorted(set(ids) - set(fit))
    detail = {"cases": sorted(fit), "items": len(findings), "left_out": left_out}
    audit.append(session, who.id, "notice.draft", f"notice:{notice.id}", detail)
    return Drafted(Whole(notice, None, None, None), left_out)


def approve(
    session: Session,
    who: Principal,
    notice_id: int,
    name_of: Callable[[str], str],
    at: datetime,
) -> Whole:
    """Issue a draft: from now on it is a report, and its deadline runs.

    Raises
    ------
    Forbidden
        An API key asks, the drafter, or somebody who reviewed one of its cases.
    Conflict
        It is no draft any more, or one of its cases was reopened since.
    """
    who.require(Permission.APPROVE)
    if not who.id.startswith(PERSON):
        raise Forbidden("a notice is approved by a person who is signed in, not with an API key")
    whole = _locked(session, notice_id)
    notice = whole.notice
    if whole.state != "draft":
        raise Conflict(f"notice {notice_id} is {whole.state}; only a draft can be approved")
    if notice.drafted_by == who.id:
        raise Forbidden("you drafted this notice; another person approves it")
    if repository.took_part(session, notice_id, who.id):
        raise Forbidden("you reviewed a case of this notice; another person approves it")
    _check_still_decided(session, notice_id)
    content = json.loads(notice.content)
    reference = f"PNP-{at.year}-{notice.id:06d}"
    issued = report.issued_report(content, reference=reference, approver=name_of(who.id), at=at)
    canonical = report.canonical(issued)
    approval = NoticeApproval(notice_id=notice_id, approved_by=who.id, approved_at=at)
    session.add(approval)
    session.flush()
    row = IssuedNotice(
        notice_id=notice_id,
        reference=reference,
        report=canonical,
        sha256=report.sha256_of(canonical),
        issued_at=at,
        due_at=at + timedelta(hours=content["deadline"]["hours"]),
    )
    session.add(row)
    session.flush()
    detail = {"reference": reference, "sha256": row.sha256}
    audit.append(session, who.id, "notice.approve", f"notice:{notice_id}", detail)
    return Whole(notice, approval, row, None)


def withdraw(session: Session, who: Principal, notice_id: int, reason: str, at: datetime) -> Whole:
    """Take a notice back: a draft by its drafter, any by an approver. Its posts can be reported
    again."""
    whole = _locked(session, notice_id)
    is_own_draft = whole.state == "draft" and whole.notice.drafted_by == who.id
    if not (is_own_draft or who.may(Permission.APPROVE)):
        if not may_read(who, whole):
            raise NotFound(f"there is no notice {notice_id}")
        raise Forbidden("a notice is withdrawn by an approver, or as a draft by its drafter")
    if whole.state == "withdrawn":
        raise Conflict(f"notice {notice_id} was withdrawn before")
    withdrawal = NoticeWithdrawal(
        notice_id=notice_id, reason=reason, withdrawn_by=who.id, withdrawn_at=at
    )
    session.add(withdrawal)
    session.flush()
    detail = {"reason": reason, "was": whole.state}
    audit.append(session, who.id, "notice.withdraw", f"notice:{notice_id}", detail)
    return Whole(whole.notice, whole.approval, whole.issued, withdrawal)


def readable_notice(session: Session, who: Principal, notice_id: int) -> Whole:
    """A notice for somebody who reads everything, or drafted it.

    Raises
    ------
    NotFound
        There is none, or none for them.
    """
    whole = repository.get_notice(session, notice_id)
    if whole is None or not may_read(who, whole):
        raise NotFound(f"there is no notice {notice_id}")
    return whole


def may_read(who: Principal, whole: Whole) -> bool:
    return who.may(Permission.READ_ALL) or whole.notice.drafted_by == who.id


def hand_out(session: Session, actor: str, whole: Whole, shape: str) -> Content:
    """The issued report with its SHA-256, once it is on record who took it.

    Raises
    ------
    Conflict
        It is not approved, or was withdrawn: there is no report to hand out.
    """
    notice_id, issued = whole.notice.id, whole.issued
    if issued is None or whole.withdrawal is not None:
        state = "withdrawn" if whole.withdrawal else "a draft"
        raise Conflict(
            f"notice {notice_id} is {state}; its report is handed out once another person has "
            "approved it, and until it is withdrawn"
        )
    if report.sha256_of(issued.report) != issued.sha256:
        raise Conflict(f"the report of notice {notice_id} was changed after it was issued")
    detail = {"format": shape, "sha256": issued.sha256}
    audit.append(session, actor, "notice.export", f"notice:{notice_id}", detail)
    content: Content = json.loads(issued.report)
    return content | {"sha256": issued.sha256}


def _issuer(settings: Settings) -> dict[str, str]:
    name, email = settings.flagger_name, settings.flagger_email
    if name is None or email is None:
        raise Conflict(
            "a notice names who sends it; set PENAPISAN_FLAGGER_NAME and PENAPISAN_FLAGGER_EMAIL"
        )
    return {"name": name, "email": email}


def _cases_of(session: Session, selection: Selection) -> Sequence[int]:
    where = (selection.platform, selection.scope, selection.subject)
    ids = repository.violating_cases(session, *where, MAX_CASES + 1)
    if not ids:
        raise Conflict(
            f"the {selection.scope} has no closed, violating case that is not in a notice already"
        )
    if len(ids) > MAX_CASES:
        raise Conflict(
            f"the {selection.scope} has more than {MAX_CASES} cases to report; name them by id, "
            f"up to {MAX_CASES} a notice"
        )
    return ids


def _linked_posts(
    session: Session, cases: Mapping[int, Case], selection: Selection
) -> dict[int, Unnoticed]:
    """What of each case can be reported."""
    found: dict[int, list[PostRow]] = {number: [] for number in cases}
    for case, post in repository.unnoticed_posts(session, list(cases.values())):
        if selection.scope != "account" or post.author_id == selection.subject:
            found[case.id].append(post)
    return {
        number: Unnoticed(posts, [post for post in posts if report.link_of(post) is not None])
        for number, posts in found.items()
    }


def _fault(case: Case, reviews: Sequence[Review], posts: Unnoticed, at: datetime) -> str | None:
    """Why a case cannot be reported; ``None`` where it can."""
    faults = (
        (case.kind != "content", f"is of kind '{case.kind}'; name the cases of its posts"),
        (case.state != State.CLOSED, "is not closed"),
        (not case.is_violating, "was closed as lawful"),
        (
            case.not_before is not None and case.not_before > at,
            "was decided in bulk and can still be undone; try again in a minute",
        ),
        (len({review.reviewer for review in reviews}) < 2, "was decided by one person, not two"),
        (
            # Whoever holds a key may also sign in: only people are surely different.
            any(not review.reviewer.startswith(PERSON) for review in reviews),
            "was decided with an API key; a notice needs people who had signed in",
        ),
        (not posts.posts, "is in a notice already"),
        (not posts.linked, "has no post with a link, without which no platform finds it"),
    )
    return next((words for is_at_fault, words in faults if is_at_fault), None)


def _subject_of(posts: Sequence[PostRow], selection: Selection) -> Subject:
    """One platform, and one channel or else one account."""
    channels = {(post.platform, post.channel_id) for post in posts}
    authors = {(post.platform, post.author_id) for post in posts}
    if selection.scope != "account" and len(channels) == 1 and posts[0].channel_id:
        names = [post.channel_name for post in posts if post.channel_name]
        return Subject(
            posts[0].platform, "channel", posts[0].channel_id, names[-1] if names else None
        )
    if len(authors) == 1 and posts[0].author_id:
        names = [post.author_name for post in posts if post.author_name]
        return Subject(
            posts[0].platform, "account", posts[0].author_id, names[-1] if names else None
        )
    raise Unprocessable(
        "the cases are of several channels and accounts; a notice is about one of either",
        pointer="/cases",
    )


def _check_still_decided(session: Session, notice_id: int) -> None:
    items = repository.items_of(session, notice_id)
    cases = repository.lock_cases(session, sorted({item.case_id for item in items}))
    for item in items:
        case = cases[item.case_id]
        if case.state != State.CLOSED or not case.is_violating or case.cycle != item.cycle:
            raise Conflict(
                f"case {case.id} was reopened since the draft; withdraw it and draft it again"
            )


def _locked(session: Session, notice_id: int) -> Whole:
    whole = repository.lock_notice(session, notice_id)
    if whole is None:
        raise NotFound(f"there is no notice {notice_id}")
    return whole
