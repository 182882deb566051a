"""A socket that ends all its connections, and the doorman who says when."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import zmq

from stream_avs.errors import PublishError
from stream_avs.publish import curve, doorman
from stream_avs.publish.address import parse
from stream_avs.publish.bound_socket import BoundSocket
from stream_avs.publish.doorman import Doorman
from stream_avs.publish.key_files import Role, load_public, make_keys


def bound(address: str, refused: Callable[[str], None] = lambda what: None) -> BoundSocket:
    return BoundSocket(zmq.PUSH, parse(address), server=None, refused=refused, options={zmq.SNDTIMEO: 5000})


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_clients_come_back_to_a_socket_that_began_anew(tmp_path: Path, transport: str) -> None:
    said: list[str] = []
    socket = bound("tcp://127.0.0.1:*" if transport == "tcp" else f"ipc://{tmp_path}/s", said.append)
    with zmq.Context() as context, context.socket(zmq.PULL) as client:
        client.linger = 0
        client.connect(socket.address)
        for k in range(3):
            socket.socket.send(b"%d" % k)
            assert client.poll(5000)
            assert client.recv() == b"%d" % k
            address = socket.address
            socket.begin_anew("new keys")
            assert socket.address == address
    assert said == ["new keys; all connections begin anew"] * 3
    if transport == "ipc":
        assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    socket.close()
    socket.close()


def test_an_address_that_cannot_be_bound_anew_is_tried_again(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    socket = bound(f"ipc://{folder}/s")
    shutil.rmtree(folder)
    with pytest.raises(PublishError, match="cannot be bound"):
        socket.begin_anew("test")
    with pytest.raises(PublishError, match="cannot be bound"):
        socket.bind_again()
    folder.mkdir()
    socket.bind_again()
    with zmq.Context() as context, context.socket(zmq.PULL) as client:
        client.connect(socket.address)
        socket.socket.send(b"back")
        assert client.poll(5000)
    socket.close()
    socket.bind_again()
    assert socket.socket.closed


def test_a_key_counts_as_taken_out_when_it_is_missing_twice_in_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doorman, "LOOK_S", 3600.0)
    _, secret = make_keys(tmp_path, "robot")
    listed = {}
    for name in ("ann", "ben", "cho"):
        path, _ = make_keys(tmp_path / "readers", name, Role.SUBSCRIBER)
        path.with_suffix(".key_secret").unlink()
        listed[path] = load_public(path)
    server = curve.server_of(str(secret), str(tmp_path / "readers"), "--test")
    assert server is not None
    with zmq.Context() as context:
        guard = Doorman(context, server.allowed, lambda what: None)
        (ann, ann_key), (ben, ben_key), (cho, _) = listed.items()
        assert guard.callback("", ann_key)
        assert guard.callback("", ben_key)

        text = ann.read_text()
        ann.unlink()
        guard.look()
        ann.write_text(text)
        guard.look()
        ann.unlink()
        cho.unlink()  # never connected: no reason to disturb anybody
        guard.look()
        assert guard.revoked == ""
        guard.look()
        assert guard.revoked == "ann"
        ben.write_text("no key any more")
        guard.look()
        guard.look()
        assert guard.revoked == "ann, ben"
        assert not guard.callback("", ann_key)
        guard.stop()
