// A walk from the image shown to another one.

import { along } from "./latents.js";
import { about, generate } from "./model.js";
import { canvasFor, paint } from "./images.js";
import { latentOf, now, shown } from "./explore.js";
import { element, latest, pause } from "./page.js";

const STEPS = 9; // images in the strip
const ROUND_MS = 8000; // there and back

const at = (id) => document.getElementById(id);
const goal = { number: 12, label: null, z: null }; // to begin with, of seed 0 a sneaker
let playing = false;

/** Build the section and show the way. */
export async function setUp() {
  for (const id of ["walk-raw", "walk-denoised"]) Object.assign(at(id), { height: about.size[0], width: about.size[1] });
  at("strip").append(...Array.from({ length: 2 * STEPS }, () => canvasFor(about.size, "")));
  if (about.classes.length) addClasses();
  at("share").addEventListener("input", step);
  at("another").addEventListener("click", () => {
    goal.number++;
    return lay();
  });
  at("play").addEventListener("click", play);
  shown.addEventListener("settled", lay);
  await lay();
}

function addClasses() {
  const select = at("goal-class");
  select.append(...["any", ...about.classes].map((name, i) => element("option", { value: i - 1, textContent: name })));
  select.addEventListener("change", () => {
    goal.label = select.value === "-1" ? null : Number(select.value);
    return lay();
  });
  at("goal-choice").hidden = false;
}

/** The strip of images between here and there. */
const lay = latest(async () => {
  goal.z = latentOf(now.seed, goal.number, goal.label);
  const way = Array.from({ length: STEPS }, (_, i) => along(now.z, goal.z, i / (STEPS - 1), about.classes.length));
  const { image, denoised } = await generate(Float32Array.from(way.flatMap((z) => [...z])));
  [...at("strip").children].forEach((canvas, i) => paint(canvas, i < STEPS ? image : denoised, i % STEPS));
  await step();
});

const step = latest(async () => {
  const { image, denoised } = await generate(along(now.z, goal.z, Number(at("share").value), about.classes.length));
  paint(at("walk-raw"), image);
  paint(at("walk-denoised"), denoised);
});

/** There and back until stopped; in jumps for who wants less motion. */
async function play() {
  playing = !playing;
  at("play").textContent = playing ? "Stop" : "Play";
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const started = performance.now() - (Number(at("share").value) / 2) * ROUND_MS;
  while (playing) {
    const time = ((performance.now() - started) / ROUND_MS) % 1;
    const share = 1 - Math.abs(1 - 2 * time);
    at("share").value = calm ? Math.round(share * (STEPS - 1)) / (STEPS - 1) : share;
    await step();
    await pause(calm ? ROUND_MS / 2 / (STEPS - 1) : 0);
  }
}
