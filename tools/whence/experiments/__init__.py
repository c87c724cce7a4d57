"""Experiments of both papers and of Whence's own pages: how each is run, and what it is expected to find."""
