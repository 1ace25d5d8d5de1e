// A plotly figure whose JavaScript (5 MB) another widget holds, once for all figures: see picture.py.

const FROM_KERNEL = ["addTraces", "deleteTraces", "moveTraces", "restyle", "relayout", "update", "animate",
                     "removeLayoutProps", "removeTraceProps"].map(message => `_py2js_${message}`);

// plotly's own widget, loaded once a page; `holder` is the reference to the widget that holds its code.
function plotly(model, holder) {
    globalThis.wmlabPlotly ??= {};
    return globalThis.wmlabPlotly[holder] ??= load(model.widget_manager.get_model(holder.replace("IPY_MODEL_", "")));
}

async function load(model) {
    const code = new Blob([(await model).get("value")], { type: "text/javascript" }), address = URL.createObjectURL(code);
    // It keeps a slow page busy for seconds, so the other widgets start first: anywidget gives each of them 2 s.
    await new Promise(done => globalThis.requestIdleCallback?.(done, { timeout: 1000 }) ?? setTimeout(done));
    return import(address).finally(() => URL.revokeObjectURL(address));
}

// In one message for several traces plotly marks what a trace keeps by "_undefined_", and then writes that over its data, unless
// the picture is on the page already.
function mend(content) {
    for (const key in content) {
        if (content[key] === "_undefined_") content[key] = undefined;
        else if (content[key] instanceof Object && !ArrayBuffer.isView(content[key])) mend(content[key]);
    }
}

export default () => {
    let figure;
    return {
        // Returns at once, for the same reason. What the kernel says meanwhile is kept and said again.
        initialize({ model }) {
            let missed = [];
            for (const message of FROM_KERNEL) {
                model.on(`change:${message}`, () => {
                    const content = model.get(message);
                    mend(content);
                    if (content !== null) missed?.push([message, content]);
                });
            }
            figure = plotly(model, model.get("_holder")).then(code => {
                const widget = code.default(), said = missed;
                missed = null;
                widget.initialize({ model });
                for (const [message, content] of said) {
                    model.set(message, content);
                    model.set(message, null);
                }
                return widget;
            });
        },
        async render(place) {
            return (await figure).render(place);
        },
    };
};
