"""Send one command to a running session and return its answer."""

from __future__ import annotations

import zmq

from stream_avs.control.messages import MAX_REPLY_BYTES, Refused, Reply, Request, decode_reply, encode
from stream_avs.control.server import HANDSHAKE_BYTES
from stream_avs.errors import ConfigError, PublishError
from stream_avs.publish import curve
from stream_avs.publish.address import parse
from stream_avs.publish.key_files import MAKE_KEYS


def command(address: str, request: Request, *, key: str, server_key: str, timeout_s: float = 5.0) -> Reply:
    """Send a command; returns `Done` or `State`.

    Args:
        address: where the session takes commands, e.g. tcp://127.0.0.1:5558.
        request: the command.
        key: path of one's own secret key file, of role control.
        server_key: path of the session's public key file; nobody else is believed.
        timeout_s: how long to wait for the answer.

    Raises:
        ConfigError: no keys.
        PublishError: the address is malformed, a key file is no good, nobody answers, or the session
            refuses.
        WireError: the answer is no answer.
    """
    keys = curve.client_of(key, server_key, "--", roles=curve.CONTROLLERS)
    if keys is None:
        raise ConfigError(
            "a command needs keys",
            f"Make one with `{MAKE_KEYS} --role control`, and give --key and --server-key",
        )
    place = parse(address)
    with zmq.Context() as context:
        socket: zmq.Socket[bytes] = context.socket(zmq.REQ)
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.MAXMSGSIZE, MAX_REPLY_BYTES + HANDSHAKE_BYTES)
        socket.setsockopt(zmq.IPV6, int(place.is_ipv6))
        keys.join(socket)
        with socket:
            reply = _ask(socket, place.text, request, timeout_s)
    if isinstance(reply, Refused):
        raise PublishError(f"{address}: {reply.what}", reply.next_step)
    return reply


def _ask(socket: zmq.Socket[bytes], address: str, request: Request, timeout_s: float) -> Reply:
    try:
        socket.connect(address)
        socket.send(encode(request))
        if not socket.poll(round(timeout_s * 1000)):
            raise PublishError(
                f"no answer from {address} within {timeout_s:g} s",
                "Does it run with --control.address, is this key in its --control.clients,"
                " and is --server-key its own?",
            )
        return decode_reply(socket.recv())
    except zmq.ZMQError as error:
        raise PublishError(f"cannot connect to {address}: {error}", "Check the address") from None
