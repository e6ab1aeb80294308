// A small image, from a file, drawn, or copied from above: add noise and denoise.

import { current } from "./explore.js";
import { latents } from "./latents.js";
import { about, denoise } from "./model.js";
import { drawLine, paint, psnr, readFile } from "./images.js";
import { coalesce, receiveFiles } from "./page.js";

const NOISE_SEED = 1; // the noise is fixed, so that the image does not flicker

const at = (id) => document.getElementById(id);
let clean;
let noise;

/** Build the section and start with the image above. */
export async function setUp() {
  const length = about.channels * about.size[0] * about.size[1];
  noise = latents(NOISE_SEED, 0, 1, length);
  for (const id of ["clean", "noisy", "restored"]) Object.assign(at(id), { height: about.size[0], width: about.size[1] });
  at("sigma").addEventListener("input", show);
  at("take").addEventListener("click", () => setImage(current.denoised, "Copied: the denoised image above."));
  at("clear").addEventListener("click", () => setImage(new Float32Array(length), "Cleared: draw on it."));
  at("invert").addEventListener("click", () => setImage(clean.map((value) => 1 - value), "Inverted."));
  receiveFiles(at("file"), about.photo ? at("own") : document, openFile);
  followPointer(at("clean"));
  await setImage(current.denoised, "Copied: the denoised image above.");
}

async function openFile(file) {
  try {
    const { pixels, done } = await readFile(file, about.size, about.channels);
    await setImage(pixels, `${done}.`);
  } catch (error) {
    at("done").textContent = `${error.message}.`;
  }
}

async function setImage(pixels, done) {
  clean = pixels.slice();
  at("done").textContent = done;
  await show();
}

const show = coalesce(async () => {
  const sigma = Number(at("sigma").value);
  const noisy = clean.map((value, i) => Math.min(1, Math.max(0, value + sigma * noise[i])));
  const restored = await denoise(noisy);
  [["clean", clean], ["noisy", noisy], ["restored", restored]].forEach(([id, pixels]) => paint(at(id), pixels, about.channels));
  at("sigma-value").textContent = sigma.toFixed(2);
  at("noisy-psnr").textContent = decibels(psnr(clean, noisy));
  at("restored-psnr").textContent = decibels(psnr(clean, restored));
});

function decibels(value) {
  return Number.isFinite(value) ? `${value.toFixed(1)} dB` : "identical";
}

/** Draw while the pointer is down. */
function followPointer(canvas) {
  let last = null;
  const position = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
  };
  const draw = (event) => {
    const point = position(event);
    drawLine(clean, about.size, last ?? point, point, at("erase").checked ? 0 : 1);
    last = point;
    at("done").textContent = "Drawn.";
    return show();
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    last = null;
    return draw(event);
  });
  canvas.addEventListener("pointermove", (event) => (last ? draw(event) : null));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => (last = null));
}
