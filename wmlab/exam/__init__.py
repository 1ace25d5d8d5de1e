"""The exam: what an attack or a scheme of one's own must pass before its numbers count.

Python code can read the memory of another module, so an exam cannot hide everything. It draws a
secret that stands in no file, marks a network with it, and makes the keys only after the attack has
returned.
"""

from wmlab.exam.attack import judge_attack
from wmlab.exam.base import Report
from wmlab.exam.scheme import judge_scheme

__all__ = ["Report", "judge_attack", "judge_scheme"]
