"""Every setting, read once from ``PENAPISAN_*`` variables."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

RoleName = Literal["submitter", "reviewer", "senior", "approver", "auditor", "administrator"]


class Settings(BaseSettings):
    """Defaults make a service for one machine: SQLite in ``data_dir``, no other server."""

    model_config = SettingsConfigDict(env_prefix="PENAPISAN_", extra="forbid")

    data_dir: Path = Path("penapisan-data")
    database_url: str | None = Field(
        None, description="SQLAlchemy URL; default: SQLite in data_dir. PostgreSQL for many workers"
    )
    release: Path | None = Field(None, description="Release folder; default: the shipped one")
    text_keys: SecretStr | None = Field(
        None,
        description="Fernet keys for post text at rest, comma separated; the first one encrypts, "
        "all decrypt. Make one with `penapisan keys new-text-key`",
    )
    batch_posts: int = Field(64, ge=1, le=4096, description="Posts scored together at most")
    queue_posts: int = Field(512, ge=1, description="Posts waiting at most, before 429")
    queue_seconds: float = Field(2, gt=0, description="Expected wait for a score, before 429")
    request_bytes: int = Field(8 * 2**20, ge=1024, description="Largest request body")
    upload_bytes: int = Field(2 * 2**30, ge=1024, description="Largest uploaded export")
    spare_bytes: int = Field(
        512 * 2**20, ge=0, description="Free space on the disk that uploads leave to the database"
    )
    job_lease_seconds: int = Field(
        60, ge=1, description="How soon another server takes over a job whose server died"
    )
    lease_seconds: int = Field(900, ge=1, description="How long a claim holds without renewal")
    session_hours: int = Field(12, ge=1)
    public_url: str | None = Field(
        None,
        pattern=r"^https?://[^/\s?#]+$",
        description="How browsers reach the service, such as https://screening.example; "
        "default: as a request says",
    )
    link_minutes: int = Field(30, ge=1, description="How long a one-time sign-in link works")
    key_per_minute: int | None = Field(
        None, ge=1, description="Requests a minute of a key without a limit of its own"
    )
    oidc_issuer: str | None = Field(None, description="OpenID Connect provider; default: none")
    oidc_client_id: str | None = None
    oidc_client_secret: SecretStr | None = None
    oidc_scope: str = "openid email profile"
    oidc_name_claim: str = Field(
        "email", description="Claim by which a person's first sign-in there finds them"
    )
    oidc_role_claim: str | None = Field(
        None, description="Claim that decides a person's role at each sign-in there"
    )
    oidc_roles: dict[str, RoleName] = Field(
        {}, description="JSON: a role for each value of that claim; the first one held counts"
    )
    oidc_new_role: RoleName | None = Field(
        None, description="Role of whom nobody invited; default: they are refused"
    )
    maintain: bool = Field(
        True, description="`penapisan serve` purges and ranks anew once a day, by itself"
    )
    clear_text_days: int = Field(30, ge=0, description="Text of posts below review is kept so long")
    case_text_days: int = Field(365, ge=0, description="Text of closed cases is kept so long")
    answer_days: int = Field(2, ge=1, description="Answers to an Idempotency-Key are kept so long")
    result_days: int = Field(7, ge=0, description="Results of exports are kept so long")
    exposure_days: int = Field(90, ge=1, description="Who was shown what is counted so long")
    audit_share: float = Field(0.01, ge=0, le=1, description="Clear posts put up for review")
    second_share: float = Field(0.1, ge=0, le=1, description="Not violating, yet reviewed twice")
    gold_share: float = Field(0.03, ge=0, le=1, description="Claims that are gold items")
    shift_hours: int = Field(8, ge=1, le=24, description="Over which exposure is counted")
    shift_texts: int = Field(400, ge=1, description="Texts shown to a reviewer in a shift at most")
    pause_after_texts: int = Field(60, ge=1, description="Texts shown between two pauses")
    pause_minutes: int = Field(10, ge=0, description="How long a pause is; 0 for none")

    flagger_name: str | None = Field(
        None, min_length=1, max_length=200, description="Who sends notices to platforms"
    )
    flagger_email: str | None = Field(
        None, pattern=r"^[^@\s]+@[^@\s]+$", max_length=200, description="Where platforms answer"
    )

    @field_validator("text_keys")
    @classmethod
    def _are_fernet_keys(cls, keys: SecretStr | None) -> SecretStr | None:
        from cryptography.fernet import Fernet

        for number, key in enumerate(split_keys(keys), 1):
            try:
                Fernet(key)
            except ValueError as error:
                raise ValueError(
                    f"key {number} is not a Fernet key (32 bytes, url-safe base64); "
                    "make one with `penapisan keys new-text-key`"
                ) from error
        return keys

    @field_validator("oidc_issuer")
    @classmethod
    def _is_secure(cls, issuer: str | None) -> str | None:
        parts = urlsplit(issuer or "https://")
        if parts.scheme != "https" and parts.hostname not in {"localhost", "127.0.0.1", "::1"}:
            raise ValueError(f"'{issuer}' is not an https address; tokens would go unprotected")
        return issuer

    @model_validator(mode="after")
    def _is_known_to_the_provider(self) -> Self:
        if self.oidc_issuer and not self.oidc_client_id:
            raise ValueError("PENAPISAN_OIDC_ISSUER needs PENAPISAN_OIDC_CLIENT_ID")
        return self

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'penapisan.db'}"


def split_keys(keys: SecretStr | None) -> list[str]:
    """The keys of ``Settings.text_keys``."""
    return [key for key in (keys.get_secret_value() if keys else "").split(",") if key]
