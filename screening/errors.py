"""Errors of the core library: one tree, each a clear sentence.

ScreeningError
├── ReadError          an input that cannot be read, with file and place
│   └── LimitError     an input larger, deeper or odder than the stated limits
├── OutputError        an output that cannot be written
└── ResumeError        earlier work that does not belong to this run
"""

from __future__ import annotations


class ScreeningError(Exception):
    """Base of every error the core raises on bad input."""


class ReadError(ScreeningError):
    """An export that cannot be read; the message names the file and the place."""


class LimitError(ReadError):
    """An input past a stated limit (size, depth, ratio); refused to keep memory bounded."""


class OutputError(ScreeningError):
    """A result that cannot be written where it was asked for."""


class ResumeError(ScreeningError):
    """Partial work found beside the output belongs to another input, release or option."""
