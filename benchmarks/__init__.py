"""How fast, measured against a bare Flask app on the same server in the same run."""
