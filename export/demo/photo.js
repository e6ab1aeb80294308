// The user's photograph: denoised in a worker, shown before and after, saved as a PNG file.

import { about } from "./model.js";
import { coalesce, receiveFiles } from "./page.js";

const SMALL = 320; // CSS pixels: a narrower image is enlarged to this width

const at = (id) => document.getElementById(id);
let worker = null;
let shown = null; // {name, width, height, size, isTransparent, before, denoised: pixels in RGBA}

/** Build the section. */
export function setUp() {
  receiveFiles(at("photo-file"), document, openFile);
  at("photo-strength").addEventListener("input", showStrength);
  at("photo-save").addEventListener("click", save);
  at("photo-actual").addEventListener("change", showSize);
  at("photo-position").addEventListener("input", showPosition);
  followPointer(at("photo-frame"));
  showPosition();
}

function openFile(file) {
  at("photo-done").textContent = `Reading ${file.name}.`;
  worker ??= createWorker();
  worker.postMessage({ file, about: about.photo });
}

function createWorker() {
  const created = new Worker("photo-worker.js", { type: "module" });
  const actions = { opened, tile, done, refused, failed };
  created.addEventListener("message", ({ data }) => actions[data.kind](data));
  created.addEventListener("error", () => failed({ name: "photo-worker.js", message: "it or a file that it needs is missing or damaged" }));
  return created;
}

function opened({ name, image, size, isTransparent }) {
  const { width, height, data } = image;
  shown = { name, width, height, size, isTransparent, before: data, denoised: data.slice() };
  for (const id of ["photo-before", "photo-after"]) {
    Object.assign(at(id), { width, height });
    at(id).getContext("2d").putImageData(image, 0, 0);
  }
  at("photo-result").hidden = false;
  at("photo-done").textContent = describe("Denoising");
  showProgress(0, "Loading the denoiser.");
  showSize();
}

function tile({ box, pixels, fraction, seconds }) {
  for (let y = 0; y < box.height; y++) {
    const row = pixels.subarray(4 * y * box.width, 4 * (y + 1) * box.width);
    shown.denoised.set(row, 4 * ((box.top + y) * shown.width + box.left));
  }
  blend(box);
  const left = Math.ceil(seconds / fraction - seconds);
  const total = (shown.width * shown.height) / 1e6;
  showProgress(fraction, `${(fraction * total).toFixed(1)} of ${total.toFixed(1)} megapixels, about ${left} s left`);
}

function done({ seconds }) {
  at("photo-done").textContent = describe("Denoised", ` in ${seconds.toFixed(1)} s`);
  at("photo-working").hidden = true;
  at("photo-save").disabled = false;
}

function refused({ name, message }) {
  at("photo-done").textContent = `${name}: ${message}.`;
}

/** The denoiser cannot run: show why. Its memory may be used up, so the next image gets a new worker. */
function failed({ name, message }) {
  worker?.terminate();
  worker = null;
  at("photo-done").textContent = `${name}: not denoised: ${message}.`;
  at("photo-working").hidden = true;
}

function describe(verb, more = "") {
  const { name, width, height, size, isTransparent } = shown;
  const isScaled = size[0] !== width || size[1] !== height;
  const most = Math.round(about.photo.max_pixels / 1e6);
  const scaled = isScaled ? ` Scaled down from ${size[0]}x${size[1]}: this page takes up to ${most} megapixels.` : "";
  const laid = isTransparent ? " Transparent parts are shown on white." : "";
  return `${verb} ${name}, ${width}x${height}${more}.${scaled}${laid}`;
}

function showProgress(fraction, text) {
  at("photo-working").hidden = false;
  at("photo-progress").value = fraction;
  at("photo-left").textContent = text;
  at("photo-save").disabled = true;
}

/** Paint a part of the denoised photograph with the strength chosen: before + strength x (denoised - before). */
function blend({ top, left, height, width }) {
  const strength = Number(at("photo-strength").value);
  const part = new ImageData(width, height);
  for (let y = 0; y < height; y++) {
    const from = 4 * ((top + y) * shown.width + left);
    for (let i = 0; i < 4 * width; i++) {
      const before = shown.before[from + i];
      part.data[4 * y * width + i] = before + strength * (shown.denoised[from + i] - before); // rounds and clips
    }
  }
  at("photo-after").getContext("2d").putImageData(part, left, top);
}

const showStrength = coalesce(async () => {
  at("photo-strength-value").textContent = Number(at("photo-strength").value).toFixed(2);
  if (shown) blend({ top: 0, left: 0, height: shown.height, width: shown.width });
});

function showPosition() {
  const value = at("photo-position").valueAsNumber;
  at("photo-frame").style.setProperty("--at", `${value}%`);
  at("photo-position").ariaValueText = `${value} % before, ${100 - value} % after`;
}

/** Fit the photograph to the page, or show a pixel of it as a pixel of the screen. */
function showSize() {
  const isActual = at("photo-actual").checked;
  const box = at("photo-view");
  box.classList.toggle("actual", isActual);
  box.style.setProperty("--width", `${isActual ? shown.width / devicePixelRatio : Math.max(shown.width, SMALL)}px`);
  box.style.setProperty("--shape", shown.width / shown.height);
  box.classList.toggle("enlarged", shown.width < SMALL);
  const scroll = at("photo-scroll");
  scroll.scrollTo((scroll.scrollWidth - scroll.clientWidth) / 2, (scroll.scrollHeight - scroll.clientHeight) / 2);
}

/** Move the handle to the pointer while it is down. At actual size a finger scrolls, and a tap moves the handle. */
function followPointer(frame) {
  const follow = (event) => {
    const box = frame.getBoundingClientRect();
    at("photo-position").value = (100 * (event.clientX - box.left)) / box.width;
    showPosition();
  };
  const isScroll = (event) => event.pointerType === "touch" && at("photo-actual").checked && !event.target.closest(".handle");
  frame.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || isScroll(event)) return;
    event.preventDefault(); // selects nothing
    at("photo-position").focus({ preventScroll: true });
    frame.setPointerCapture(event.pointerId);
    follow(event);
  });
  frame.addEventListener("pointermove", (event) => (frame.hasPointerCapture(event.pointerId) ? follow(event) : null));
  frame.addEventListener("click", follow);
}

async function save() {
  const blob = await new Promise((resolve) => at("photo-after").toBlob(resolve, "image/png"));
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob) });
  link.download = `${shown.name.replace(/\.[^.]*$/, "")}-denoised.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // after the download has started
}
