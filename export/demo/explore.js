// One image: select it, change it with sliders, show it raw and denoised.

import { classOf, dot, latents, setClass } from "./latents.js";
import { about, generate } from "./model.js";
import { createCanvas, difference, paint } from "./images.js";
import { coalesce, element } from "./page.js";

const GALLERY_SIZE = 24; // images to select from
const RANGE = 3; // of a slider, in standard deviations
const FIRST = 5; // the image selected at first
const SETTLE_MS = 150; // the wait after the last slider movement

export const events = new EventTarget(); // dispatches "settled" after the image has changed
export const current = { z: null, denoised: null, seed: 0, number: FIRST, label: null }; // the image shown and its origin

const at = (id) => document.getElementById(id);
const sliders = [];
let gallery; // the latents of the images to select from
let settling;

/** Build the section and show the first image. */
export async function setUp() {
  about.directions.forEach(addSlider);
  if (about.classes.length) addClasses();
  for (const id of ["raw", "denoised", "difference"]) Object.assign(at(id), { height: about.size[0], width: about.size[1] });
  at("seed").addEventListener("change", draw);
  at("reset").addEventListener("click", () => select(current.number));
  for (const choice of document.getElementsByName("shown")) choice.addEventListener("change", draw);
  await draw();
}

/** The latent of image `number` of a seed; `label` selects its class unless it is null. */
export function latentOf(seed, number, label) {
  const z = latents(seed, number, 1, about.latent);
  return label === null ? z : setClass(z, label, about.classes.length);
}

/** Show the images to select from, and select the current number. */
async function draw() {
  const seed = Number(at("seed").value);
  current.seed = Number.isSafeInteger(seed) && seed >= 0 ? seed : 0;
  at("seed").value = current.seed;
  gallery = Array.from({ length: GALLERY_SIZE }, (_, number) => latentOf(current.seed, number, current.label));
  const images = await generate(Float32Array.from(gallery.flatMap((z) => [...z])));
  const output = document.querySelector("[name=shown]:checked").value;
  at("many").replaceChildren(...gallery.map((_, number) => createChoice(images[output], number)));
  await select(current.number);
}

function createChoice(images, number) {
  const button = element("button", { type: "button", ariaLabel: `image ${number}` });
  const canvas = createCanvas(about.size, "");
  paint(canvas, images, about.channels, number);
  button.append(canvas);
  button.addEventListener("click", () => select(number));
  return button;
}

async function select(number) {
  Object.assign(current, { number, z: gallery[number].slice() });
  [...at("many").children].forEach((button, i) => (button.ariaPressed = i === number));
  sliders.forEach((slider) => (slider.input.value = dot(current.z, slider.direction)));
  await show();
  await settle();
}

/** Move the latent along one direction to the slider's value; the other directions keep theirs. */
function moveAlong({ input, direction }) {
  const step = Number(input.value) - dot(current.z, direction);
  current.z = current.z.map((value, i) => value + step * direction[i]);
  show();
  clearTimeout(settling);
  settling = setTimeout(settle, SETTLE_MS);
}

const show = coalesce(async () => {
  const { image, denoised } = await generate(current.z);
  current.denoised = denoised;
  paint(at("raw"), image, about.channels);
  paint(at("denoised"), denoised, about.channels);
  paint(at("difference"), difference(image, denoised), about.channels);
});

/** Show at both ends of each slider the image that it leads to. */
const settle = coalesce(async () => {
  events.dispatchEvent(new Event("settled"));
  describeImage();
  const ends = sliders.flatMap(({ direction }) =>
    [-RANGE, RANGE].map((end) => current.z.map((value, i) => value + (end - dot(current.z, direction)) * direction[i])),
  );
  if (!ends.length) return;
  const { denoised } = await generate(Float32Array.from(ends.flatMap((z) => [...z])));
  sliders.flatMap((slider) => slider.ends).forEach((canvas, i) => paint(canvas, denoised, about.channels, i));
});

function describeImage() {
  const isChanged = current.z.some((value, i) => value !== gallery[current.number][i]);
  const label = current.label === null ? "" : ` --label ${current.label}`;
  const model = about.is_shipped ? "" : " --model FOLDER";
  const name = about.classes.length ? `, ${about.classes[classOf(current.z, about.classes.length)]}` : "";
  at("which").textContent = `Image ${current.number} of seed ${current.seed}${name}${isChanged ? ", changed" : ""}`;
  at("command").textContent = `gan-denoise generate${model} --seed ${current.seed} -n ${current.number + 1}${label} --out images`;
  at("same").hidden = isChanged;
}

function addSlider(values, number) {
  const direction = Float32Array.from(values);
  const input = element("input", { type: "range", min: -RANGE, max: RANGE, step: 0.01, ariaLabel: `direction ${number + 1}` });
  const ends = ["minimum", "maximum"].map((end) => createCanvas(about.size, `direction ${number + 1} at its ${end}`));
  const slider = { direction, input, ends };
  input.addEventListener("input", () => moveAlong(slider));
  const row = element("div", { className: "slider" });
  row.append(ends[0], input, ends[1]);
  at("sliders").append(row);
  sliders.push(slider);
}

function addClasses() {
  const names = ["any", ...about.classes];
  names.forEach((name, i) => {
    const input = element("input", { type: "radio", name: "class", value: i - 1, checked: i === 0 });
    input.addEventListener("change", () => {
      current.label = i === 0 ? null : i - 1;
      return draw();
    });
    const label = element("label", {});
    label.append(input, name);
    at("classes").append(label);
  });
  at("classes").hidden = false;
}
