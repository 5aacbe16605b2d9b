"use strict";
const all = (selector, root = document) => [...root.querySelectorAll(selector)];

// tables: sorted by a column; what a row opens goes with it
for (const table of all("table.results")) {
  const heads = [...table.tHead.rows[0].cells];
  const key = (body, column) => {
    const cell = body.rows[0].cells[column];
    const text = cell.textContent.trim();
    const number = Number(cell.dataset.value ?? (text || NaN));
    return Number.isNaN(number) ? text : number;
  };
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b
      : typeof a === "number" ? -1 : typeof b === "number" ? 1 : a.localeCompare(b);
  heads.forEach((head, column) => head.querySelector("button")?.addEventListener("click", () => {
    const order = head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending";
    const sign = order === "ascending" ? 1 : -1;
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    table.append(...[...table.tBodies].sort((a, b) => sign * compare(key(a, column), key(b, column))));
  }));
}

// paper: everything is open
addEventListener("beforeprint", () => all("details:not([open])").forEach((d) => { d.open = true; d.dataset.shut = ""; }));
addEventListener("afterprint", () => all("details[data-shut]").forEach((d) => { d.open = false; delete d.dataset.shut; }));

// values: of the point of a line that is nearest to the pointer
const shown = document.getElementById("value");
const axis = (text) => {
  const [start, end, low, high, log] = text.split(" ").map(Number);
  return (place) => {
    const value = low + (place - start) / (end - start) * (high - low);
    return Number((log ? 10 ** value : value).toPrecision(4));
  };
};
const nearest = (svg, event) => {
  const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
  let best = { far: 24 };
  for (const line of svg.querySelectorAll("polyline[data-name]")) {
    for (const point of line.points) {
      const far = Math.hypot(point.x - at.x, point.y - at.y);
      if (far < best.far) best = { far, point, name: line.dataset.name };
    }
  }
  return best;
};
for (const svg of all("svg[data-x]")) {
  const [x, y] = [axis(svg.dataset.x), axis(svg.dataset.y)];
  svg.addEventListener("pointermove", (event) => {
    const { point, name } = nearest(svg, event);
    shown.hidden = !point;
    if (!point) return;
    shown.textContent = `${name}: ${y(point.y)} at ${x(point.x)}`;
    shown.style.left = `${Math.min(event.pageX + 14, document.documentElement.clientWidth - shown.offsetWidth - 4)}px`;
    shown.style.top = `${event.pageY + 14}px`;
  });
  svg.addEventListener("pointerleave", () => { shown.hidden = true; });
}

// pictures: each as a file of its own, with the colors that it has now
const KEPT = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin",
  "opacity", "font-size", "font-family", "font-weight", "text-anchor"];
const picture = (svg) => {
  const copy = svg.cloneNode(true);
  const [, , width, height] = svg.getAttribute("viewBox").split(" ");
  const copies = [copy, ...copy.querySelectorAll("*")];
  [svg, ...svg.querySelectorAll("*")].forEach((from, k) => {
    const style = getComputedStyle(from);
    KEPT.forEach((name) => copies[k].setAttribute(name, style.getPropertyValue(name)));
    copies[k].removeAttribute("class");
  });
  const paper = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  const back = getComputedStyle(svg.closest(".card") ?? document.body).backgroundColor;
  Object.entries({ width, height, fill: back }).forEach(([name, value]) => paper.setAttribute(name, value));
  copy.prepend(paper);
  Object.entries({ width, height }).forEach(([name, value]) => copy.setAttribute(name, value));
  copy.querySelectorAll("a").forEach((link) => link.replaceWith(...link.childNodes));
  return new XMLSerializer().serializeToString(copy);
};
for (const button of all("button.save")) {
  button.addEventListener("click", () => {
    const svg = (button.closest("figcaption")?.parentElement ?? button.parentElement).querySelector("svg.chart");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([picture(svg)], { type: "image/svg+xml" }));
    link.download = `${button.dataset.name.replace(/[^A-Za-z0-9]+/g, "_").slice(0, 80)}.svg`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}

// links into what is shut open it
const reveal = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  const shut = target?.closest("details") ?? target?.nextElementSibling?.querySelector("details");
  if (shut && target.matches("tr")) { shut.open = true; target.scrollIntoView(); }
};
addEventListener("hashchange", reveal);
reveal();
