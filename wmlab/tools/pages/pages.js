// Draws the figures of a page: data and layout stand beside each place, as the notebook left them.
"use strict";
const NARROWEST = 500;  // pixels in which the words of every figure have room: on a phone it is drawn so wide, and smaller
const PAPER = 640;  // pixels between the margins of a printed page, less the frame of a prediction
const places = [...document.querySelectorAll(".plot")];
const predictions = [...document.querySelectorAll("details")];
const config = { displaylogo: false, modeBarButtonsToRemove: ["sendChartToCloud"] };

// plotly.js takes a title as { text } only
const titled = (name, value) => name === "title" && typeof value === "string" ? { text: value } : value;

function draw(place, width) {
    const figure = place.parentElement;
    const room = width || figure.closest("details, main").clientWidth - 18;  // what is folded has no width of its own
    width = Math.max(room, NARROWEST);
    place.style.zoom = room / width;
    if (place.data) return Plotly.relayout(place, { width: Math.min(width, place.own ?? width) });
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent, titled);
    place.own = layout.width;
    return Plotly.newPlot(place, data, { ...layout, width: Math.min(width, layout.width ?? width) }, config);
}

for (const place of places) draw(place);
for (const each of predictions)  // a figure that was drawn out of sight may have measured its words wrongly
    each.addEventListener("toggle", () => { for (const place of each.querySelectorAll(".plot")) Plotly.redraw(place); });

let due;
addEventListener("resize", () => { clearTimeout(due); due = setTimeout(() => places.forEach(place => draw(place)), 150); });
let opened = [];
addEventListener("beforeprint", () => {
    opened = predictions.filter(each => !each.open);
    for (const each of opened) each.open = true;
    for (const place of places) draw(place, PAPER);
});
addEventListener("afterprint", () => {
    for (const each of opened) each.open = false;
    for (const place of places) draw(place);
});
