// In a worker: read a photograph, scale it down if it is large, and denoise it tile by tile.
//
// Takes {file, about}, about being "photo" of model.json. Posts, of the last file given, {kind: "opened", name, image,
// size, isTransparent}, then {kind: "tile", box, pixels, fraction, seconds} for each tile, then {kind: "done", seconds};
// or {kind: "refused", name, message} if it is no image, and {kind: "failed", name, message} if the denoiser cannot run.

import { denoisePhoto, load, start } from "./model.js";
import { pause } from "./page.js";
import { cutTile, keepInner, listTiles } from "./tiles.js";

let asked = 0; // number of files given
let current = 0; // the file that is denoised
let starting = null;
const loading = {}; // by graph

self.addEventListener("message", async ({ data: { file, about } }) => {
  const number = ++asked;
  const opened = { name: file.name, ...(await open(file, about.max_pixels)) };
  if (number !== asked) return; // another file was chosen meanwhile
  if (opened.kind === "refused") return postMessage(opened); // the one before goes on
  current = number;
  postMessage(opened);
  await denoise(opened.image, about, () => number === current).catch((error) => {
    if (number === current) postMessage({ kind: "failed", name: file.name, message: explain(error) });
  });
});

/** The photograph upright in sRGB, on white where it is transparent, scaled to the pixels allowed. */
async function open(file, maxPixels) {
  try {
    const bitmap = await createImageBitmap(file);
    const size = [bitmap.width, bitmap.height];
    const scale = Math.min(1, Math.sqrt(maxPixels / (size[0] * size[1])));
    const [width, height] = size.map((side) => Math.max(1, Math.floor(side * scale)));
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, width, height);
    bitmap.close();
    const image = context.getImageData(0, 0, width, height);
    return { kind: "opened", image, size, isTransparent: layOnWhite(image.data) };
  } catch (error) {
    const isTooLarge = /memory|alloc/i.test(error.message);
    return { kind: "refused", message: isTooLarge ? "too large for the memory of this browser" : "not an image that this browser can read" };
  }
}

/** Make RGBA pixels opaque, on white; returns whether any were transparent. */
function layOnWhite(data) {
  let isTransparent = false;
  for (let i = 3; i < data.length; i += 4) {
    const alpha = data[i] / 255;
    if (alpha === 1) continue;
    isTransparent = true;
    for (let at = i - 3; at < i; at++) data[at] = data[at] * alpha + 255 * (1 - alpha);
    data[i] = 255;
  }
  return isTransparent;
}

async function denoise(image, about, isCurrent) {
  const isGrey = image.data.every((value, i) => i % 4 === 3 || value === image.data[i - (i % 4)]);
  const graph = isGrey ? "photo-grey" : "photo";
  starting ??= start();
  await (loading[graph] ??= starting.then(() => load(graph)));
  const started = performance.now();
  const seconds = () => (performance.now() - started) / 1000;
  let pixels = 0;
  for (const tile of listTiles(image.height, image.width, about)) {
    await pause(0); // takes messages
    if (!isCurrent()) return;
    const { planes, height, width } = cutTile(image, tile.outer, about.multiple, isGrey ? 1 : 3);
    const denoised = { planes: await denoisePhoto(graph, planes, height, width), height, width };
    const kept = keepInner(denoised, tile);
    pixels += tile.inner.height * tile.inner.width;
    if (!isCurrent()) return;
    const fraction = pixels / (image.height * image.width);
    postMessage({ kind: "tile", box: tile.inner, pixels: kept, fraction, seconds: seconds() }, [kept.buffer]);
  }
  postMessage({ kind: "done", seconds: seconds() });
}

/** What went wrong, in words; onnxruntime-web throws strings and numbers too. */
function explain(error) {
  const text = String(error?.message ?? error);
  const isMemory = /memory|alloc|OOM|^\d+$/i.test(text);
  return isMemory ? "this browser has too little memory left for it; close other tabs, or choose a smaller image" : text;
}
