"""How the networks are trained: losses, data sets, measures of quality, and the training itself."""
