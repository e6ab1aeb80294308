// Images as arrays in [0, 1], row by row, one channel (grey) or three after another: show, compare, read from files, draw.

const BRUSH = 1.1; // radius in pixels
const GAIN = 4; // of the difference image
const BRIGHT = 0.5; // an image with a brighter border is inverted: the model's images are bright on black

/** Show image `index` of `pixels`, of 1 or 3 channels, on a canvas of the image's size. */
export function paint(canvas, pixels, channels, index = 0) {
  const area = canvas.width * canvas.height;
  const [red, green, blue] = [0, 1, 2].map((channel) => (index * channels + Math.min(channel, channels - 1)) * area);
  const data = new ImageData(canvas.width, canvas.height);
  for (let i = 0; i < area; i++) {
    const values = [pixels[red + i], pixels[green + i], pixels[blue + i]];
    data.data.set([...values.map((value) => Math.round(255 * value)), 255], 4 * i); // ImageData clamps
  }
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(data, 0, 0); // small: faster without the GPU
}

/** A canvas for images of a size, with a name for assistive technology. */
export function createCanvas([height, width], name) {
  return Object.assign(document.createElement("canvas"), { width, height, role: "img", ariaLabel: name });
}

/** The amplified difference: white where `after` is brighter than `before`, black where darker, grey where equal. */
export function difference(before, after) {
  return after.map((value, i) => 0.5 + GAIN * (value - before[i]));
}

/** Peak signal-to-noise ratio in dB of an image, given the clean one; Infinity if they are equal. */
export function psnr(clean, other) {
  const error = clean.reduce((sum, value, i) => sum + (value - other[i]) ** 2, 0) / clean.length;
  return -10 * Math.log10(error);
}

/**
 * Read an image file as an image of a size: `pixels`, and a description of the conversion, `done`. Grey images are
 * inverted if their border is bright. Throws an Error to show.
 */
export async function readFile(file, [height, width], channels) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name}: not an image that this browser can read`);
  });
  const scale = Math.min(width / bitmap.width, height / bitmap.height);
  const [fittedWidth, fittedHeight] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const planes = toPlanes(bitmap, fittedWidth, fittedHeight, channels);
  const borders = planes.map((plane) => mean(plane.filter((_, i) => isBorder(i, fittedWidth, fittedHeight))));
  const pixels = new Float32Array(channels * width * height);
  const [left, top] = [(width - fittedWidth) >> 1, (height - fittedHeight) >> 1];
  for (const [channel, plane] of planes.entries()) {
    const start = channel * width * height;
    pixels.fill(borders[channel], start, start + width * height);
    for (let y = 0; y < fittedHeight; y++) {
      pixels.set(plane.subarray(y * fittedWidth, (y + 1) * fittedWidth), start + (top + y) * width + left);
    }
  }
  const kind = channels === 1 ? "grey and " : "";
  const done = `${file.name}, ${bitmap.width}x${bitmap.height}: converted to ${kind}${width}x${height}`;
  return channels === 1 && borders[0] > BRIGHT
    ? { pixels: pixels.map((value) => 1 - value), done: `${done}, inverted because its border is bright` }
    : { pixels, done };
}

/** Draw a line, white for `value` 1 or black for 0, between two points with a soft round brush; changes `pixels`. */
export function drawLine(pixels, [height, width], from, to, value) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = dx * dx + dy * dy || 1;
  for (let i = 0; i < pixels.length; i++) {
    const [x, y] = [(i % width) + 0.5 - from[0], (Math.floor(i / width) % height) + 0.5 - from[1]];
    const along = Math.min(1, Math.max(0, (x * dx + y * dy) / length));
    const cover = Math.min(1, Math.max(0, BRUSH + 0.5 - Math.hypot(x - along * dx, y - along * dy)));
    pixels[i] = value ? Math.max(pixels[i], cover) : Math.min(pixels[i], 1 - cover);
  }
}

function isBorder(i, width, height) {
  return i % width === 0 || i % width === width - 1 || i < width || i >= width * (height - 1);
}

/** The bitmap scaled to a size, as one array in [0, 1] for each channel; transparency is composited over white. */
function toPlanes(bitmap, width, height, channels) {
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const plane = (value) => Float32Array.from({ length: width * height }, (_, i) => value(4 * i) / 255);
  return channels === 1 ? [plane((at) => luma(data, at))] : [0, 1, 2].map((channel) => plane((at) => data[at + channel]));
}

function luma(data, at) {
  return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
