"""Commands for whoever works on the project; the service imports none of them."""
