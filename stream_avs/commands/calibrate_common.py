"""What the `stream-avs calibrate` subcommands share: their command line and their output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import tyro
from rich.console import Console

from stream_avs.commands.arguments import ask
from stream_avs.config import MediaConfig, RtspTransport

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class StreamConfig:
    """A network stream."""

    rtsp_transport: RtspTransport = RtspTransport.TCP
    """How RTSP media travels."""
    timeout_s: float = 10.0
    """Give up opening or reading a network stream after this long."""

    def media(self) -> MediaConfig:
        """The settings of a file or stream."""
        return MediaConfig(rtsp_transport=self.rtsp_transport, timeout_s=self.timeout_s)


def parse(config: type[T], name: str, argv: list[str], description: str | None) -> T:
    """Build the settings of `stream-avs calibrate NAME` from its command line."""
    return ask(
        config,
        prog=f"stream-avs calibrate {name}",
        args=argv,
        description=description,
        config=(tyro.conf.EnumChoicesFromValues,),
    )


def make_console() -> Console:
    """A console that leaves lines whole where nobody sees their width, as in a log."""
    return Console(highlight=False, soft_wrap=True)
