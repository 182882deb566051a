"""Network addresses: which are accepted, and how they are shown without their credentials."""

from __future__ import annotations

LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "udp", "tcp"})
"""Schemes whose data comes at its own pace."""

HTTP_SCHEMES = frozenset({"http", "https"})
"""Schemes that carry both files and live streams; which one shows once it is open."""

SCHEMES = LIVE_SCHEMES | HTTP_SCHEMES


def scheme_of(address: str) -> str:
    """Return the scheme in lower case, e.g. "rtsp"; "" for a plain path."""
    scheme, separator, _ = address.partition("://")
    return scheme.lower() if separator else ""


def redact(address: str) -> str:
    """Return the address without user, password and query values, fit for names, logs and errors.

    Everything up to the last "@" counts as credentials, because a password may hold "/", "?" or "#"
    unescaped; so a path with an "@" loses its beginning rather than a password its secrecy.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        # A scheme that was mistyped leaves the password behind a colon.
        return address.rpartition("@")[2] if ":" in address.rpartition("@")[0] else address
    rest = rest.rpartition("@")[2]
    location, question, _ = rest.partition("?")
    return f"{scheme}://{location}" + ("?..." if question else "")
