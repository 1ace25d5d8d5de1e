// A plotly figure in the page. The kernel sends the whole figure, one message a picture; `Plotly.react` finds what changed.

// Arrays travel as binary. A grid becomes one typed array a row, as plotly takes it.
const KINDS = {
    float32: Float32Array, float64: Float64Array, int8: Int8Array, uint8: Uint8Array,
    int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
};

function unpacked(value) {
    if (value instanceof Object && value.wmlab_array) {
        const { dtype, shape } = value.wmlab_array, { buffer, byteOffset, byteLength } = value.bytes;
        const flat = new KINDS[dtype](buffer.slice(byteOffset, byteOffset + byteLength));
        if (shape.length === 1) return flat;
        const [rows, columns] = shape;
        return Array.from({ length: rows }, (_, row) => flat.subarray(row * columns, (row + 1) * columns));
    }
    if (Array.isArray(value)) return value.map(unpacked);
    if (value instanceof Object && !ArrayBuffer.isView(value))
        return Object.fromEntries(Object.entries(value).map(([name, part]) =>
            // plotly.js takes a title as { text } only, and leaves out one that is a string
            [name, name === "title" && typeof part === "string" ? { text: part } : unpacked(part)]));
    return value;
}

// plotly's JavaScript, once a page: from its public address if there is one, else from the widget of the kernel that holds it.
function plotly(model) {
    globalThis.wmlabPlotly ??= {};
    const holder = model.get("holder"), address = model.get("address");
    return globalThis.wmlabPlotly[holder || address] ??= address ? fromAddress(address) : fromKernel(model, holder);
}

async function fromAddress(address) {
    await new Promise((done, failed) => {
        const script = Object.assign(document.createElement("script"), { src: address, onload: done, onerror: failed });
        document.head.append(script);
    });
    return globalThis.Plotly;
}

async function fromKernel(model, holder) {
    const packed = (await model.widget_manager.get_model(holder.replace("IPY_MODEL_", ""))).get("value");
    // It keeps a slow page busy for seconds, so the other widgets start first: anywidget gives each of them 2 s.
    await new Promise(done => globalThis.requestIdleCallback?.(done, { timeout: 1000 }) ?? setTimeout(done));
    const bytes = Uint8Array.from(atob(packed), letter => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const code = await new Response(stream).text();
    const around = ["const module = { exports: {} }, exports = module.exports, define = undefined;\n",
        code, "\nexport default module.exports;"];
    const url = URL.createObjectURL(new Blob(around, { type: "text/javascript" }));
    try {
        const loaded = (await import(url)).default;
        return loaded.newPlot ? loaded : globalThis.Plotly;
    } finally {
        URL.revokeObjectURL(url);
    }
}

function render({ model, el }) {
    el.classList.add("wmlab-picture");
    const place = el.appendChild(document.createElement("div"));
    let code, due, gone;

    function draw() {
        due = null;
        if (gone) return;
        const { data, layout } = unpacked(model.get("figure"));
        const config = { responsive: true, displaylogo: false, ...model.get("config") };
        place.style.minHeight = `${layout.height ?? 450}px`;
        place.style.minWidth = `${layout.meta?.least ?? 0}px`;  // of a narrower page the picture is scrolled
        code.react(place, data, { autosize: layout.width === undefined, ...layout }, config);
        if (!place.listens) {
            place.listens = true;
            el.dataset.drawn = "yes";
            place.on("plotly_relayout", moved => {
                if (!Object.keys(moved).some(name => name.startsWith("shapes["))) return;
                model.set("dragged", moved);
                model.save_changes();
            });
            place.on("plotly_click", ({ points: [{ x, y }] }) => {
                model.set("clicked", { x, y, at: Date.now() });  // a second click on one place is news, too
                model.save_changes();
            });
        }
    }
    // Several pictures that arrive within one frame are drawn once: the last of them.
    const changed = () => { if (code) due ??= setTimeout(draw); };
    model.on("change:figure", changed);
    const resized = new ResizeObserver(() => { if (place.listens && el.offsetWidth) code.Plots.resize(place); });
    // Returns at once: anywidget gives a widget 2 s to start, and plotly may take longer to come.
    plotly(model).then(loaded => { code = loaded; draw(); resized.observe(el); });
    return () => {
        gone = true;
        resized.disconnect();
        model.off("change:figure", changed);
        if (place.listens) code.purge(place);
    };
}

export default { render };
