"""Masks to whoever wants them: wire format, ZeroMQ, drawing, overlay video.

The wire format is specified in WIRE.md. Receiving needs numpy, pyzmq and msgspec only.
"""
