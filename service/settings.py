"""Every setting, read once from ``PENAPISAN_*`` variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


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
    lease_seconds: int = Field(900, ge=1, description="How long a claim holds without renewal")
    session_hours: int = Field(12, ge=1)
    maintain: bool = Field(
        True, description="`penapisan serve` purges and ranks anew once a day, by itself"
    )
    clear_text_days: int = Field(30, ge=0, description="Text of posts below review is kept so long")
    case_text_days: int = Field(365, ge=0, description="Text of closed cases is kept so long")
    answer_days: int = Field(2, ge=1, description="Answers to an Idempotency-Key are kept so long")
    exposure_days: int = Field(90, ge=1, description="Who was shown what is counted so long")
    audit_share: float = Field(0.01, ge=0, le=1, description="Clear posts put up for review")
    second_share: float = Field(0.1, ge=0, le=1, description="Not violating, yet reviewed twice")
    gold_share: float = Field(0.03, ge=0, le=1, description="Claims that are gold items")
    shift_hours: int = Field(8, ge=1, le=24, description="Over which exposure is counted")
    shift_texts: int = Field(400, ge=1, description="Texts shown to a reviewer in a shift at most")
    pause_after_texts: int = Field(60, ge=1, description="Texts shown between two pauses")
    pause_minutes: int = Field(10, ge=0, description="How long a pause is; 0 for none")

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

    @property
    def url(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'penapisan.db'}"


def split_keys(keys: SecretStr | None) -> list[str]:
    """The keys of ``Settings.text_keys``."""
    return [key for key in (keys.get_secret_value() if keys else "").split(",") if key]
