"""HTTP for all blueprints: bodies, errors, headers, request ids, metrics, health, API docs."""
