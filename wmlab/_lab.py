"""Where the server class of `tools.jupyter` was: a `.venv` made then names it in its settings."""

from wmlab.tools.jupyter import PromptConnection

__all__ = ["PromptConnection"]
