"""Which network, and which part of one, is worth its cost: all trained, scored and timed alike."""
