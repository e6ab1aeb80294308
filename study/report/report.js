"use strict";
// Sorting and folding of tables, the before/after handle and the epoch slider. Without the script the page shows all images and tables.
// The name of an image is the part of its alternative text before the colon.

const NUMBER = /^([+\-\u2212]?)(\d{1,3}(?:,\d{3})+(?!\d)|\d+)(\.\d+)?(e[+-]?\d+)?(?:\/(\d+))?/i;
const FOLDED = [
  "abstract",
  "methods",
  "data",
  "training",
  "comparison-of-runs",
  "noise-clipped-and-rounded-to-8-bits-as-in-image-files",
  "speed",
  "appendix-features",
  "appendix-number-of-images-and-classes",
  "appendix-the-epochs",
  "appendix-the-compared-runs",
  "limits",
  "reproducing-these-results",
];
const FIRST_COLUMNS = 6; // as in report.css
const NEXT = { none: "ascending", ascending: "descending", descending: "none" };

function createElement(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// The number that a cell starts with, before any unit, error or interval; NaN if there is none.
function numberOf(text) {
  const match = NUMBER.exec(text);
  if (!match) return NaN;
  const [, sign, whole, fraction = "", exponent = "", divisor = 1] = match;
  return (Number(whole.replaceAll(",", "") + fraction + exponent) / divisor) * (sign && sign !== "+" ? -1 : 1);
}

// The rows sorted by a column; cells that were not measured come last in both directions.
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

// Each heading becomes a button that cycles through ascending, descending and the original order.
function makeSortable(table) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const original = [...body.rows];
  heads.forEach((head, column) => {
    const button = createElement("button", { type: "button" }, ...head.childNodes);
    head.append(button);
    head.ariaSort = "none";
    button.addEventListener("click", () => {
      const direction = NEXT[head.ariaSort];
      heads.forEach((each) => (each.ariaSort = "none"));
      head.ariaSort = direction;
      body.append(...(direction === "none" ? original : sorted(original, column, direction)));
    });
  });
}

// A wide table shows its first columns; a button shows the others.
function makeFoldable(table) {
  const count = table.tHead.rows[0].cells.length;
  if (count <= FIRST_COLUMNS) return;
  const button = createElement("button", { type: "button", className: "more" });
  const fold = (folded) => {
    table.classList.toggle("folded", folded);
    button.textContent = folded ? `Show all ${count} columns` : `Show ${FIRST_COLUMNS} columns`;
    button.ariaExpanded = String(!folded);
  };
  button.addEventListener("click", () => fold(button.ariaExpanded === "true"));
  table.parentElement.before(button);
  fold(true);
}

// The content of a section, up to the next heading of its level or above, behind a button in its heading.
function makeSectionFoldable(heading) {
  const part = createElement("div", {});
  const isNext = (element) => /^H[1-6]$/.test(element.tagName) && element.tagName <= heading.tagName;
  while (heading.nextElementSibling && !isNext(heading.nextElementSibling)) part.append(heading.nextElementSibling);
  heading.after(part);
  const button = createElement("button", { type: "button", className: "fold" }, ...heading.childNodes);
  heading.append(button);
  const open = (opened) => {
    part.classList.toggle("closed", !opened);
    button.ariaExpanded = String(opened);
  };
  button.addEventListener("click", () => open(button.ariaExpanded !== "true"));
  window.addEventListener("hashchange", () => location.hash === `#${heading.id}` && open(true));
  open(location.hash === `#${heading.id}`);
}

function nameOf(image) {
  return image.alt.split(":")[0];
}

// A range input; `show` updates the page for its value and returns the value in words.
function slider(label, max, value, show) {
  const range = createElement("input", { type: "range", min: 0, max, value, ariaLabel: label });
  const update = () => (range.ariaValueText = show(range.valueAsNumber));
  range.addEventListener("input", update);
  update();
  return range;
}

// Two images on top of each other; a handle uncovers the second one.
function makePair(figure) {
  const [before, after] = figure.querySelectorAll("img");
  const frame = createElement("div", { className: "frame" });
  const names = createElement("div", { className: "names" }, ...[before, after].map((image) => createElement("span", {}, nameOf(image))));
  before.before(names, frame);
  const range = slider(`${nameOf(before)}, ${nameOf(after)}`, 100, 50, (value) => {
    frame.style.setProperty("--at", `${value}%`);
    return `${value} %: ${nameOf(before)}, ${100 - value} %: ${nameOf(after)}`;
  });
  frame.append(before, after, range, createElement("div", { className: "handle" }));
}

// Images in one place; a slider selects one, at first the last.
function makeSeries(figure) {
  const images = [...figure.querySelectorAll("img")];
  const last = images.length - 1;
  const current = createElement("span", {});
  current.ariaHidden = "true";
  const range = slider("Image", last, last, (value) => {
    images.forEach((image, i) => (image.hidden = i !== value));
    current.textContent = nameOf(images[value]);
    return nameOf(images[value]);
  });
  images[last].after(createElement("div", { className: "controls" }, range, current));
}

document.querySelectorAll("table").forEach(makeSortable);
document.querySelectorAll("table").forEach(makeFoldable);
FOLDED.flatMap((id) => document.getElementById(id) ?? []).forEach(makeSectionFoldable);
document.querySelectorAll("figure.pair").forEach(makePair);
document.querySelectorAll("figure.series").forEach(makeSeries);
