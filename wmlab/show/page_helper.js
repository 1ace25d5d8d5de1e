// What ipywidgets leaves out: controls with names, buttons that say whether they are pressed, captions that are read aloud.

function set(element, name, value) {
    if (value && element.getAttribute(name) != value) element.setAttribute(name, value);
}

function named(box) {
    const label = element => element.closest(".jupyter-widgets")?.querySelector(".widget-label")?.textContent;
    for (const handle of box.querySelectorAll(".noUi-handle, .ui-slider-handle")) {
        set(handle, "aria-label", label(handle));
        set(handle, "data-lm-suppress-shortcuts", "true");  // or Notebook 7 keeps the arrow keys to itself
    }
    for (const number of box.querySelectorAll(".widget-readout[contenteditable=true]")) {
        set(number, "role", "textbox");
        set(number, "aria-label", `${label(number)}, typed`);
    }
    for (const group of box.querySelectorAll(".widget-toggle-buttons")) {
        set(group, "role", "group");
        set(group, "aria-label", group.querySelector(".widget-label")?.textContent || group.previousElementSibling?.textContent);
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

function render({ el }) {
    el.classList.add("wmlab-page-helper");
    let due, box;
    const changed = new MutationObserver(() => { due ??= requestAnimationFrame(() => { due = null; named(box); }); });
    const waiting = setInterval(() => {  // ipywidgets puts it into its box later
        box = el.parentElement?.closest(".widget-vbox");
        if (!box) return;
        clearInterval(waiting);
        changed.observe(box, { childList: true, subtree: true, attributes: true, attributeFilter: ["class"] });
        named(box);
    }, 50);
    return () => { clearInterval(waiting); changed.disconnect(); };
}

export default { render };
