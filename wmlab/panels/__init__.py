"""Panels: controls bound to pictures, one file a notebook; the base they share."""
from wmlab.panels.base import Panel, show
from wmlab.panels.question import Question

__all__ = ["Panel", "Question", "show"]
