"""Semantic image matting: a network that is told what kind of matte it looks at."""
