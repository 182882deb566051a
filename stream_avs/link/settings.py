"""Settings of both ends of a link."""

from __future__ import annotations

from dataclasses import dataclass

from stream_avs.config import require


@dataclass(frozen=True, kw_only=True)
class LinkConfig:
    """Where frames and sound travel, and who may read them."""

    address: str = "tcp://127.0.0.1:5560"
    """The capture side binds it, the other connects: tcp://HOST:PORT or ipc://PATH."""
    key: str = ""
    """This side's own secret key file (NAME.key_secret); turns encryption on."""
    server_key: str = ""
    """Public key file of the capture side (NAME.key), on the side that connects."""
    clients: str = ""
    """Folder with the public key files of those who may connect, on the capture side."""
    insecure: bool = False
    """Allow binding an address that other machines can reach, without keys. `--insecure` for short."""
    jpeg_quality: int = 90
    """Quality 1..100 of frames sent as JPEG; 0 sends them raw."""
    queue: int = 16
    """Messages kept for a reader that cannot follow; frames that waited so long are old."""

    def __post_init__(self) -> None:
        require(0 <= self.jpeg_quality <= 100, "link.jpeg_quality", self.jpeg_quality, "0..100")
        require(1 <= self.queue <= 100, "link.queue", self.queue, "1..100")
