"""The bank's pages and its APIs for payers and for the service."""
