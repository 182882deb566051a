"""Download a file so that it may be interrupted at any time: resumed, checked, then renamed. No torch."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from stream_avs.errors import WeightsError

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there and the bytes there will be, if the server says."""

_BLOCK = 1 << 20
_TIMEOUT_S = 30.0


def fetch(url: str, target: Path, *, sha256: str = "", progress: Progress = lambda have, total: None) -> str:
    """Download `url` to `target`; bytes of an earlier attempt (`target`.part) are not asked for again.

    Args:
        url: http or https address.
        target: the file to make; its folder is made too. Appears only whole and checked.
        sha256: expected SHA-256 in hex, or its first digits; empty if not known.
        progress: told about each block.

    Returns:
        SHA-256 of the file, hex.

    Raises:
        WeightsError: no network, the server refuses, the transfer ends early, the disk is full, or
            the file is not the expected one.
    """
    if not url.startswith(("http://", "https://")):
        raise WeightsError(f"cannot fetch {url!r}", "Expected an http or https address")
    part = target.with_name(target.name + ".part")
    by_hand = f"Run again to go on; or, where there is a network, download {url} and put it at {target}"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(url, part, progress)
        digest = file_sha256(part)
        if not digest.startswith(sha256.lower()):
            part.unlink()
            raise WeightsError(
                f"{url} has SHA-256 {digest}, expected {sha256}{'...' if len(sha256) < 64 else ''}",
                "It was deleted: the file has changed, or something between here and there altered it",
            )
        os.replace(part, target)
        _tag_file(part).unlink(missing_ok=True)
    except urllib.error.HTTPError as error:
        raise WeightsError(f"{url} answers {error.code} {error.reason}", by_hand) from None
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise WeightsError(f"cannot fetch {url}: {reason}", by_hand) from None
    except OSError as error:
        raise WeightsError(
            f"cannot write {target}: {error.strerror}", "Make room or choose --weights-dir"
        ) from None
    return digest


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(url: str, part: Path, progress: Progress) -> None:
    """Fill `part` from where it ends."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "stream-avs"})
    tag = _tag_file(part)
    if have and tag.exists():
        # a server whose file has changed meanwhile sends the whole new one
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", tag.read_text())
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise
        if error.headers.get("Content-Range") != f"bytes */{have}":
            part.unlink()
            _download(url, part, progress)
        return  # every byte is there
    with response:
        resumed = response.status == http.HTTPStatus.PARTIAL_CONTENT and _starts_at(response, have)
        if not resumed:
            have = 0
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        _remember(response, tag)
        with part.open("ab" if resumed else "wb") as file:
            progress(have, total)
            while block := response.read(_BLOCK):
                file.write(block)
                have += len(block)
                progress(have, total)
    if total is not None and have < total:
        raise ConnectionError(f"the connection ended at {have} of {total} bytes")


def _starts_at(response: http.client.HTTPResponse, have: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _tag_file(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _remember(response: http.client.HTTPResponse, tag: Path) -> None:
    """Keep what identifies this version of the file; without it an attempt cannot be resumed."""
    version = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if version and not version.startswith("W/"):
        tag.write_text(version)
    else:
        tag.unlink(missing_ok=True)
