"""A trusted-flagger report: what it says, its canonical form, and its three shapes.

The report tells the platform where each post is, why it violates, and who decided: the content of
a notice under art. 16(2) of Regulation (EU) 2022/2065 (DSA), with the deadline of Permenkominfo
5/2020. It carries no text of a post: the exact link shows it, and its SHA-256 proves which text
was meant, also after the text was purged here. People are named by pseudonym.

The canonical form is that of RFC 8785 (JSON Canonicalization Scheme): the report's SHA-256 is taken
over the report without its member ``sha256``, in that form, as UTF-8.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import rfc8785
from defusedcsv import csv
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from screening.outputs import safe_cell
from screening.readers.telegram import bare_id, permalink
from screening.taxonomy import LABELS, TAXONOMY_VERSION, TERRORISM, TERRORISM_LABELS, Label
from screening.text import display_text
from service.tables import Case, PostRow, Review, ScoreRow

FORMAT = "penapisan-notice/1"
ROUNDS = {1: "first review", 2: "blind second review", 3: "settlement by a senior"}

Content = dict[str, Any]

_BY_ID: Mapping[str, Label] = {label.id: label for label in LABELS}
_STYLE = (Path(__file__).parent / "templates" / "notice.css").read_text("utf-8")


@dataclass(frozen=True, slots=True)
class Deadline:
    """How soon a platform has to act, and by what law."""

    name: str
    hours: int
    ground: str


URGENT = Deadline("urgent", 4, "Permenkominfo 5/2020 art. 14(3)")
STANDARD = Deadline("standard", 24, "Permenkominfo 5/2020")


@dataclass(frozen=True, slots=True)
class Finding:
    """A post to be reported, with the case that found it to violate and its standing reviews."""

    post: PostRow
    case: Case
    score: ScoreRow | None
    reviews: Sequence[Review]

    @property
    def labels(self) -> list[str]:
        """The labels that the last round held, in the taxonomy's order."""
        answers = self.reviews[-1].labels
        return [label for label in _BY_ID if answers.get(label) == "yes"]


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose posts a report is about: a channel or an account of a platform."""

    platform: str
    scope: str
    id: str
    name: str | None


def deadline_of(labels: Sequence[str]) -> Deadline:
    """Terrorism is urgent content; radicalism that is not is otherwise unlawful content."""
    return URGENT if set(labels) & set(TERRORISM_LABELS) else STANDARD


def link_of(post: PostRow) -> str | None:
    """Where the post is: its permalink, or what Telegram's links are made of."""
    if post.permalink:
        return post.permalink
    channel = bare_id(post.channel_id) or ""
    is_telegram = post.platform == "telegram" and channel.isdecimal() and channel.isascii()
    if is_telegram and post.message_id.isdecimal() and post.message_id.isascii():
        return permalink(int(post.message_id), channel, None, None)
    return None


def draft_content(
    subject: Subject,
    findings: Sequence[Finding],
    *,
    issuer: Mapping[str, str],
    drafter: str,
    name_of: Callable[[str], str],
    at: datetime,
) -> Content:
    """All that a report says before its approval; ``name_of`` gives people their pseudonyms."""
    items = [_item(number, finding, name_of) for number, finding in enumerate(findings, 1)]
    labels = [label for label in _BY_ID if any(label in finding.labels for finding in findings)]
    deadline = deadline_of(labels)
    return {
        "format": FORMAT,
        "taxonomy": TAXONOMY_VERSION,
        "issuer": dict(issuer) | {"role": "trusted flagger"},
        "addressee": {"platform": subject.platform},
        "subject": {"kind": subject.scope, "id": subject.id, "name": subject.name},
        "drafted_at": _time(at),
        "drafted_by": name_of(drafter),
        "labels": labels,
        "deadline": {
            "class": deadline.name, "hours": deadline.hours, "legal_ground": deadline.ground,
        },
        "statement": _statement(subject, len(items), labels, deadline),
        "good_faith": {
            "id": "Pelapor dengan iktikad baik meyakini bahwa keterangan dalam laporan ini benar "
            "dan lengkap.",
            "en": "The flagger believes in good faith that what this notice says is accurate and "
            "complete.",
        },
        "items": items,
    }  # fmt: skip


def issued_report(content: Content, *, reference: str, approver: str, at: datetime) -> Content:
    """The report as it goes out; its deadline runs from its approval."""
    due = at + timedelta(hours=content["deadline"]["hours"])
    return content | {
        "reference": reference,
        "created_at": _time(at),
        "approved_by": approver,
        "due_at": _time(due),
    }


def canonical(content: Content) -> str:
    """RFC 8785."""
    raw: bytes = rfc8785.dumps(content)
    return raw.decode("utf-8")


def sha256_of(canonical_report: str) -> str:
    return hashlib.sha256(canonical_report.encode("utf-8")).hexdigest()


def as_json(report: Content) -> bytes:
    return orjson.dumps(report, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def as_csv(report: Content) -> bytes:
    """One line an item; UTF-8 with a byte order mark, and no cell can start a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for item in report["items"]:
        writer.writerow([safe_cell(column(report, item)) for column in _COLUMNS.values()])
    return out.getvalue().encode("utf-8-sig")


_COLUMNS: Mapping[str, Callable[[Content, Content], Any]] = {
    "reference": lambda report, item: report["reference"],
    "created_at": lambda report, item: report["created_at"],
    "due_at": lambda report, item: report["due_at"],
    "issuer": lambda report, item: report["issuer"]["name"],
    "issuer_email": lambda report, item: report["issuer"]["email"],
    "platform": lambda report, item: report["addressee"]["platform"],
    "subject_kind": lambda report, item: report["subject"]["kind"],
    "subject_id": lambda report, item: report["subject"]["id"],
    "item": lambda report, item: item["number"],
    "link": lambda report, item: item["link"],
    "channel_id": lambda report, item: item["channel_id"],
    "message_id": lambda report, item: item["message_id"],
    "posted_at": lambda report, item: item["posted_at"],
    "labels": lambda report, item: ", ".join(label["id"] for label in item["labels"]),
    "legal_ground": lambda report, item: "; ".join(item["legal_grounds"]),
    "deadline_class": lambda report, item: item["deadline_class"],
    "reason_id": lambda report, item: item["reason"]["id"],
    "reason_en": lambda report, item: item["reason"]["en"],
    "terrorism_probability": lambda report, item: item["machine"]["probabilities"].get(TERRORISM),
    "release": lambda report, item: item["machine"]["release"],
    "policy": lambda report, item: item["machine"]["policy"],
    "case": lambda report, item: item["human"]["case"],
    "decided_at": lambda report, item: item["human"]["decided_at"],
    "reviewers": lambda report, item: ", ".join(
        review["reviewer"] for review in item["human"]["reviews"]
    ),
    "approved_by": lambda report, item: report["approved_by"],
    "text_sha256": lambda report, item: item["text_sha256"],
    "report_sha256": lambda report, item: report["sha256"],
}

_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
PAGE_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"
)
"""The page loads nothing, runs nothing and is styled by its own style sheet alone."""


def as_html(report: Content) -> bytes:
    """A page to be printed or read, in both languages."""
    environment = Environment(
        loader=PackageLoader("service.notices"), autoescape=True, undefined=StrictUndefined
    )
    environment.filters["shown"] = display_text
    page = environment.get_template("notice.html").render(
        report=report,
        policy=PAGE_POLICY,
        style=Markup(_STYLE),  # noqa: S704  our own file
    )
    return page.encode("utf-8")


RENDERERS: Mapping[str, Callable[[Content], bytes]] = {
    "json": as_json, "csv": as_csv, "html": as_html,
}  # fmt: skip


def _item(number: int, finding: Finding, name_of: Callable[[str], str]) -> Content:
    post, labels = finding.post, [_BY_ID[label] for label in finding.labels]
    deadline = deadline_of(finding.labels)
    return {
        "number": number,
        "link": link_of(post),
        "channel_id": post.channel_id,
        "message_id": post.message_id,
        "posted_at": None if post.posted_at is None else _time(post.posted_at),
        "text_sha256": post.content_sha256,
        "labels": [
            {"id": label.id, "name_id": label.name_id, "name_en": label.name_en} for label in labels
        ],
        "legal_grounds": [*dict.fromkeys(label.source for label in labels), deadline.ground],
        "deadline_class": deadline.name,
        "reason": _reason(finding),
        "machine": _machine(finding),
        "human": {
            "case": finding.case.id,
            "decision": "violating",
            "decided_at": _time(finding.reviews[-1].made_at),
            "reviews": [_review(review, name_of) for review in finding.reviews],
        },
    }  # fmt: skip


def _machine(finding: Finding) -> Content:
    """What the release proposed: a proposal, which people decided on."""
    score, case = finding.score, finding.case
    labels = case.labels if score is None else score.labels
    probabilities = {label: labels[label] for label in finding.labels if label in labels}
    if score is not None:
        probabilities[TERRORISM] = score.terrorism
    return {
        "release": case.release,
        "policy": score and score.policy,
        "band": case.band if score is None else score.band,
        "threshold": score and round(score.threshold, 6),
        "probabilities": {name: round(value, 6) for name, value in probabilities.items()},
        "scored_at": score and _time(score.scored_at),
    }


def _review(review: Review, name_of: Callable[[str], str]) -> Content:
    return {
        "reviewer": name_of(review.reviewer),
        "round": ROUNDS[review.round],
        "decided_at": _time(review.made_at),
        "labels": review.labels,
        "reason": review.reason,
        "guideline": review.guideline,
    }


def _reason(finding: Finding) -> Mapping[str, str]:
    """Why the post violates, from the taxonomy's definitions, and how that was decided."""
    labels = [_BY_ID[label] for label in finding.labels]
    is_settled = finding.reviews[-1].round == 3
    return {
        "id": " ".join(
            [
                "Kiriman ini melanggar karena memuat:",
                *(f"{label.name_id}. {label.definition_id}" for label in labels),
                "Diputuskan oleh dua peninjau yang tidak melihat jawaban satu sama lain"
                + (", lalu oleh peninjau senior." if is_settled else "."),
                "Nilai mesin hanya usulan.",
            ]
        ),
        "en": " ".join(
            [
                "This post violates because it holds:",
                *(f"{label.name_en}. {label.definition_en}" for label in labels),
                "Decided by two reviewers who did not see each other's answers"
                + (", then by a senior reviewer." if is_settled else "."),
                "The machine's score is a proposal only.",
            ]
        ),
    }


def _statement(
    subject: Subject, items: int, labels: Sequence[str], deadline: Deadline
) -> Mapping[str, str]:
    where = f"{subject.id}, {subject.platform}"
    kind = {"channel": ("kanal", "channel"), "account": ("akun", "account")}[subject.scope]
    names_id = ", ".join(_BY_ID[label].name_id for label in labels)
    names_en = ", ".join(_BY_ID[label].name_en for label in labels)
    return {
        "id": f"Laporan ini memberitahukan {items} kiriman dari {kind[0]} {where}, yang menurut "
        f"pelapor memuat konten terlarang ({names_id}). Setiap kiriman ditinjau oleh sedikitnya "
        "dua orang, dan laporan disetujui oleh orang lain yang tidak ikut meninjau. Batas waktu: "
        f"{deadline.hours} jam sejak disetujui ({deadline.ground}).",
        "en": f"This notice reports {items} {'post' if items == 1 else 'posts'} of {kind[1]} "
        f"{where}, which the flagger holds to be unlawful content ({names_en}). Each post was "
        "reviewed by at least two people, and the notice approved by another person who took no "
        f"part in the reviews. To be acted on within {deadline.hours} hours of approval "
        f"({deadline.ground}).",
    }


def _time(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
