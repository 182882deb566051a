"""Masks, frames and sound, commands: who is not listed gets nothing, and neither does a recording."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq
from attackers import Keys, RecordedServer, Wiretap, raw_client, replay_to_server, wait_until

sys.path.insert(0, str(Path(__file__).parents[1] / "publish"))
from wire_results import make_result

from stream_avs.config import PublishConfig
from stream_avs.control.messages import Done, Reply, Request, Reset, encode
from stream_avs.control.server import ControlServer
from stream_avs.control.settings import ControlConfig
from stream_avs.ledger import Ledger
from stream_avs.link.sender import MediaSender
from stream_avs.link.settings import LinkConfig
from stream_avs.publish import curve
from stream_avs.publish.key_files import Role, make_keys
from stream_avs.publish.subscriber import Subscriber
from stream_avs.publish.zeromq import Publisher
from stream_avs.types import Event

IMAGE = np.zeros((8, 8, 3), np.uint8)
ANY_PORT = "tcp://127.0.0.1:*"
services = pytest.mark.parametrize("name", ["masks", "link", "control"])


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@dataclass
class Service:
    """Something that listens, with all a test needs of it."""

    address: str
    give: Callable[[], Any]
    say: bytes | None
    taken: Callable[[], int]
    own: Path
    allowed: Path
    ledger: Ledger


class _Target:
    def __init__(self) -> None:
        self.asked: list[Request] = []

    def carry_out(self, request: Request) -> Reply:
        self.asked.append(request)
        return Done()


@contextmanager
def serve(name: str, keys: Keys) -> Iterator[Service]:
    """Run a service with keys."""
    ledger = Ledger()
    robot = str(keys.robot_secret)
    if name == "masks":
        with Publisher(
            PublishConfig(address=ANY_PORT, key=robot, clients=str(keys.readers)), "cam0", ledger
        ) as publisher:
            yield Service(
                publisher.address, lambda: publisher.publish(make_result()), None,
                lambda: publisher.subscribers, keys.friend_secret, keys.readers, ledger,
            )  # fmt: skip
    elif name == "link":
        config = LinkConfig(address=ANY_PORT, key=robot, clients=str(keys.readers))
        with MediaSender(config, "cam0", ledger) as sender:
            yield Service(
                sender.address, lambda: sender.frame(IMAGE, time.monotonic_ns(), 0), None,
                lambda: sender.subscribers, keys.friend_secret, keys.readers, ledger,
            )  # fmt: skip
    else:
        target = _Target()
        control = ControlConfig(address=ANY_PORT, key=robot, clients=str(keys.controllers))
        with ControlServer(control, target, ledger) as server:
            yield Service(
                server.address, lambda: None, encode(Reset(reason="moved")),
                lambda: len(target.asked), keys.operator_secret, keys.controllers, ledger,
            )  # fmt: skip


@services
def test_only_a_listed_key_gets_anything(name: str, keys: Keys) -> None:
    with serve(name, keys) as service, zmq.Context() as context:

        def client(secret: Path | None = None, server: Path | None = None) -> zmq.Socket[bytes]:
            return raw_client(context, service.address, service.say, secret, server)

        strangers = [
            client(),  # no keys
            client(keys.stranger_secret, keys.robot),  # a key nobody listed
            client(service.own, keys.stranger),  # takes somebody else for the server
            client(
                keys.operator_secret if service.own == keys.friend_secret else keys.friend_secret, keys.robot
            ),  # listed, but for something else
        ]
        wait_until(lambda: service.ledger.counts().get(Event.REFUSED, 0) >= 2, service.give)
        friend = client(service.own, keys.robot)
        wait_until(lambda: friend.poll(0), service.give)
        assert [s.poll(50) for s in strangers] == [0, 0, 0, 0]
        assert service.taken() == 1
        for socket in (friend, *strangers):
            socket.close()


@services
def test_a_replayed_client_gets_nothing(name: str, keys: Keys) -> None:
    with serve(name, keys) as service, zmq.Context() as context:
        tap = Wiretap(service.address)
        friend = raw_client(context, tap.address, service.say, service.own, keys.robot)
        wait_until(lambda: friend.poll(0), service.give)
        said = [chunk.data for chunk in tap.chunks if not chunk.from_client]
        assert b"READY" in b"".join(said)
        assert b"MESSAGE" in b"".join(said)
        taken = service.taken()
        heard = replay_to_server(service.address, list(tap.chunks))
        # The greeting and a cookie are for anyone; what is behind the handshake is not.
        assert b"WELCOME" in heard
        assert b"READY" not in heard
        assert b"MESSAGE" not in heard
        service.give()
        assert service.taken() == taken
        friend.close()
        tap.close()


def test_a_replayed_publisher_is_not_believed(keys: Keys) -> None:
    with serve("masks", keys) as service:
        tap = Wiretap(service.address)
        settings = {"key": str(keys.friend_secret), "server_key": str(keys.robot)}
        with Subscriber(tap.address, **settings) as subscriber:
            wait_until(lambda: subscriber.recv(0.02), service.give)
        tap.close()
    recorded = RecordedServer(tap.chunks)
    with Subscriber(recorded.address, **settings) as subscriber:
        assert subscriber.recv(0.7) is None
    assert recorded.visits
    recorded.close()


def test_without_its_doorman_a_service_lets_nobody_in(keys: Keys) -> None:
    """ZeroMQ's own default lets everyone in when there is no authenticator."""
    with zmq.Context() as context:
        server = context.socket(zmq.XPUB)
        guard = curve.server_of(str(keys.robot_secret), str(keys.readers), "--test")
        assert guard is not None
        authenticator = guard.guard(context, server)
        port = server.bind_to_random_port("tcp://127.0.0.1")
        authenticator.stop()
        with raw_client(context, f"tcp://127.0.0.1:{port}", None, keys.friend_secret, keys.robot) as friend:
            end_s = time.monotonic() + 0.5
            while time.monotonic() < end_s:
                server.send(b"secret")
                assert not friend.poll(10)
        server.close(0)


@services
def test_keys_come_and_go_without_a_restart(name: str, keys: Keys) -> None:
    with serve(name, keys) as service, zmq.Context() as context:
        (service.allowed / "friend2.key").write_bytes(service.own.with_suffix(".key").read_bytes())
        for path in service.allowed.glob("*.key"):
            path.unlink()

        def heard() -> bool:
            with raw_client(context, service.address, service.say, service.own, keys.robot) as friend:
                end_s = time.monotonic() + (0.4 if not any(service.allowed.iterdir()) else 5.0)
                while time.monotonic() < end_s:
                    service.give()
                    if friend.poll(10):
                        return True
            return False

        assert not heard()
        (service.allowed / "again.key").write_bytes(service.own.with_suffix(".key").read_bytes())
        assert heard()


def list_another(service: Service, folder: Path) -> Path:
    """Let a second client in, of the same role; returns its secret key file."""
    role = Role.CONTROL if service.say is not None else Role.SUBSCRIBER
    public, secret = make_keys(folder, "another", role)
    (service.allowed / public.name).write_bytes(public.read_bytes())
    return secret


def has_shown_out(service: Service, name: str) -> bool:
    return any(f"key taken out: {name};" in entry.detail for entry in service.ledger.recent())


@services
def test_a_key_taken_out_shows_its_owner_out_and_nobody_else(name: str, keys: Keys, tmp_path: Path) -> None:
    with serve(name, keys) as service, zmq.Context() as context:
        another = list_another(service, tmp_path)
        leaver, stayer = (
            raw_client(context, service.address, service.say, secret, keys.robot)
            for secret in (service.own, another)
        )
        for client in (leaver, stayer):
            wait_until(lambda client=client: client.poll(0), service.give)
            client.recv_multipart()
        (service.allowed / f"{service.own.stem}.key").unlink()
        wait_until(lambda: has_shown_out(service, service.own.stem), service.give)
        for client in (leaver, stayer):
            while client.poll(0):  # what was sent before
                client.recv_multipart()
            if service.say is not None:
                client.send(service.say)
        taken = service.taken()
        for _ in range(3):
            wait_until(lambda: stayer.poll(0), service.give)
            stayer.recv_multipart()
            if service.say is not None:
                stayer.send(service.say)
        assert not leaver.poll(100)
        wait_until(lambda: service.taken() >= (1 if service.say is None else taken + 3), service.give)
        assert sum("key taken out" in entry.detail for entry in service.ledger.recent()) == 1
        for client in (leaver, stayer):
            client.close()


def test_readers_whose_keys_stay_come_back_by_themselves(keys: Keys, tmp_path: Path) -> None:
    with serve("masks", keys) as service:
        another = list_another(service, tmp_path)
        settings = {"profile": "stream", "server_key": str(keys.robot)}
        with (
            Subscriber(service.address, key=str(service.own), **settings) as leaver,
            Subscriber(service.address, key=str(another), **settings) as stayer,
        ):
            wait_until(lambda: leaver.recv(0) and stayer.recv(0), service.give)
            (service.allowed / f"{service.own.stem}.key").unlink()
            wait_until(lambda: has_shown_out(service, service.own.stem), service.give)
            while leaver.recv(0) or stayer.recv(0):
                pass
            wait_until(lambda: stayer.recv(0), service.give)
            assert service.taken() == 1
            assert leaver.recv(0.1) is None
        with Subscriber(service.address, key=str(service.own), **settings) as leaver:
            for _ in range(20):
                service.give()
                assert leaver.recv(0.01) is None
