"""Controls of panels, which look alike in the whole course."""

import ipywidgets as widgets

WIDE = dict(style=dict(description_width="initial"), layout=dict(width="420px"))


def slider(value, low, high, step, text):
    """A slider for numbers, shown with as many decimals as its step has; for whole numbers if the
    step is one.
    """
    ends = dict(value=value, min=low, max=high, step=step, description=text, **WIDE)
    if isinstance(step, int):
        return widgets.IntSlider(**ends)
    return widgets.FloatSlider(readout_format=f".{len(str(step)) - 2}f", **ends)


def choice(values, text, value=None, name="{:g}".format):
    """A slider over the given values, at the first unless `value` says otherwise; name: function
    from a value to its text.
    """
    options = [(name(each), each) for each in values]
    start = options[0][1] if value is None else value
    return widgets.SelectionSlider(options=options, value=start, description=text, **WIDE)


def buttons(options, text):
    """A row of buttons, one of which is chosen; options: names, or (name, value)."""
    narrow = dict(button_width="auto")
    return widgets.ToggleButtons(options=list(options), description=text, style=narrow)


def menu(options, text):
    """A menu to choose from."""
    return widgets.Dropdown(options=list(options), description=text)
