// An early generator beside the finished one, raw and denoised.

import { createCanvas, paint } from "./images.js";
import { latents } from "./latents.js";
import { about, generate } from "./model.js";
import { coalesce } from "./page.js";

const COUNT = 6; // images of each

const at = (id) => document.getElementById(id);
let seed = 0;

/** Build the section and show the first images. */
export async function setUp() {
  const { epoch, is_paper: isPaper } = about.early;
  const when = epoch ? ` after epoch ${epoch}` : "";
  at("early-name").textContent = isPaper ? `the generator of the paper${when}` : `an early generator${when}`;
  at("early-others").addEventListener("click", () => {
    seed += 1;
    return draw();
  });
  await draw();
}

const draw = coalesce(async () => {
  show("early-images", await generate(latents(seed, 0, COUNT, about.early.latent), "early"));
  show("finished-images", await generate(latents(seed, 0, COUNT, about.latent)));
});

/** The images of one generator: raw above, denoised below. */
function show(id, { image, denoised }) {
  const rows = [["generated", image], ["denoised", denoised]];
  const canvases = rows.flatMap(([name, pixels]) =>
    Array.from({ length: COUNT }, (_, number) => {
      const canvas = createCanvas(about.size, `${name}, ${number + 1}`);
      paint(canvas, pixels, about.channels, number);
      return canvas;
    }),
  );
  at(id).replaceChildren(...canvases);
}
