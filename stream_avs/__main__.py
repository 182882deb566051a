"""`python -m stream_avs` is `stream-avs`."""

from stream_avs.cli import script

script()
