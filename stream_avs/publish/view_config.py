"""Settings of the browser view."""

from __future__ import annotations

from dataclasses import dataclass

from stream_avs.config import require


@dataclass(frozen=True, kw_only=True)
class ViewConfig:
    """Where the page is served and how pictures travel."""

    serve: bool = False
    """Serve the page beside a live session; `--view` for short. `stream-avs view` always does."""
    host: str = "127.0.0.1"
    """Address to serve on; this machine only, unless `insecure`. In any case only who has the address of
    the page, with its token, may look."""
    port: int = 8765
    """Port; 0 takes one that is free."""
    insecure: bool = False
    """Allow an address that other machines can reach: the page and its token travel unencrypted, so whoever
    listens in sees and hears what the camera does. `--insecure` for short."""
    token_file: str = ""
    """File that keeps the token over restarts (mode 0600, made if missing), so that open pages come back;
    empty makes a new token at each start."""
    max_width_px: int = 1280
    """Wider pictures are scaled down for the page; masks stay as they are."""
    jpeg_quality: int = 80
    """Quality of the pictures, 1..100."""
    max_viewers: int = 8
    """Pages that may watch at once."""
    evict_s: float = 30.0
    """A page that takes nothing for this long is cut off; it may come back."""

    def __post_init__(self) -> None:
        require(0 <= self.port <= 65535, "view.port", self.port, "0..65535")
        require(16 <= self.max_width_px <= 8192, "view.max_width_px", self.max_width_px, "16..8192")
        require(1 <= self.jpeg_quality <= 100, "view.jpeg_quality", self.jpeg_quality, "1..100")
        require(1 <= self.max_viewers <= 256, "view.max_viewers", self.max_viewers, "1..256")
        require(0.1 <= self.evict_s <= 3600, "view.evict_s", self.evict_s, "0.1..3600 s")
