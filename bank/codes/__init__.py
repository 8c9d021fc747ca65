"""Reads BR Codes, from text or pictures, and fetches the charges behind them."""
