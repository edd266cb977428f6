"""Whether a browser's request comes from our own pages: by Sec-Fetch-Site, and by Origin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import urlsplit

from server.security.hosts import parse_host

_OWN: Final = ("same-origin", "none")
_DEFAULT_PORTS: Final[Mapping[str, int]] = {"http": 80, "https": 443, "ws": 80, "wss": 443}


def same_origin(*, fetch_site: Sequence[str], origin: Sequence[str], host: str, scheme: str) -> bool:
    """True if a request is our own page's, or no browser's.

    The arguments are the values of the Sec-Fetch-Site and Origin headers (all of them), the Host header and the scheme.
    Browsers that send Sec-Fetch-Site cannot be made to lie in it; older ones send Origin wherever it matters; other
    programs send neither.
    """
    if len(origin) > 1 or len(fetch_site) > 1:
        return False
    if origin and not _matches(origin[0], host, scheme):
        return False
    return not fetch_site or fetch_site[0] in _OWN


def _matches(origin: str, host: str, scheme: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or parts.path or parts.query or parts.fragment:
        return False
    theirs, ours = parse_host(parts.netloc), parse_host(host)
    if theirs is None or ours is None or theirs.name != ours.name:
        return False
    default = _DEFAULT_PORTS.get(scheme, 80)
    return (theirs.port or _DEFAULT_PORTS[parts.scheme]) == (ours.port or default)
