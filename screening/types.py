"""Post, Score, Decision: the nouns every other module speaks in."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Band = Literal["clear", "review", "urgent"]


@dataclass(frozen=True, slots=True)
class Post:
    """One post, as a reader found it.

    ``text`` is what a person sees (caption, poll question and answers included), unnormalised.
    Times are UTC. Fields the source does not carry are ``None``, never guessed.
    ``source`` holds the input's own other fields (tabular input only), to be handed back.
    """

    platform: str
    channel_id: str | None
    message_id: str
    text: str
    posted_at: datetime | None = None
    edited_at: datetime | None = None
    channel_name: str | None = None
    channel_type: str | None = None
    author_id: str | None = None
    author_name: str | None = None
    forwarded_from: str | None = None
    reply_to: str | None = None
    topic: str | None = None
    permalink: str | None = None
    source: Mapping[str, object] | None = None

    @property
    def key(self) -> str:
        """``platform:channel:message``, the post's name in logs and results.

        Where a source gives channels no id (HTML exports), a hash of the channel's name stands
        in, so that chats of one account do not share keys.
        """
        return f"{self.platform}:{self.channel_id or self._named_channel}:{self.message_id}"

    @property
    def _named_channel(self) -> str:
        if not self.channel_name:
            return "-"
        name = self.channel_name.encode("utf-8", "surrogatepass")
        return "~" + hashlib.blake2b(name, digest_size=4).hexdigest()


@dataclass(slots=True)
class ReadReport:
    """What a reader met on the way: every post, skip and repair is counted here.

    Keys of ``skipped`` and ``repaired`` are short snake_case reasons, for example
    ``service``, ``unsupported``, ``no_text``; ``control_byte``, ``unquoted_value``,
    ``truncated_tail``.
    """

    posts: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    repaired: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the *original* text, ``[begin, end)`` in code points, that drove ``label``.

    ``weight`` is its part of the label's log-odds: the parts of all words and the label's
    constant add up to the model's answer.
    """

    begin: int
    end: int
    label: str
    weight: float


@dataclass(frozen=True, slots=True)
class Score:
    """Calibrated probabilities of one text, attributable to one release.

    ``labels`` has one probability per label of the taxonomy; ``terrorism`` is the probability
    that at least one of the six terrorism labels holds; ``contexts`` says what may make it lawful.
    ``windows`` counts the windows scored; ``truncated`` is true where text was left unscored.
    ``spans`` are the words behind a score that is not clear, in reading order.
    """

    labels: Mapping[str, float]
    terrorism: float
    contexts: Mapping[str, float]
    release: str
    windows: int = 1
    truncated: bool = False
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """The machine's proposal, never an act: a band, and the threshold that put it there."""

    band: Band
    label: str
    probability: float
    threshold: float
    policy: str
