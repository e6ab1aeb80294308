// Entry point: start the runtime, load the model, show the sections, report errors and speed.

import * as early from "./early.js";
import * as explore from "./explore.js";
import * as interpolation from "./interpolation.js";
import * as model from "./model.js";
import * as own from "./own.js";
import * as photo from "./photo.js";

const at = (id) => document.getElementById(id);

window.addEventListener("unhandledrejection", (event) => showError(event.reason));

at("status").textContent = "Loading the runtime and the model (about 22 MB).";
at("status").classList.remove("late");
try {
  await model.start();
  await model.load("fused");
  await explore.setUp();
  await interpolation.setUp();
  if (model.about.photo) photo.setUp();
  for (const id of ["one", "interpolation", ...(model.about.photo ? ["photo"] : [])]) at(id).hidden = false;
  setInterval(showSpeed, 500);
  showSpeed();
  if (model.about.early) {
    await model.load("early");
    await early.setUp();
    at("early").hidden = false;
  }
  await model.load("denoiser");
  await own.setUp();
  at("own").hidden = false;
} catch (error) {
  showError(error);
}

function showError(error) {
  console.error(error);
  at("error").hidden = false;
  at("error").textContent = `Error: ${error.message ?? error}. To write the page again: gan-denoise demo --out FOLDER --force`;
  if (at("one").hidden) at("status").textContent = "";
}

function showSpeed() {
  const [fused, denoiser] = ["fused", "denoiser"].map((name) => model.milliseconds(name)?.toFixed(1));
  const count = model.threads === 1 ? "1 thread" : `${model.threads} threads`;
  const reason = crossOriginIsolated ? "" : " (this server sends no isolation headers)";
  const speed = denoiser ? `${fused} ms per image, denoiser alone ${denoiser} ms` : `${fused} ms per image`;
  at("status").textContent = [...(fused ? [speed] : []), count + reason, `onnxruntime-web ${model.version()}`].join(" · ");
}
