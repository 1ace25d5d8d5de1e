"""What lessons show with: the panel, the question, the picture, the figures."""

from wmlab.show.panel import Panel, show
from wmlab.show.question import Question

__all__ = ["Panel", "Question", "show"]
