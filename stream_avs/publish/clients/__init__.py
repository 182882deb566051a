"""Small readers of the mask stream to copy into other projects; see README.md."""
