"""Checks of notebook 09, evasion."""

CHECKS = {}
