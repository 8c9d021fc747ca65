"""The simulated bank, and every bank that speaks the same protocol of signed messages."""
