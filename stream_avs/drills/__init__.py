"""What goes wrong on robots, done on purpose: each drill breaks one thing and measures how it mends."""
