"""How a figure becomes a widget: what is sent with it, and where plotly's own widget stays."""

import sys
import types

import plotly.graph_objects as go
import pytest

from wmlab.show.panel import as_widget, live
from wmlab.show.picture import Picture, _plotly

shares = pytest.mark.skipif(
    not hasattr(go.FigureWidget, "_esm"), reason="plotly 5 has its JavaScript elsewhere"
)


def weight(widget):
    return len(str(widget.get_state()))


@shares
def test_plotlys_code_is_sent_once_for_all_figures():
    one, other = live(go.Figure().add_scatter(y=[1, 2])), live(go.Figure().add_bar(y=[1, 2]))
    assert one.get_state()["_holder"] == other.get_state()["_holder"]
    assert weight(one) < 20_000 and weight(other) < 20_000
    held = _plotly()
    assert (
        one._holder == f"IPY_MODEL_{held.model_id}"
        and held.value == str(go.FigureWidget._esm)
        and len(held.value) > 1e6
    )


@shares
def test_a_picture_listens_to_every_message_that_plotly_sends():
    """Or a change would be lost that comes before plotly's code: a new kind of message fails here."""
    sent = {name for name in go.FigureWidget.class_trait_names() if name.startswith("_py2js_")}
    listed = str(Picture._esm).split("[", 1)[1].split("]", 1)[0]
    assert {f"_py2js_{name.strip().strip(chr(34))}" for name in listed.split(",")} == sent


def test_colab_gets_plotlys_own_widget(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    assert not isinstance(live(go.Figure()), Picture)


def test_a_widget_stays_what_it_is():
    picture = live(go.Figure())
    assert as_widget(picture) is picture
