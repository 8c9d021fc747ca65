"""Mandates: what clients of this bank agree to be charged again and again (Pix Automático)."""
