"""What every door shares: bodies, errors, headers, request ids, metrics, health, API documents."""
