"""What the tests of lessons share."""

import pytest

from wmlab import lessons


@pytest.fixture
def said(monkeypatch):
    """The sentences that checks of exercises say, in a list that grows."""
    sentences = []
    monkeypatch.setattr(lessons, "_say", sentences.append)
    return sentences
