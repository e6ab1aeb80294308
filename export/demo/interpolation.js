// Interpolate between the image shown and another one.

import { interpolate } from "./latents.js";
import { about, generate } from "./model.js";
import { createCanvas, paint } from "./images.js";
import { current, events, latentOf } from "./explore.js";
import { coalesce, element, pause } from "./page.js";

const STEPS = 9; // images in the strip
const ROUND_MS = 8000; // one way and back

const at = (id) => document.getElementById(id);
const target = { number: 12, label: null, z: null }; // at first, with seed 0, a sneaker
let playing = false;

/** Build the section and show the interpolation. */
export async function setUp() {
  for (const id of ["interpolation-raw", "interpolation-denoised"]) Object.assign(at(id), { height: about.size[0], width: about.size[1] });
  at("strip").append(...Array.from({ length: 2 * STEPS }, () => createCanvas(about.size, "")));
  if (about.classes.length) addClasses();
  at("fraction").addEventListener("input", showStep);
  at("another").addEventListener("click", () => {
    target.number++;
    return showStrip();
  });
  at("play").addEventListener("click", play);
  events.addEventListener("settled", showStrip);
  await showStrip();
}

function addClasses() {
  const select = at("target-class");
  select.append(...["any", ...about.classes].map((name, i) => element("option", { value: i - 1, textContent: name })));
  select.addEventListener("change", () => {
    target.label = select.value === "-1" ? null : Number(select.value);
    return showStrip();
  });
  at("target-choice").hidden = false;
}

/** Show the strip of images from the current to the target image. */
const showStrip = coalesce(async () => {
  target.z = latentOf(current.seed, target.number, target.label);
  const path = Array.from({ length: STEPS }, (_, i) => interpolate(current.z, target.z, i / (STEPS - 1), about.classes.length));
  const { image, denoised } = await generate(Float32Array.from(path.flatMap((z) => [...z])));
  [...at("strip").children].forEach((canvas, i) => paint(canvas, i < STEPS ? image : denoised, about.channels, i % STEPS));
  await showStep();
});

const showStep = coalesce(async () => {
  const { image, denoised } = await generate(interpolate(current.z, target.z, Number(at("fraction").value), about.classes.length));
  paint(at("interpolation-raw"), image, about.channels);
  paint(at("interpolation-denoised"), denoised, about.channels);
});

/** Play back and forth until stopped; in discrete steps if the user prefers reduced motion. */
async function play() {
  playing = !playing;
  at("play").textContent = playing ? "Stop" : "Play";
  const isReduced = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const started = performance.now() - (Number(at("fraction").value) / 2) * ROUND_MS;
  while (playing) {
    const time = ((performance.now() - started) / ROUND_MS) % 1;
    const fraction = 1 - Math.abs(1 - 2 * time);
    at("fraction").value = isReduced ? Math.round(fraction * (STEPS - 1)) / (STEPS - 1) : fraction;
    await showStep();
    await pause(isReduced ? ROUND_MS / 2 / (STEPS - 1) : 0);
  }
}
