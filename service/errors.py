"""What can go wrong in the service: every error knows its HTTP status and its words.

ServiceError
├── BadRequest 400        ├── Forbidden 403     ├── Conflict 409     ├── Unprocessable 422
├── Unauthorized 401      ├── NotFound 404      ├── TooLarge 413     ├── Overloaded 429
├── Unavailable 503       └── InsufficientStorage 507
│   └── Uncertain 503
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class ServiceError(Exception):
    """One sentence for the caller; ``pointer`` names the field (RFC 6901), where one is wrong."""

    status = 500
    title = "Internal error"

    def __init__(
        self,
        detail: str,
        *,
        pointer: str | None = None,
        errors: Sequence[Mapping[str, str]] = (),
        retry_after_seconds: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pointer = pointer
        self.errors = errors
        self.retry_after_seconds = retry_after_seconds


class BadRequest(ServiceError):
    status, title = 400, "Bad request"


class Unauthorized(ServiceError):
    status, title = 401, "Not authenticated"


class Forbidden(ServiceError):
    status, title = 403, "Not allowed"


class NotFound(ServiceError):
    status, title = 404, "Not found"


class Conflict(ServiceError):
    status, title = 409, "Conflict"


class TooLarge(ServiceError):
    status, title = 413, "Too large"


class Unprocessable(ServiceError):
    status, title = 422, "Invalid content"


class Overloaded(ServiceError):
    status, title = 429, "Too many requests"


class Unavailable(ServiceError):
    status, title = 503, "Not available"


class Uncertain(Unavailable):
    """The database was lost in the moment of the commit: nobody knows yet whether it holds."""


class InsufficientStorage(ServiceError):
    """The disk or the database is full; nothing was stored, and waiting alone does not help."""

    status, title = 507, "Insufficient storage"
