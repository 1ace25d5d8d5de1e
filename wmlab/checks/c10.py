"""Checks of notebook 10, the extra class."""

CHECKS = {}
