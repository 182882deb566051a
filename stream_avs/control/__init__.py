"""Commands to a running session over a socket that only listed keys can open."""
