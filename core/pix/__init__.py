"""Pix: keys, BR Codes and KHQR."""
