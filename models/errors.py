"""Errors of the model room.

ModelError
├── ReleaseError    a release folder that is missing, damaged or of another format
└── EngineError     no engine can run here, or the one asked for cannot
"""

from __future__ import annotations


class ModelError(Exception):
    """Base of every error about a model."""


class ReleaseError(ModelError):
    """A release folder that cannot be used; the message names folder, file and field."""


class EngineError(ModelError):
    """An engine that cannot run here; the message says which package or device is missing."""
