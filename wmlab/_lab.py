"""Where the server class of `tools.jupyter` was before: a `.venv` made by then names it in its configuration."""

from wmlab.tools.jupyter import PromptConnection

__all__ = ["PromptConnection"]
