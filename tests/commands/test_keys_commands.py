"""Keys on the command line: made, used by every command that binds or connects, and asked for."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "publish"))
sys.path.insert(0, str(Path(__file__).parents[1] / "security"))
from attackers import Keys
from stream_avs.nodes.overlay import OverlayNode
from wire_results import make_result

from stream_avs.cli import main
from stream_avs.commands import keygen, node, run, subscribe
from stream_avs.commands.arguments import parse_arguments
from stream_avs.config import PublishConfig
from stream_avs.errors import ConfigError, PublishError
from stream_avs.publish.key_files import Role, load_secret
from stream_avs.publish.zeromq import Publisher


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@contextmanager
def published(keys: Keys) -> Iterator[str]:
    """Masks at an address that only the friend may read."""
    over = threading.Event()
    config = PublishConfig(address="tcp://127.0.0.1:*", key=str(keys.robot_secret), clients=str(keys.readers))
    with Publisher(config, "cam0") as publisher:
        thread = threading.Thread(
            target=lambda: [publisher.publish(make_result()) for _ in iter(lambda: over.wait(0.02), True)]
        )
        thread.start()
        try:
            yield publisher.address
        finally:
            over.set()
            thread.join()


def test_keygen_writes_keys_of_a_role(tmp_path: Path, capsys) -> None:
    assert main(["keygen", str(tmp_path / "k"), "operator", "--role", "control"]) == 0
    assert "--control.clients" in capsys.readouterr().out
    assert load_secret(tmp_path / "k" / "operator.key_secret", frozenset({Role.CONTROL}))
    assert node.run(["keygen", str(tmp_path / "k"), "gpu"]) == 0
    assert (tmp_path / "k" / "gpu.key").is_file()
    with pytest.raises(PublishError, match="exists"):
        keygen.run([str(tmp_path / "k"), "gpu"])
    with pytest.raises(SystemExit):
        keygen.run([])


def test_subscribe_with_and_without_the_right_key(keys: Keys, capsys) -> None:
    with published(keys) as address:
        friend = ["--key", str(keys.friend_secret), "--server-key", str(keys.robot)]
        assert subscribe.run([address, "--count", "1", "--json", *friend]) == 0
        assert json.loads(capsys.readouterr().out)["stream"] == "cam0"
        stranger = ["--key", str(keys.stranger_secret), "--server-key", str(keys.robot)]
        with pytest.raises(PublishError, match=r"nothing heard.*clients"):
            subscribe.run([address, "--timeout-s", "0.4", *stranger])
        with pytest.raises(PublishError, match=r"nothing heard.*If it has keys"):
            subscribe.run([address, "--timeout-s", "0.4"])
        with pytest.raises(ConfigError, match="go together"):
            subscribe.run([address, "--key", str(keys.friend_secret)])


def test_view_with_keys(keys: Keys) -> None:
    aiohttp = pytest.importorskip("aiohttp", reason="needs aiohttp (extra web)")
    code = "import sys; from stream_avs.commands import view; view.run(sys.argv[1:])"
    with published(keys) as address:
        arguments = ["--key", str(keys.friend_secret), "--server-key", str(keys.robot), "--view.port", "0"]
        process = subprocess.Popen(
            [sys.executable, "-c", code, address, *arguments], stderr=subprocess.PIPE, text=True
        )
        assert process.stderr is not None
        url = process.stderr.readline().split()[1]

        async def first_mask() -> bytes:
            stream = url.replace("http", "ws", 1).replace("/#", "/stream?")
            async with (
                aiohttp.ClientSession() as session,
                session.ws_connect(stream, max_msg_size=0) as socket,
                asyncio.timeout(20),
            ):
                while True:
                    data = (await socket.receive()).data
                    if data.startswith(b"latest/cam0\0"):
                        return data

        assert asyncio.run(first_mask())
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
        process.stderr.close()


def test_insecure_stands_for_every_insecure() -> None:
    config = run.parse(["--source", "synthetic", "--publish", "tcp://0.0.0.0:5557", "--insecure"])
    assert config.publish.insecure
    assert config.view.insecure
    assert not run.parse(["--source", "synthetic"]).publish.insecure
    overlay = parse_arguments(OverlayNode, "node overlay", ["--insecure"], None)
    assert overlay.out.insecure


def test_other_machines_need_keys_or_insecure(keys: Keys) -> None:
    """The error names both roads."""
    with pytest.raises(PublishError, match=r"keygen.*--publish\.key.*--insecure"):
        run.run(["--source", "synthetic", "--publish", "tcp://0.0.0.0:*"])
    config = PublishConfig(address="tcp://0.0.0.0:*", key=str(keys.robot_secret), clients=str(keys.readers))
    with Publisher(config, "cam0") as publisher:
        assert publisher.address.startswith("tcp://0.0.0.0:")
