"""Performance of the service against a bare Flask app on the same server in the same run."""
