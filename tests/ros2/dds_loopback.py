"""DDS on loopback alone: set before the first participant of a process is made."""

from __future__ import annotations

import os

URI = (
    '<CycloneDDS xmlns="https://cdds.io/config"><Domain Id="any">'
    '<General><Interfaces><NetworkInterface name="lo" multicast="false"/></Interfaces>'
    "<AllowMulticast>false</AllowMulticast><MaxMessageSize>65500B</MaxMessageSize></General>"
    "<Discovery><ParticipantIndex>auto</ParticipantIndex><MaxAutoParticipantIndex>60</MaxAutoParticipantIndex>"
    '<Peers><Peer Address="127.0.0.1"/></Peers></Discovery>'
    "</Domain></CycloneDDS>"
)
os.environ["CYCLONEDDS_URI"] = URI

DOMAIN = 60 + os.getpid() % 150
"""Differs between test runs on one machine."""
