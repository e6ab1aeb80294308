// The page's beginning: start the runtime and the model, show the sections, say what is wrong.

import * as explore from "./explore.js";
import * as model from "./model.js";
import * as own from "./own.js";
import * as walk from "./walk.js";

const at = (id) => document.getElementById(id);

window.addEventListener("unhandledrejection", (event) => tell(event.reason));

at("status").textContent = "Loading the runtime and the model: about 20 MB, once.";
at("status").classList.remove("late");
try {
  await model.start();
  await model.load("fused");
  await explore.setUp();
  await walk.setUp();
  for (const id of ["one", "walk"]) at(id).hidden = false;
  setInterval(showSpeed, 500);
  showSpeed();
  await model.load("denoiser");
  await own.setUp();
  at("own").hidden = false;
} catch (error) {
  tell(error);
}

function tell(error) {
  console.error(error);
  at("trouble").hidden = false;
  at("trouble").textContent = `This does not work. ${error.message ?? error}. gan-denoise demo --out FOLDER --force writes the page again.`;
  if (at("one").hidden) at("status").textContent = "";
}

function showSpeed() {
  const [whole, alone] = ["fused", "denoiser"].map((name) => model.milliseconds(name)?.toFixed(1));
  const count = model.threads === 1 ? "1 thread" : `${model.threads} threads`;
  const why = crossOriginIsolated ? "" : " (this server sends no isolation headers)";
  const speed = alone ? `${whole} ms an image, its denoiser alone ${alone} ms` : `${whole} ms an image`;
  at("status").textContent = [...(whole ? [speed] : []), count + why, `onnxruntime-web ${model.version()}`].join(" · ");
}
