"""Networks that give each pixel a feature vector, and features from any source by name."""
