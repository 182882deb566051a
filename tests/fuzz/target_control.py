"""What travels on the control socket, and the files of keys that guard it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
from fuzzing import Target, in_file
from msgspec.structs import fields

from stream_avs.control.messages import (
    Done,
    Refused,
    Reset,
    State,
    Status,
    Threshold,
    decode_reply,
    decode_request,
    encode,
)
from stream_avs.publish.key_files import Role, load_public, load_secret, make_keys

SAMPLES: dict[str, object] = {
    "None": None, "dict": {"superseded": 4}, "bool": True, "float": 9.5, "int": 3, "str": "a",
}  # fmt: skip
"""By what is in the name of a field's type."""


def _requests() -> list[bytes]:
    return [encode(Status()), encode(Reset(reason="scene changed")), encode(Threshold(value=0.55))]


def _replies() -> list[bytes]:
    values = {"reply": "state"}
    values |= {f.name: SAMPLES[next(k for k in SAMPLES if k in str(f.type))] for f in fields(State)}
    return [msgspec.msgpack.encode(values), encode(Done()), encode(Refused(what="no", next_step="ask"))]


def _key(path: Path) -> object:
    path.chmod(0o600)
    return load_public(path), load_secret(path, frozenset({Role.CONTROL}))


def _keys() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        public, secret = make_keys(Path(folder), "a", Role.CONTROL)
        return [secret.read_bytes(), public.read_bytes()]


TARGETS = (
    Target(name="control-request", decode=decode_request, seeds=_requests, form="msgpack", max_bytes=1024),
    Target(name="control-reply", decode=decode_reply, seeds=_replies, form="msgpack"),
    Target(name="key-file", decode=in_file(_key, ".key_secret"), seeds=_keys, max_bytes=1024),
)
