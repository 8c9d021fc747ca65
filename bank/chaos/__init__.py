"""Trouble that is asked for: scenarios and their switches."""
