// Your own image: from a file, drawn, or taken from above; with noise, and denoised.

import { now } from "./explore.js";
import { latents } from "./latents.js";
import { about, denoise } from "./model.js";
import { drawLine, paint, psnr, readFile } from "./images.js";
import { latest } from "./page.js";

const NOISE_SEED = 1; // of the same noise each time, so that nothing flickers

const at = (id) => document.getElementById(id);
let clean;
let noise;

/** Build the section and take the image shown above. */
export async function setUp() {
  const area = about.size[0] * about.size[1];
  noise = latents(NOISE_SEED, 0, 1, area);
  for (const id of ["clean", "noisy", "restored"]) Object.assign(at(id), { height: about.size[0], width: about.size[1] });
  at("sigma").addEventListener("input", show);
  at("take").addEventListener("click", () => take(now.denoised, "The image shown above, denoised."));
  at("clear").addEventListener("click", () => take(new Float32Array(area), "Empty: draw on it."));
  at("invert").addEventListener("click", () => take(clean.map((value) => 1 - value), "Inverted."));
  at("file").addEventListener("change", () => open(at("file").files[0]));
  window.addEventListener("dragover", (event) => event.preventDefault());
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    return open(event.dataTransfer.files[0]);
  });
  followPointer(at("clean"));
  await take(now.denoised, "The image shown above, denoised.");
}

async function open(file) {
  if (!file) return;
  try {
    const { pixels, done } = await readFile(file, about.size);
    await take(pixels, `${done}.`);
  } catch (error) {
    at("done").textContent = `${error.message}.`;
  }
}

async function take(pixels, done) {
  clean = pixels.slice();
  at("done").textContent = done;
  await show();
}

const show = latest(async () => {
  const sigma = Number(at("sigma").value);
  const noisy = clean.map((value, i) => Math.min(1, Math.max(0, value + sigma * noise[i])));
  const restored = await denoise(noisy);
  [["clean", clean], ["noisy", noisy], ["restored", restored]].forEach(([id, pixels]) => paint(at(id), pixels));
  at("sigma-value").textContent = sigma.toFixed(2);
  at("noisy-psnr").textContent = decibels(psnr(clean, noisy));
  at("restored-psnr").textContent = decibels(psnr(clean, restored));
});

function decibels(value) {
  return Number.isFinite(value) ? `${value.toFixed(1)} dB` : "the same";
}

/** Draw where the pointer goes while it is down. */
function followPointer(canvas) {
  let last = null;
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * canvas.width, ((event.clientY - box.top) / box.height) * canvas.height];
  };
  const draw = (event) => {
    const point = place(event);
    drawLine(clean, canvas.width, last ?? point, point, at("erase").checked ? 0 : 1);
    last = point;
    at("done").textContent = "Drawn by hand.";
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
