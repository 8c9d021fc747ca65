"""The official document of API Pix: read, mended, extended, and cut to what is served."""
