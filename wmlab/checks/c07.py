"""Checks of notebook 07, pruning."""

CHECKS = {}
