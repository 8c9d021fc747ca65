"""A client of Banco Central's API Pix, for real banks."""
