"""Who asks, and for which merchant they may act."""
