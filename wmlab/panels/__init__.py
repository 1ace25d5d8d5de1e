"""Panels: controls bound to pictures, one file a notebook; the base they share."""
from wmlab.panels.base import Panel, Question, show

__all__ = ["Panel", "Question", "show"]
