"""How a socket that connects notices that the other end has vanished: by TCP's keepalive.

Not by ZeroMQ's heartbeat. A reader whose queue is full takes nothing in, answers to its heartbeat neither, so
ZeroMQ ends the connection; and when the reader then reads on, libzmq (4.3.5) ends the whole process with
"Assertion failed: _input_stopped". Keepalives are answered by the other end's kernel, whether anybody
reads or not.
"""

from __future__ import annotations

import zmq

VANISHED_S = 4
"""Without any sign of the other end for so long, the connection is ended and made again."""

KEEPALIVE = {
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 1,
    zmq.TCP_KEEPALIVE_INTVL: 1,
    zmq.TCP_KEEPALIVE_CNT: VANISHED_S - 1,
    # Keepalives are only sent while nothing waits for an acknowledgement; this holds while something does.
    zmq.TCP_MAXRT: 1000 * VANISHED_S,
}
"""Options to set before connecting; of no effect on ipc, where nobody can vanish unnoticed."""
