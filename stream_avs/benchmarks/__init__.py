"""Measurements anyone can repeat: `stream-avs bench`. Each returns a dataclass that goes to JSON."""
