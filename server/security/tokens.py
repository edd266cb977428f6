"""Who a request is from, by a token in the Authorization header or a session cookie; compared in constant time."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.errors import StartError
from server.records import LOCAL

COOKIE: Final = "graphcore_session"
OWNER: Final = "owner"
_SHORTEST: Final = 16


@dataclass(frozen=True, slots=True)
class Principal:
    """Who a request is from. The owner sees everybody's runs, others their own."""

    name: str
    owner: bool

    @property
    def scope(self) -> str | None:
        """What answers are limited to: a principal's name, or None for all."""
        return None if self.owner else self.name


NOBODY_ELSE: Final = Principal(LOCAL, owner=True)


class Tokens:
    """The tokens that are known, by their principal's name. Without any, whoever reaches the server is the owner."""

    def __init__(self, tokens: Mapping[str, str]) -> None:
        self._digests = {name: _digest(token) for name, token in tokens.items()}
        self._sessions = {name: _session(token) for name, token in tokens.items()}

    @property
    def required(self) -> bool:
        """True if requests need a token."""
        return bool(self._digests)

    def identify(self, *, authorization: str | None, cookie: str | None) -> Principal | None:
        """Who a request is from, or None if it may not be answered."""
        if not self._digests:
            return NOBODY_ELSE
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            return self._of(_digest(token.strip()), self._digests) if scheme.lower() == "bearer" else None
        return self._of(cookie, self._sessions) if cookie else None

    def session(self, token: str) -> str | None:
        """The cookie that stands for a token, or None for an unknown one."""
        principal = self._of(_digest(token), self._digests)
        return None if principal is None else self._sessions[principal.name]

    @staticmethod
    def _of(given: str, known: Mapping[str, str]) -> Principal | None:
        found: Principal | None = None
        for name, digest in known.items():
            if hmac.compare_digest(given.encode("utf-8", "replace"), digest.encode("ascii")):
                found = Principal(name, owner=name == OWNER)
        return found


def make_token() -> str:
    """A fresh token."""
    return secrets.token_urlsafe(32)


def read_or_make_token(path: Path) -> tuple[str, bool]:
    """The token that a file holds, made (readable by its owner alone) if there is none; True if it was made now."""
    try:
        token = path.read_text(encoding="ascii").strip()
        if token:
            return checked_token(token, str(path)), False
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"The token file {path} cannot be read: {error}.", code="token-file") from error
    token = make_token()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as stream:
            stream.write(token + "\n")
    except OSError as error:
        raise StartError(f"The token file {path} cannot be written: {error}.", code="token-file") from error
    return token, True


def checked_token(token: str, where: str) -> str:
    """A token that is fit to be one; raises StartError."""
    if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
        raise StartError(
            f"The token of {where} is too weak: use at least {_SHORTEST} printable ASCII characters "
            "without spaces, or leave it out and one is made.",
            code="weak-token",
        )
    return token


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def _session(token: str) -> str:
    return hmac.new(token.encode("ascii"), b"graphcore session", hashlib.sha256).hexdigest()
