"""What a page needs that ipywidgets leaves out: words that are read aloud, controls with names,
pictures that keep their width.
"""

import anywidget
import ipywidgets as widgets


class Caption(widgets.HTML):
    """Words that change, as HTML. `PageHelper` makes their place in the page a live region, whose
    new words screen readers say.

    The role has to be the place's, which stays: ipywidgets makes anew all that is in it.
    """

    def __init__(self, value=""):
        super().__init__(value)
        self.add_class("wmlab-said")


class PageHelper(anywidget.AnyWidget):
    """Looks after the box that it lies in, without being seen.

    Sliders and groups of buttons get names, buttons say whether they are pressed, captions are live
    regions and name their pictures, and all pictures are drawn anew when the box has another width.
    """

    _css = """
    .wmlab-picture { overflow: hidden; background: white; border-radius: 10px; box-shadow: 0 0 0 1px #8886; margin: 4px 0; }
    .wmlab-manners { display: none; }
    .widget-html-content { min-width: 0; }  /* so that wide tables of pictures shrink */
    """
    _esm = """
    function named(box) {
        for (const handle of box.querySelectorAll(".noUi-handle, .ui-slider-handle")) {
            set(handle, "aria-label", handle.closest(".jupyter-widgets")?.querySelector(".widget-label")?.textContent);
            set(handle, "data-lm-suppress-shortcuts", "true");  // or Notebook 7 keeps the arrow keys to itself
        }
        for (const number of box.querySelectorAll(".widget-readout[contenteditable=true]")) {
            set(number, "role", "textbox");
            set(number, "aria-label", `${number.closest(".jupyter-widgets")?.querySelector(".widget-label")?.textContent}, typed`);
        }
        for (const group of box.querySelectorAll(".widget-toggle-buttons")) {
            set(group, "role", "group");
            set(group, "aria-label", group.querySelector(".widget-label")?.textContent
                || group.previousElementSibling?.textContent);
        }
        for (const button of box.querySelectorAll(".widget-toggle-button"))
            set(button, "aria-pressed", String(button.classList.contains("mod-active")));
        for (const said of box.querySelectorAll(".wmlab-said")) {
            said.id ||= `said-${crypto.getRandomValues(new Uint32Array(2)).join("-")}`;
            set(said, "role", "status");
        }
        for (const picture of box.querySelectorAll(".wmlab-picture")) {
            const said = picture.parentElement.querySelector(":scope > .wmlab-said");
            if (said) { set(picture, "role", "figure"); set(picture, "aria-labelledby", said.id); }
        }
    }
    function set(element, name, value) {
        if (value && element.getAttribute(name) != value) element.setAttribute(name, value);
    }
    export default { render({ el }) {
        el.classList.add("wmlab-manners");
        let due, width, box;
        const changed = new MutationObserver(() => { due ??= requestAnimationFrame(() => { due = null; named(box); }); });
        const resized = new ResizeObserver(([{ contentRect }]) => {
            if (width && contentRect.width && Math.abs(width - contentRect.width) > 1) {
                clearTimeout(window.wmlabResized);  // one for all boxes of a page
                window.wmlabResized = setTimeout(() => window.dispatchEvent(new Event("resize")), 100);
            }
            width = contentRect.width || width;
        });
        // ipywidgets puts it into its box later
        const waiting = setInterval(() => {
            box = el.parentElement?.closest(".widget-vbox");
            if (!box) return;
            clearInterval(waiting);
            changed.observe(box, { childList: true, subtree: true, attributes: true, attributeFilter: ["class"] });
            resized.observe(box);
            named(box);
        }, 50);
        return () => { clearInterval(waiting); changed.disconnect(); resized.disconnect(); };
    } };
    """
