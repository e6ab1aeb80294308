"use strict";
// What the page gains by a script; without it all images and tables are there as they are.
// An image is called what stands before the colon in its alternative text.

const NUMBER = /^([+\-\u2212]?)(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(\.\d+)?(e[+-]?\d+)?(?:\/(\d+))?/i;
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// The number that a cell begins with, whatever unit, spread or interval follows; NaN if there is none.
function numberOf(text) {
  const found = NUMBER.exec(text);
  if (!found) return NaN;
  const [, sign, whole, part = "", power = "", divisor = 1] = found;
  return (Number(whole.replaceAll(",", "") + part + power) / divisor) * (sign && sign !== "+" ? -1 : 1);
}

// The rows in the order of a column's cells; what was not measured comes last either way.
function sorted(rows, column, direction) {
  const textOf = (row) => row.cells[column].textContent.trim();
  const isMissing = (row) => ["", "not measured"].includes(textOf(row));
  const measured = rows.filter((row) => !isMissing(row));
  const byNumber = (a, b) => numberOf(textOf(a)) - numberOf(textOf(b));
  const byText = (a, b) => textOf(a).localeCompare(textOf(b), "en", { numeric: true });
  const compare = measured.some((row) => Number.isNaN(numberOf(textOf(row)))) ? byText : byNumber;
  measured.sort((a, b) => (direction === "ascending" ? compare(a, b) : compare(b, a)));
  return [...measured, ...rows.filter(isMissing)];
}

// Each head becomes a button: ascending, descending, as it was.
function makeSortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const original = [...body.rows];
  heads.forEach((head, column) => {
    const button = make("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    head.ariaSort = "none";
    button.addEventListener("click", () => {
      const direction = NEXT[head.ariaSort];
      heads.forEach((other) => (other.ariaSort = "none"));
      head.ariaSort = direction;
      body.append(...(direction === "none" ? original : sorted(original, column, direction)));
    });
  });
}

function nameOf(image) {
  return image.alt.split(":")[0];
}

// A range and what it says now, which `show` gives for its value.
function slider(label, max, value, show) {
  const range = make("input", { type: "range", min: 0, max, value, ariaLabel: label });
  const update = () => (range.ariaValueText = show(range.valueAsNumber));
  range.addEventListener("input", update);
  update();
  return range;
}

// Two images on one another; a handle across both uncovers the second.
function makePair(figure) {
  const [before, after] = figure.querySelectorAll("img");
  const frame = make("div", { className: "frame" });
  const names = make("div", { className: "names" }, ...[before, after].map((image) => make("span", {}, nameOf(image))));
  before.before(names, frame);
  const range = slider(`${nameOf(before)}, ${nameOf(after)}`, 100, 50, (value) => {
    frame.style.setProperty("--at", `${value}%`);
    return `${value} %: ${nameOf(before)}, ${100 - value} %: ${nameOf(after)}`;
  });
  frame.append(before, after, range, make("div", { className: "handle" }));
}

// Images in one place, of which a slider shows one, the last at first.
function makeSeries(figure) {
  const images = [...figure.querySelectorAll("img")];
  const last = images.length - 1;
  const now = make("span", {});
  now.ariaHidden = "true";
  const range = slider("Image", last, last, (value) => {
    images.forEach((image, i) => (image.hidden = i !== value));
    now.textContent = nameOf(images[value]);
    return nameOf(images[value]);
  });
  images[last].after(make("div", { className: "controls" }, range, now));
}

document.querySelectorAll("table").forEach(makeSortable);
document.querySelectorAll("figure.pair").forEach(makePair);
document.querySelectorAll("figure.series").forEach(makeSeries);
