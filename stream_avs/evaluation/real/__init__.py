"""Scores on frames of real clips whose sounding objects were outlined by eye."""
