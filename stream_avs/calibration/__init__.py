"""Calibration: camera intrinsics, the shift between camera and microphone stamps, microphone level."""
