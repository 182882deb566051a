"""Nodes as processes of their own, ended as a user would: with SIGINT."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

COMMAND = "import sys; from stream_avs.commands.node import run; sys.exit(run(sys.argv[1:]))"

DISC_SEGMENTER = """
import sys
from stream_avs.benchmarks.stand_ins import DiscModel
from stream_avs.commands.arguments import parse_arguments
from stream_avs.nodes.segmenter import SegmenterNode, run_zmq
config = parse_arguments(SegmenterNode, "node segmenter", sys.argv[1:], None)
run_zmq(config, lambda line: print(line, file=sys.stderr, flush=True), DiscModel())
"""
"""The segmenter node with a network that costs nothing."""


@contextmanager
def process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python code with arguments; killed at the end if it still runs."""
    running = subprocess.Popen([sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        if running.poll() is None:
            running.kill()
        running.wait(10)
        assert running.stderr is not None
        running.stderr.close()


def interrupt(running: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[int, str]:
    """Send a signal; returns the exit code and what was said on stderr."""
    running.send_signal(number)
    _, said = running.communicate(timeout=15)
    return running.returncode, said


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
