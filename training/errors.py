"""TrainingError: a clear sentence about data, base weights or a candidate that cannot be made."""

from __future__ import annotations


class TrainingError(Exception):
    """Base of every error the training room raises on bad input."""
