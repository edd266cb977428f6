"""The server's settings: from flags, from the environment (GRAPHCORE_...), from graphcore.toml, in this order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from platformdirs import user_data_path
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from graphcore.settings import Settings

Paths = Annotated[tuple[Path, ...], NoDecode]
Names = Annotated[tuple[str, ...], NoDecode]
_MIB = 2**20


class ServerSettings(BaseSettings):
    """How the server is set up. Lists in environment variables are separated by commas."""

    model_config = SettingsConfigDict(
        env_prefix="GRAPHCORE_", extra="forbid", frozen=True, env_ignore_empty=True
    )
    config_file: ClassVar[Path] = Path("graphcore.toml")

    host: str = "127.0.0.1"
    port: int = Field(8188, ge=0, le=65535)
    allow_host: Names = ()
    token: SecretStr | None = None
    tokens: dict[str, SecretStr] = Field(default_factory=dict)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    insecure: bool = False

    models_dir: Paths = ()
    input_dir: Path | None = None
    output_dir: Path | None = None
    data_dir: Path = Field(default_factory=lambda: user_data_path("graphcore", appauthor=False))

    device: Names = ("auto",)
    dtype: str = "auto"
    preview_method: Literal["auto", "latent2rgb"] = "auto"
    cache: str = "classic"
    cache_mib: int = Field(2048, ge=0)
    weights_mib: int | None = Field(None, ge=0)
    device_memory_mib: int | None = Field(None, ge=1)
    packs: Names | None = None
    node_module: Names = ()
    node_packs: Paths = ()

    require_safety: bool = False
    max_queue: int = Field(10_000, ge=1)
    max_queue_each: int = Field(10_000, ge=1)
    history: int = Field(10_000, ge=1)
    max_body_mib: int = Field(100, ge=1)
    max_upload_mib: int = Field(100, ge=1)
    max_picture_pixels: int = Field(2**27, ge=1)
    max_connections: int = Field(4096, ge=1)
    run_timeout: float | None = Field(None, gt=0)
    cancel_grace: float = Field(20.0, ge=0)
    grace: float = Field(10.0, ge=0)
    webhook_allow: Names = ()
    webhook_secret: SecretStr | None = None

    @field_validator(
        "allow_host",
        "models_dir",
        "device",
        "packs",
        "node_module",
        "node_packs",
        "webhook_allow",
        mode="before",
    )
    @classmethod
    def _split(cls, value: Any) -> Any:
        return (
            [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        )

    @field_validator("cache")
    @classmethod
    def _known_cache(cls, value: str) -> str:
        kind, _, count = value.partition(":")
        if value in ("classic", "none") or (kind == "lru" and count.isdecimal() and int(count) > 0):
            return value
        raise ValueError("use classic, lru:N or none")

    @model_validator(mode="after")
    def _pairs(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("tls_cert and tls_key go together")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, cls.config_file))

    @property
    def inputs(self) -> Path:
        """The folder of input files."""
        return self.input_dir or self.data_dir / "input"

    @property
    def outputs(self) -> Path:
        """The folder of output files."""
        return self.output_dir or self.data_dir / "output"

    def engine_settings(self, device: str = "auto") -> Settings:
        """The settings of an engine on one device."""
        return Settings(
            models_dirs=self.models_dir or (self.data_dir / "models",),
            input_dir=self.inputs,
            output_dir=self.outputs,
            temp_dir=self.data_dir / "temp",
            data_dir=self.data_dir,
            device=device,
            dtype=self.dtype,
            preview_method=self.preview_method,
            weights_budget_bytes=None if self.weights_mib is None else self.weights_mib * _MIB,
            device_memory_bytes=None if self.device_memory_mib is None else self.device_memory_mib * _MIB,
            cache_bytes=self.cache_mib * _MIB,
        )
