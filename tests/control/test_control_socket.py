"""Commands over real sockets to a real pipeline, and what the socket does not put up with."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import zmq

sys.path.insert(0, str(Path(__file__).parents[1] / "security"))
sys.path.insert(0, str(Path(__file__).parents[1] / "nodes"))
sys.path.insert(0, str(Path(__file__).parents[1] / "engine"))
from attackers import Keys, raw_client, wait_until
from node_processes import DISC_SEGMENTER, free_port, process
from ramp_model import OWN_THRESHOLD, RampModel, threshold_of

from stream_avs.benchmarks.stand_ins import DiscModel
from stream_avs.capture.synthetic import Synthetic
from stream_avs.commands import control as control_command
from stream_avs.config import RunConfig, SyntheticConfig
from stream_avs.control.client import command
from stream_avs.control.messages import (
    Done,
    Pause,
    Refused,
    Reset,
    Resume,
    State,
    Status,
    decode_reply,
    encode,
)
from stream_avs.control.server import ControlServer
from stream_avs.control.session_socket import ControlSocket
from stream_avs.control.settings import ControlConfig
from stream_avs.errors import ConfigError, PublishError
from stream_avs.ledger import Ledger
from stream_avs.pipeline import Pipeline
from stream_avs.publish.curve import CONTROLLERS, client_of
from stream_avs.types import Event, MaskResult, ResultState

ANY_PORT = "tcp://127.0.0.1:*"


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def config_of(keys: Keys, **changes: object) -> ControlConfig:
    values = {"address": ANY_PORT, "key": str(keys.robot_secret), "clients": str(keys.controllers), **changes}
    return ControlConfig(**values)  # type: ignore[arg-type]


def credentials(keys: Keys) -> dict[str, str]:
    return {"key": str(keys.operator_secret), "server_key": str(keys.robot)}


class _Target:
    def __init__(self) -> None:
        self.asked: list[object] = []

    def carry_out(self, request):
        self.asked.append(request)
        return Done()


@contextmanager
def served(keys: Keys, **changes: object) -> Iterator[tuple[ControlServer, _Target, Ledger]]:
    target, ledger = _Target(), Ledger()
    with ControlServer(config_of(keys, **changes), target, ledger) as server:
        yield server, target, ledger


def test_a_session_is_reset_paused_resumed_and_described(keys: Keys) -> None:
    ledger, results = Ledger(), []
    config = RunConfig(source="synthetic", synthetic=SyntheticConfig(width_px=64, height_px=48))
    socket = ControlSocket(config_of(keys), config)
    pipeline = Pipeline(
        config, Synthetic(config.synthetic), DiscModel(), (results.append,), socket.tap, ledger
    )
    with ExitStack() as stack, pipeline:
        (note,) = socket.open(pipeline, ledger, stack)
        address = note.split()[2].rstrip(":")
        assert address.startswith("tcp://127.0.0.1:")
        pipeline.start()
        wait_until(lambda: results)
        assert command(address, Reset(reason="new scene"), **credentials(keys)) == Done()
        wait_until(lambda: any(r.reset_reason == "new scene" for r in results))
        assert command(address, Pause(), **credentials(keys)) == Done()
        wait_until(lambda: ledger.counts().get(Event.PAUSED, 0) > 3)
        seen = len(results)
        wait_until(lambda: ledger.counts()[Event.PAUSED] > 6)
        assert len(results) <= seen + 1
        state = command(address, Status(), **credentials(keys))
        assert isinstance(state, State)
        assert state.paused
        assert state.source == "synthetic"
        assert (state.source_state, state.source_detail) == ("waiting", "paused")
        assert state.counts["paused"] > 3
        assert command(address, Resume(), **credentials(keys)) == Done()

        def resumed(result: MaskResult) -> bool:
            return result.state is ResultState.RESET and result.reset_reason == "resume"

        wait_until(lambda: any(map(resumed, results)))
    assert ledger.counts()[Event.COMMAND] == 3
    assert "reset by operator" in {e.detail for e in ledger.recent() if e.event is Event.COMMAND}


def test_the_threshold_of_a_session_is_set_and_told(keys: Keys, capsys) -> None:
    ledger, results = Ledger(), []
    config = RunConfig(source="synthetic", synthetic=SyntheticConfig(width_px=64, height_px=48))
    socket = ControlSocket(config_of(keys), config)
    pipeline = Pipeline(
        config, Synthetic(config.synthetic), RampModel(threshold=0.5), (results.append,), socket.tap, ledger
    )
    options = ["--key", str(keys.operator_secret), "--server-key", str(keys.robot)]

    def decided_at(value: float) -> bool:
        return bool(results) and threshold_of(results[-1]) == pytest.approx(value, abs=0.005)

    with ExitStack() as stack, pipeline:
        (note,) = socket.open(pipeline, ledger, stack)
        address = note.split()[2].rstrip(":")
        pipeline.start()
        wait_until(lambda: decided_at(0.5))
        for text, value in (("0.7", 0.7), ("default", OWN_THRESHOLD)):
            assert control_command.run([address, "threshold", text, *options]) == 0
            assert capsys.readouterr().err == f"threshold {text}: done\n"
            wait_until(lambda value=value: decided_at(value))
            assert control_command.run([address, "status", *options]) == 0
            assert f"threshold {value:g}\n" in capsys.readouterr().out
        state = command(address, Status(), **credentials(keys))
        assert isinstance(state, State)
        assert state.threshold == OWN_THRESHOLD
        assert [r.reset_reason for r in results if r.reset_reason] == ["start"]
    told = [entry.detail for entry in ledger.recent() if entry.event is Event.COMMAND]
    assert told == ["threshold 0.7 by operator", "threshold default by operator"]


def test_a_node_is_asked_and_stopped_from_the_command_line(keys: Keys, capsys) -> None:
    masks, control = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    arguments = (
        "--source", "synthetic", "--publish.address", masks, "--control.address", control,
        "--publish.key", str(keys.robot_secret), "--publish.clients", str(keys.readers),
        "--control.clients", str(keys.controllers),  # the key is that of --publish.key
    )  # fmt: skip
    options = ["--key", str(keys.operator_secret), "--server-key", str(keys.robot), "--timeout-s", "30"]
    with process(DISC_SEGMENTER, *arguments) as node:
        assert control_command.run([control, "status", "--json", *options]) == 0
        assert json.loads(capsys.readouterr().out)["reply"] == "state"
        assert control_command.run([control, "status", *options]) == 0
        assert capsys.readouterr().out.startswith("cam0 <- synthetic: ")
        with pytest.raises(PublishError, match="model disc-00000000 has no threshold to set"):
            control_command.run([control, "threshold", "0.5", *options])
        assert control_command.run([control, "stop", *options]) == 0
        _, said = node.communicate(timeout=20)
        assert node.returncode == 0, said
        assert "Traceback" not in said


def test_a_key_taken_out_of_the_folder_commands_nothing_more(keys: Keys) -> None:
    """Also over a connection that was there before."""
    with served(keys) as (server, target, ledger), zmq.Context() as context:
        with raw_client(context, server.address, encode(Pause()), keys.operator_secret, keys.robot) as client:
            assert decode_reply(client.recv()) == Done()
            (keys.controllers / "operator.key").unlink()
            client.send(encode(Pause()))
            # Refused, or not even heard if the connection has ended by now.
            wait_until(lambda: ledger.counts().get(Event.REFUSED))
            assert not client.poll(200) or "no longer listed" in decode_reply(client.recv()).what
        assert len(target.asked) == 1


def test_nonsense_and_floods_are_answered_and_not_carried_out(keys: Keys) -> None:
    with served(keys, max_per_s=2.0) as (server, target, ledger), zmq.Context() as context:
        with raw_client(context, server.address, b"\x00", keys.operator_secret, keys.robot) as client:
            replies = [decode_reply(client.recv())]
            for _ in range(20):
                client.send(encode(Pause()))
                replies.append(decode_reply(client.recv()))
        assert "not understood" in replies[0].what
        assert "too many" in replies[-1].what
        refused = sum(isinstance(reply, Refused) for reply in replies)
        assert len(target.asked) == 21 - refused < 12
        assert ledger.counts()[Event.REFUSED] == refused


def test_oversize_and_malformed_messages_end_the_connection_not_the_service(keys: Keys) -> None:
    with served(keys) as (server, target, ledger), zmq.Context() as context:
        for parts in ([b"", bytes(100_000)], [b"x", b"y", b"z"], [b"no empty frame"], [b""] * 200):
            with context.socket(zmq.DEALER) as client:
                client.linger = 1000
                mine = client_of(**credentials(keys), roles=CONTROLLERS)
                assert mine is not None
                mine.join(client)
                client.connect(server.address)
                client.send_multipart(parts)
                client.poll(50)
        assert not target.asked
        assert command(server.address, Pause(), **credentials(keys)) == Done()
        assert ledger.counts()[Event.REFUSED] >= 2


def test_mistakes_are_told(keys: Keys, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no keys.*--role control"):
        ControlServer(ControlConfig(address=ANY_PORT), _Target())
    with pytest.raises(ConfigError, match=r"--control\.clients"):
        ControlServer(config_of(keys, clients=""), _Target())
    with pytest.raises(PublishError, match=r"of role subscriber.*Expected control"):
        ControlServer(config_of(keys, clients=str(keys.readers)), _Target())
    with pytest.raises(ConfigError, match="needs keys"):
        command("tcp://127.0.0.1:1", Status(), key="", server_key="")
    with pytest.raises(PublishError, match=r"friend\.key_secret is of role subscriber"):
        command("tcp://127.0.0.1:1", Status(), key=str(keys.friend_secret), server_key=str(keys.robot))
    with pytest.raises(PublishError, match=r"no answer.*within 0.1 s"):
        command(f"tcp://127.0.0.1:{free_port()}", Status(), timeout_s=0.1, **credentials(keys))
    with pytest.raises(ConfigError, match="reason"):
        control_command.run(["tcp://127.0.0.1:1", "reset", "--reason", "a\nb"])
    for value in ("", "1", "0", "nan", "half"):
        with pytest.raises(ConfigError, match=f"threshold is '{value}'.*between 0 and 1, or default"):
            control_command.run(["tcp://127.0.0.1:1", "threshold", value])
    with pytest.raises(ConfigError, match=r"status takes no value, found '0\.5'"):
        control_command.run(["tcp://127.0.0.1:1", "status", "0.5"])
    begin_s = time.monotonic()
    with served(keys) as (server, _, _):
        server.close()
    assert time.monotonic() - begin_s < 3
