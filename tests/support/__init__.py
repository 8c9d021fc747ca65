"""What the tests stand on: servers, databases, a browser, and the fixtures for them."""
