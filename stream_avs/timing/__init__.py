"""Rings, clock filter and join: what was captured when, and what belongs together.

Pure: no devices, no sockets, no threads of its own, and the clock is passed in.
"""
