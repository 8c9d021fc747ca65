"""Recurrences of Pix Automático: what a merchant offers, and what a payer agrees to."""
