"""The simulated bank: an application of its own that reaches the service over HTTP alone."""
