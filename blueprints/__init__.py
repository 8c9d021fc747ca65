"""One folder for each kind of visitor."""
