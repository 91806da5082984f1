"""Measures of mattes, trimaps, and mattes from them."""
