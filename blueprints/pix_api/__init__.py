"""API Pix 2.9.0, Banco Central's interface for shops, on the same payments."""
