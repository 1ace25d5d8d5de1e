"""What ipywidgets leaves out of a page: words that are read aloud, and controls with names."""

import pathlib

import anywidget
import ipywidgets as widgets


class Caption(widgets.HTML):
    """Words that change, as HTML. `PageHelper` makes their place in the page a live region, whose
    new words screen readers say. The role has to be the place's, which stays: ipywidgets makes anew
    all that is in it.
    """

    def __init__(self, value=""):
        super().__init__(value)
        self.add_class("wmlab-said")


class PageHelper(anywidget.AnyWidget):
    """Looks after the box that it lies in, without being seen (`page_helper.js`)."""

    _esm = pathlib.Path(__file__).with_name("page_helper.js")
    _css = pathlib.Path(__file__).with_name("page.css")
