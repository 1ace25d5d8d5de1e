"""The referee: what an attack or a scheme of one's own must stand before its numbers count.

Python has no walls: code that wants to can read another module's memory. What the referee can do is
draw a secret that stands in no file, mark a network with it, and make the keys it judges with only
after the attack has returned.
"""

from wmlab.exam.attack import judge_attack
from wmlab.exam.base import Report
from wmlab.exam.scheme import judge_scheme

__all__ = ["Report", "judge_attack", "judge_scheme"]
