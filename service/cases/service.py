"""The rules of the review queue: claim, decide, settle, reopen.

Every function works inside the caller's transaction, locks the cases first and writes the audit
chain last.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from screening.taxonomy import CONTEXT_IDS, GUIDELINE_VERSION, LABEL_IDS
from service import audit
from service.auth import Permission, Principal
from service.cases import exposure, repository
from service.cases.events import SYSTEM, note, take_step
from service.cases.opening import Opened, Stored, open_cases
from service.cases.states import HELD, State, Step, priority
from service.errors import Conflict, Forbidden, NotFound, Unprocessable
from service.settings import Settings
from service.tables import Case, CasePost, GoldItem, Review

__all__ = ["Opened", "Ruling", "Stored", "claim", "decide", "open_cases"]

ANSWERS = ("yes", "no", "unknown")
REASONS = (*LABEL_IDS, *CONTEXT_IDS, "none")
UNDO_SECONDS = 60
SAMPLES_FIRST = 3
"""Texts of a cluster that are opened before it may be decided in bulk (all, if it has fewer)."""
MAX_HELD = 20

_draw = random.SystemRandom().random


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a person answers: each label, the reason that decides, what makes it lawful, a note.

    ``reason`` is a label answered *yes* where the post violates, else a context or ``none``.
    """

    labels: Mapping[str, str]
    reason: str
    context: str | None = None
    note: str = ""

    @property
    def is_violating(self) -> bool:
        return "yes" in self.labels.values()

    @property
    def held(self) -> frozenset[str]:
        """The labels that hold."""
        return frozenset(label for label, answer in self.labels.items() if answer == "yes")

    def check(self) -> None:
        """Raise ``Unprocessable``, naming the field, where the ruling contradicts the taxonomy."""
        for label, answer in self.labels.items():
            if label not in LABEL_IDS or answer not in ANSWERS:
                raise Unprocessable(
                    f"'labels' takes {', '.join(LABEL_IDS)} with yes, no or unknown",
                    pointer="/labels",
                )
        if self.context is not None and self.context not in CONTEXT_IDS:
            raise Unprocessable(f"'context' is one of {', '.join(CONTEXT_IDS)}", pointer="/context")
        fitting = sorted(self.held) if self.is_violating else [*CONTEXT_IDS, "none"]
        if self.reason not in fitting:
            raise Unprocessable(
                f"'reason' for these labels is one of {', '.join(fitting)}", pointer="/reason"
            )


def claim(
    session: Session,
    who: Principal,
    settings: Settings,
    *,
    draw: Callable[[], float] = _draw,
    at: datetime,
) -> Case | None:
    """The next case for somebody, theirs for ``lease_seconds``; ``None`` from an empty queue.

    Raises
    ------
    Conflict
        They are on a pause, have seen enough for a shift, or hold too many cases.
    """
    exposure.check(session, who.id, settings, at)
    if len(repository.held_by(session, who.id, at)) >= MAX_HELD:
        raise Conflict(f"you hold {MAX_HELD} cases; decide or release one first")
    case = _next_gold(session, who.id, settings, draw, at)
    if case is None:
        case = repository.next_case(session, who.id, at)
    if case is None:
        return None
    if case.state in HELD:
        _return_expired(session, case, at)
    take_step(session, case, Step.CLAIM, who.id, at, detail={"fence": case.fence + 1})
    case.fence += 1
    case.holder, case.not_before = who.id, None
    case.lease_until = at + timedelta(seconds=settings.lease_seconds)
    exposure.record(session, who.id, case.id, settings, at)
    audit.append(session, who.id, "case.claim", f"case:{case.id}", {"fence": case.fence})
    return case


def renew(
    session: Session, who: Principal, case_id: int, fence: int, settings: Settings, at: datetime
) -> Case:
    """The lease starts anew."""
    case = _held_case(session, who, case_id, fence, at)
    case.lease_until = at + timedelta(seconds=settings.lease_seconds)
    audit.append(session, who.id, "case.renew", f"case:{case.id}", {"fence": fence})
    return case


def release(
    session: Session, who: Principal, case_id: int, fence: int, reason: str, at: datetime
) -> Case:
    """Give a case back; the same person is not given it again."""
    case = _held_case(session, who, case_id, fence, at)
    take_step(session, case, Step.RELEASE, who.id, at, reason=reason)
    _let_go(case)
    audit.append(session, who.id, "case.release", f"case:{case.id}", {"fence": fence})
    return case


def decide(
    session: Session,
    who: Principal,
    case_id: int,
    fence: int,
    ruling: Ruling,
    settings: Settings,
    *,
    draw: Callable[[], float] = _draw,
    at: datetime,
) -> Case:
    """Record a holder's ruling: the first one closes the case or asks for a second, the second one
    closes it or, where the two differ, hands it to a senior.

    Raises
    ------
    Conflict
        The lease has ended or another one holds the case now; nothing was recorded.
    """
    ruling.check()
    case = _held_case(session, who, case_id, fence, at)
    _rule(session, case, who, ruling, settings, draw, at, batch=None)
    detail = {"fence": fence, "is_violating": ruling.is_violating}
    audit.append(session, who.id, "case.decide", f"case:{case.id}", detail)
    return case


def decide_cluster(
    session: Session,
    who: Principal,
    case_id: int,
    fence: int,
    ruling: Ruling,
    settings: Settings,
    *,
    draw: Callable[[], float] = _draw,
    at: datetime,
) -> tuple[str, list[int]]:
    """One ruling for a held case and all its near-duplicates that wait for the same round.

    Returns the batch, which ``undo`` takes back for 60 seconds, and the ids of its cases.

    Raises
    ------
    Conflict
        Fewer than ``SAMPLES_FIRST`` of the cluster's texts have been opened.
    """
    ruling.check()
    case = _held_case(session, who, case_id, fence, at)
    waiting = (State.NEW, State.REOPENED) if case.state == State.CLAIMED else (State.SECOND_REVIEW,)
    members = repository.free_members(session, case, who.id, waiting, at)
    seen = sum(exposure.has_seen(session, who.id, member.id) for member in [case, *members])
    needed = min(SAMPLES_FIRST, 1 + len(members))
    if seen < needed:
        raise Conflict(
            f"{seen} texts of the cluster were opened; open {needed} before deciding on all"
        )
    batch = secrets.token_hex(16)
    for member in members:
        take_step(session, member, Step.CLAIM, who.id, at, detail={"batch": batch})
        member.fence += 1
    for member in [case, *members]:
        _rule(session, member, who, ruling, settings, draw, at, batch=batch)
        member.not_before = at + timedelta(seconds=UNDO_SECONDS)
    ids = [case.id, *(member.id for member in members)]
    detail = {"cases": ids, "is_violating": ruling.is_violating, "fence": fence}
    audit.append(session, who.id, "case.decide_cluster", f"batch:{batch}", detail)
    return batch, ids


def cluster_members(session: Session, who: Principal, case: Case, at: datetime) -> Sequence[Case]:
    """The near-duplicates of a held case that wait for the same round, locked."""
    waiting = (State.NEW, State.REOPENED) if case.state == State.CLAIMED else (State.SECOND_REVIEW,)
    return repository.free_members(session, case, who.id, waiting, at)


def undo(session: Session, who: Principal, batch: str, at: datetime) -> list[int]:
    """Take a bulk decision back; its reviews stay on record as undone.

    Raises
    ------
    NotFound
        Nobody's, or somebody else's.
    Conflict
        60 seconds have passed.
    """
    reviews = repository.batch_reviews(session, batch)
    if not reviews or any(review.reviewer != who.id for review in reviews):
        raise NotFound("you have no such bulk decision to undo")
    if at - reviews[0].made_at >= timedelta(seconds=UNDO_SECONDS):
        raise Conflict(f"a bulk decision can be undone for {UNDO_SECONDS} seconds")
    for review in reviews:
        case = _locked(session, review.case_id)
        step = Step.UNDO if review.round == 1 else Step.UNDO_SECOND
        take_step(session, case, step, who.id, at, detail={"batch": batch})
        case.is_violating = case.closed_at = case.not_before = None
        review.undone_at = at
    ids = [review.case_id for review in reviews]
    audit.append(session, who.id, "case.undo", f"batch:{batch}", {"cases": ids})
    return ids


def settle(session: Session, who: Principal, case_id: int, ruling: Ruling, at: datetime) -> Case:
    """A senior's ruling on a case whose two reviews differ.

    Raises
    ------
    Forbidden
        The senior has reviewed the case, now or before it was reopened.
    """
    ruling.check()
    who.require(Permission.SETTLE)
    case = _locked(session, case_id)
    if repository.has_reviewed(session, case_id, who.id):
        raise Forbidden("a review of it is yours; another senior settles this case")
    take_step(session, case, Step.SETTLE, who.id, at, reason=ruling.reason)
    _add_review(session, case, who, ruling, 3, at, None)
    _close(case, ruling.is_violating, at)
    detail = {"is_violating": ruling.is_violating}
    audit.append(session, who.id, "case.settle", f"case:{case.id}", detail)
    return case


def reopen(
    session: Session, who: Principal, case_id: int, reason: str, *, is_appeal: bool, at: datetime
) -> Case:
    """Back to the queue, for people who have not reviewed it; an appeal says so on its reviews."""
    who.require(Permission.SETTLE)
    case = _locked(session, case_id)
    if case.kind == "gold":
        raise NotFound(f"there is no case {case_id}")
    case.cycle += 1
    take_step(
        session, case, Step.REOPEN, who.id, at, reason=reason, detail={"is_appeal": is_appeal}
    )
    case.is_violating = case.closed_at = None
    if is_appeal:
        case.came_by, case.sampling_probability = "appeal", 1.0
    detail = {"is_appeal": is_appeal}
    audit.append(session, who.id, "case.reopen", f"case:{case.id}", detail)
    return case


def make_gold(
    session: Session, who: Principal, case_id: int, ruling: Ruling, at: datetime
) -> GoldItem:
    """A closed case's content becomes a gold item, with the right answer as given."""
    ruling.check()
    who.require(Permission.SETTLE)
    case = _locked(session, case_id)
    if case.kind != "content" or case.state != State.CLOSED or case.content_sha256 is None:
        raise Conflict("a gold item is made of a closed case of one content")
    item = session.get(GoldItem, case.content_sha256)
    if item is None:
        item = GoldItem(content_sha256=case.content_sha256)
        session.add(item)
    item.platform, item.channel_id, item.scores = case.platform, case.channel_id, case.labels
    item.labels, item.context = dict(ruling.labels), ruling.context
    item.is_violating, item.made_by, item.made_at = ruling.is_violating, who.id, at
    item.retired_at = None
    session.flush()
    audit.append(session, who.id, "gold.make", f"case:{case.id}")
    return item


def rerank(session: Session, actor: str, at: datetime) -> int:
    """Bring the priorities of waiting cases up to date with their age; how many there are."""
    waiting = repository.waiting_cases(session)
    for case in waiting:
        case.priority = priority(case.labels, case.reach, case.posted_at, at)
    session.flush()
    audit.append(session, actor, "queue.rerank", "queue", {"cases": len(waiting)})
    return len(waiting)


def readable_case(session: Session, who: Principal, case_id: int, at: datetime) -> Case:
    """A case somebody may read: all with ``READ_ALL``, else those they hold.

    Raises
    ------
    NotFound
        The queue did not give it to them; the same as where there is none.
    """
    case = repository.get_case(session, case_id)
    if case is None or not (who.may(Permission.READ_ALL) or is_held_by(case, who.id, at)):
        raise NotFound(f"there is no case {case_id} that you hold")
    return case


def held_case(session: Session, who: Principal, case_id: int, at: datetime) -> Case:
    """A case somebody holds, locked; ``NotFound`` where they do not."""
    case = _locked(session, case_id)
    if not is_held_by(case, who.id, at):
        raise NotFound(f"there is no case {case_id} that you hold")
    return case


def sees_reviews(case: Case, who: Principal) -> bool:
    """Whether the reviews of a case may be shown: never to somebody who may yet review it."""
    if not who.may(Permission.READ_ALL):
        return False
    return not who.may(Permission.REVIEW) or case.state in {State.DISPUTED, State.CLOSED}


def is_held_by(case: Case, reviewer: str, at: datetime) -> bool:
    """Whether somebody's lease on a case runs."""
    is_held = case.state in HELD and case.holder == reviewer
    return is_held and case.lease_until is not None and case.lease_until > at


def _held_case(session: Session, who: Principal, case_id: int, fence: int, at: datetime) -> Case:
    case = _locked(session, case_id)
    if not is_held_by(case, who.id, at) or case.fence != fence:
        raise Conflict(
            f"you do not hold case {case_id} with fence {fence} any more; the lease has ended and "
            "the case may be another one's; nothing was recorded, claim the next"
        )
    return case


def _locked(session: Session, case_id: int) -> Case:
    case = repository.lock_case(session, case_id)
    if case is None:
        raise NotFound(f"there is no case {case_id}")
    return case


def _return_expired(session: Session, case: Case, at: datetime) -> None:
    detail = {"holder": case.holder, "fence": case.fence}
    take_step(session, case, Step.RELEASE, SYSTEM, at, reason="lease expired", detail=detail)
    _let_go(case)


def _let_go(case: Case) -> None:
    case.holder = case.lease_until = None


def _rule(
    session: Session,
    case: Case,
    who: Principal,
    ruling: Ruling,
    settings: Settings,
    draw: Callable[[], float],
    at: datetime,
    *,
    batch: str | None,
) -> None:
    """Apply a ruling to a claimed case."""
    if case.state == State.CLAIMED:
        _add_review(session, case, who, ruling, 1, at, batch)
        take_step(session, case, Step.DECIDE, who.id, at, reason=ruling.reason)
        if _needs_second(case, ruling, settings, draw):
            take_step(session, case, Step.ASK_SECOND, SYSTEM, at)
        else:
            take_step(session, case, Step.CLOSE, SYSTEM, at)
            _close(case, ruling.is_violating, at)
    else:
        (first,) = repository.standing_reviews(session, case)
        _add_review(session, case, who, ruling, 2, at, batch)
        if _agree(first, ruling):
            take_step(session, case, Step.CLOSE, who.id, at, reason=ruling.reason)
            _close(case, ruling.is_violating, at)
        else:
            take_step(session, case, Step.DISPUTE, who.id, at, reason=ruling.reason)
    _let_go(case)


def _needs_second(
    case: Case, ruling: Ruling, settings: Settings, draw: Callable[[], float]
) -> bool:
    """Everything that may go to a platform is seen by two, and a share of the rest."""
    if case.kind == "gold":
        return False
    return ruling.is_violating or draw() < settings.second_share


def _agree(first: Review, second: Ruling) -> bool:
    held = frozenset(label for label, answer in first.labels.items() if answer == "yes")
    return held == second.held


def _close(case: Case, is_violating: bool, at: datetime) -> None:
    case.is_violating, case.closed_at = is_violating, at


def _add_review(
    session: Session,
    case: Case,
    who: Principal,
    ruling: Ruling,
    number: int,
    at: datetime,
    batch: str | None,
) -> None:
    review = Review(
        case_id=case.id,
        reviewer=who.id,
        cycle=case.cycle,
        round=number,
        labels=dict(ruling.labels),
        context=ruling.context,
        reason=ruling.reason,
        note=ruling.note,
        is_violating=ruling.is_violating,
        guideline=GUIDELINE_VERSION,
        release=case.release,
        came_by=case.came_by,
        sampling_probability=case.sampling_probability,
        batch=batch,
        made_at=at,
    )
    session.add(review)
    session.flush()


def _next_gold(
    session: Session,
    reviewer: str,
    settings: Settings,
    draw: Callable[[], float],
    at: datetime,
) -> Case | None:
    """Now and then, a gold item the reviewer does not know, as a case of their own."""
    if draw() >= settings.gold_share:
        return None
    items: Sequence[GoldItem] = repository.unseen_gold(session, reviewer)
    if not items:
        return None
    item = items[int(draw() * len(items))]
    label, probability = max(item.scores.items(), key=lambda score: score[1])
    case = Case(
        kind="gold",
        platform=item.platform,
        channel_id=item.channel_id,
        subject=f"{item.content_sha256}:{reviewer}",
        content_sha256=item.content_sha256,
        state=State.NEW.value,
        band="review",
        label=label,
        probability=probability,
        labels=item.scores,
        release="gold",
        priority=0.0,
        reach=1,
        came_by="gold",
        opened_at=at,
        changed_at=at,
        fence=0,
        cycle=1,
        events=0,
    )
    session.add(case)
    session.flush()
    # Its post is shown as any other's, so that nothing tells it from a case of the queue.
    post = repository.post_of(session, item)
    if post is not None:
        case.posted_at = post.posted_at
        session.add(CasePost(case_id=case.id, post_id=post.id, similarity=1.0))
    note(session, case, "open", SYSTEM, at)
    return case
