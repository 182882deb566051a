"""Newest mask of a stream, NumPy and pyzmq alone: python latest_mask.py tcp://127.0.0.1:5557 [cam0]

For a publisher with keys: python latest_mask.py ADDRESS STREAM OWN.key_secret PUBLISHER.key
"""

import struct
import sys
import zlib
from typing import Any

import numpy as np
import zmq
from zmq.auth import load_certificate

NUMBERS = {0xCA: ">f", 0xCB: ">d", 0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q"}
NUMBERS |= {0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
LONG = {0xD9: ("text", ">B"), 0xDA: ("text", ">H"), 0xDC: ("list", ">H"), 0xDE: ("map", ">H")}


def unpack(data: bytes, at: int) -> tuple[Any, int]:
    """One msgpack value that begins at `at`, and where the next begins."""
    tag = data[at]
    if tag in NUMBERS:
        return struct.unpack_from(NUMBERS[tag], data, at + 1)[0], at + 1 + struct.calcsize(NUMBERS[tag])
    if tag < 0x80 or tag >= 0xE0:
        return (tag if tag < 0x80 else tag - 256), at + 1
    if tag in LONG:
        kind, form = LONG[tag]
        n, at = struct.unpack_from(form, data, at + 1)[0], at + struct.calcsize(form)
    else:
        kind = "map" if tag < 0x90 else "list" if tag < 0xA0 else "text"
        n = tag & (31 if kind == "text" else 15)
    if kind == "text":
        return data[at + 1 : at + 1 + n].decode(), at + 1 + n
    values, at = [], at + 1
    for _ in range(n * (2 if kind == "map" else 1)):
        value, at = unpack(data, at)
        values.append(value)
    return (dict(zip(values[::2], values[1::2], strict=True)) if kind == "map" else values), at


def read(frame: bytes) -> tuple[dict[str, Any], Any]:
    """Header and class ids, uint8 [h, w], of a message of profile "latest" in the default encoding."""
    start = frame.index(0) + 5
    header, end = unpack(frame, start)
    if header["v"] != 1 or header["encoding"] != "packbits+zlib":
        raise ValueError(f"version {header['v']}, encoding {header['encoding']}")
    width, height = header["mask_size"]
    ids = np.array(header["class_ids"], np.uint8)
    raw = zlib.decompress(frame[end : end + header["payload_bytes"][0]])
    planes = np.frombuffer(raw, np.uint8).reshape(len(ids), (width * height + 7) // 8)
    bits = np.unpackbits(planes, axis=1, count=width * height)
    return header, (bits * ids[:, None]).sum(axis=0, dtype=np.uint8).reshape(height, width)


if __name__ == "__main__":
    socket: Any = zmq.Context.instance().socket(zmq.SUB)
    socket.setsockopt(zmq.CONFLATE, 1)  # the newest only: one socket, one subscription, set before connecting
    socket.setsockopt_string(zmq.SUBSCRIBE, f"latest/{(sys.argv[2:] or ['cam0'])[0]}\0")
    if len(sys.argv) > 4:
        socket.curve_publickey, socket.curve_secretkey = load_certificate(sys.argv[3])
        socket.curve_serverkey, _ = load_certificate(sys.argv[4])
    socket.connect(sys.argv[1])
    while True:
        header, mask = read(socket.recv())
        print(header["seq"], header["state"], np.count_nonzero(mask), header["sounding"], flush=True)  # noqa: T201
