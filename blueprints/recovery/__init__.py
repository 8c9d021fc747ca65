"""Recovery: find the payment of a QR's picture or text. Recovery never moves money."""
