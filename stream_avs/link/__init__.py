"""Capture here, segment there: frames and sound from one machine to another over ZeroMQ.

Source ──► MediaSender (a Sink) ──► network ──► ZmqSource (a Source) ──► Pipeline
"""
