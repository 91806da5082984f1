"""Losses on pairs: of sampled pixels, or of superpixel means."""
