"""Credentials out of any text that may be shown, logged or kept.

`capture.address.redact` shows one address well. This is the net below it: every error and every event
goes through it, so that a message which names an address in some other way gives no password away.
"""

from __future__ import annotations

import re

_CREDENTIALS = re.compile(
    # A scheme, known or followed by a slash, and all up to the last @ of the line: a password may hold
    # spaces, quotes and slashes.
    r"(?P<scheme>\b(?:(?:rtsps?|rtmps?|srt|https?|wss?|ftps?|udp|tcp):/*|[a-z][a-z0-9+.-]*:/{1,3}))"
    r"(?!/|USER:PASSWORD@)[^\n]*@",  # as hints say where they go
    re.IGNORECASE,
)
_QUERY = re.compile(r"(?P<address>\b[a-z][a-z0-9+.-]*:/{1,3}[^\s?'\"]*)\?(?!\.\.\.)[^\s'\"]+", re.IGNORECASE)
_TOKEN = re.compile(r"(?P<name>\btoken=)[\w-]+", re.IGNORECASE)


def scrub(text: str) -> str:
    """Return the text without users and passwords, query values and tokens of addresses.

    Where it is unclear what belongs to a password, more is taken out rather than less.
    """
    if "@" in text:
        text = _CREDENTIALS.sub(r"\g<scheme>", text)
    if "?" in text:
        text = _QUERY.sub(r"\g<address>?...", text)
    return _TOKEN.sub(r"\g<name>...", text) if "token=" in text.lower() else text
