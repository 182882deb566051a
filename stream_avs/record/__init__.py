"""Recordings: everything that was seen, heard and decided, in one MCAP file, and the way back.

FORMAT.md says what is in a file. Needs the package mcap; no torch.
"""
