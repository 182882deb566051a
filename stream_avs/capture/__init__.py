"""Sources: what turns devices, files and streams into stamped frames and audio blocks."""
