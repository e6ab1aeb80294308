// One image: choose it among many, bend it with sliders, see it raw and denoised.

import { classOf, dot, latents, ofClass } from "./latents.js";
import { about, generate } from "./model.js";
import { canvasFor, difference, paint } from "./images.js";
import { element, latest } from "./page.js";

const MANY = 24; // images to choose from
const REACH = 3; // how far a slider goes, in standard deviations
const FIRST = 5; // the image to begin with
const SETTLE_MS = 150; // after the last move of a slider

export const shown = new EventTarget(); // tells "settled" when an image has come to stay
export const now = { z: null, denoised: null, seed: 0, number: FIRST, label: null }; // the image shown, and where it comes from

const at = (id) => document.getElementById(id);
const sliders = [];
let many; // latents of the images to choose from
let settling;

/** Build the section and show the first image. */
export async function setUp() {
  about.directions.forEach(addSlider);
  if (about.classes.length) addClasses();
  for (const id of ["raw", "denoised", "difference"]) Object.assign(at(id), { height: about.size[0], width: about.size[1] });
  at("seed").addEventListener("change", draw);
  at("reset").addEventListener("click", () => choose(now.number));
  for (const choice of document.getElementsByName("shown")) choice.addEventListener("change", draw);
  await draw();
}

/** The latent of image `number` of a seed, of a class when one is wanted. */
export function latentOf(seed, number, label) {
  const z = latents(seed, number, 1, about.latent);
  return label === null ? z : ofClass(z, label, about.classes.length);
}

/** Draw all the images to choose from, and choose the one that was chosen. */
async function draw() {
  const wanted = Number(at("seed").value);
  now.seed = Number.isSafeInteger(wanted) && wanted >= 0 ? wanted : 0;
  at("seed").value = now.seed;
  many = Array.from({ length: MANY }, (_, number) => latentOf(now.seed, number, now.label));
  const images = await generate(Float32Array.from(many.flatMap((z) => [...z])));
  const output = document.querySelector("[name=shown]:checked").value;
  at("many").replaceChildren(...many.map((_, number) => choice(images[output], number)));
  await choose(now.number);
}

function choice(images, number) {
  const button = element("button", { type: "button", ariaLabel: `image ${number}` });
  const canvas = canvasFor(about.size, "");
  paint(canvas, images, number);
  button.append(canvas);
  button.addEventListener("click", () => choose(number));
  return button;
}

async function choose(number) {
  Object.assign(now, { number, z: many[number].slice() });
  [...at("many").children].forEach((button, i) => (button.ariaPressed = i === number));
  sliders.forEach((slider) => (slider.input.value = dot(now.z, slider.direction)));
  await show();
  await settle();
}

/** Move along one direction to where its slider is; the others stay where they are. */
function bend({ input, direction }) {
  const step = Number(input.value) - dot(now.z, direction);
  now.z = now.z.map((value, i) => value + step * direction[i]);
  show();
  clearTimeout(settling);
  settling = setTimeout(settle, SETTLE_MS);
}

const show = latest(async () => {
  const { image, denoised } = await generate(now.z);
  now.denoised = denoised;
  paint(at("raw"), image);
  paint(at("denoised"), denoised);
  paint(at("difference"), difference(image, denoised));
});

/** Show at both ends of each slider where it leads from here. */
const settle = latest(async () => {
  shown.dispatchEvent(new Event("settled"));
  describe();
  const ends = sliders.flatMap(({ direction }) =>
    [-REACH, REACH].map((end) => now.z.map((value, i) => value + (end - dot(now.z, direction)) * direction[i])),
  );
  if (!ends.length) return;
  const { denoised } = await generate(Float32Array.from(ends.flatMap((z) => [...z])));
  sliders.flatMap((slider) => slider.ends).forEach((canvas, i) => paint(canvas, denoised, i));
});

function describe() {
  const bent = now.z.some((value, i) => value !== many[now.number][i]);
  const label = now.label === null ? "" : ` --label ${now.label}`;
  const name = about.classes.length ? `, ${about.classes[classOf(now.z, about.classes.length)]}` : "";
  at("which").textContent = `Image ${now.number} of seed ${now.seed}${name}${bent ? ", bent" : ""}`;
  at("command").textContent = `gan-denoise generate --seed ${now.seed} -n ${now.number + 1}${label} --out images`;
  at("same").hidden = bent;
}

function addSlider(values, number) {
  const direction = Float32Array.from(values);
  const input = element("input", { type: "range", min: -REACH, max: REACH, step: 0.01, ariaLabel: `direction ${number + 1}` });
  const ends = ["least", "most"].map((end) => canvasFor(about.size, `direction ${number + 1} at its ${end}`));
  const slider = { direction, input, ends };
  input.addEventListener("input", () => bend(slider));
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
      now.label = i === 0 ? null : i - 1;
      return draw();
    });
    const label = element("label", {});
    label.append(input, name);
    at("classes").append(label);
  });
  at("classes").hidden = false;
}
