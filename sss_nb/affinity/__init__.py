"""The three affinities that join the pixels of an image into one graph."""
