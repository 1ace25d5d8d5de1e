"""Checks of notebook 08, fine-tuning."""

CHECKS = {}
