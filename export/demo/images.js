// Grey images as arrays in [0, 1], row by row: show, compare, read from files, draw.

const BRUSH = 1.1; // radius in pixels
const GAIN = 4; // of the difference image
const BRIGHT = 0.5; // an image with a brighter border is inverted: the model's images are bright on black

/** Show image `index` of `pixels` on a canvas of the image's size. */
export function paint(canvas, pixels, index = 0) {
  const area = canvas.width * canvas.height;
  const data = new ImageData(canvas.width, canvas.height);
  for (let i = 0; i < area; i++) {
    const grey = Math.round(255 * pixels[index * area + i]); // ImageData clamps
    data.data.set([grey, grey, grey, 255], 4 * i);
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

/** Read an image file as a grey image of a size: `pixels`, and a description of the conversion, `done`. Throws an Error to show. */
export async function readFile(file, [height, width]) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name}: not an image that this browser can read`);
  });
  const scale = Math.min(width / bitmap.width, height / bitmap.height);
  const [fittedWidth, fittedHeight] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const fitted = toGrey(bitmap, fittedWidth, fittedHeight);
  const border = mean(fitted.filter((_, i) => isBorder(i, fittedWidth, fittedHeight)));
  const inverted = border > BRIGHT;
  const pixels = new Float32Array(width * height).fill(border);
  const [left, top] = [(width - fittedWidth) >> 1, (height - fittedHeight) >> 1];
  for (let y = 0; y < fittedHeight; y++) {
    pixels.set(fitted.subarray(y * fittedWidth, (y + 1) * fittedWidth), (top + y) * width + left);
  }
  const done = `${file.name}, ${bitmap.width}x${bitmap.height}: converted to grey and ${width}x${height}`;
  return inverted
    ? { pixels: pixels.map((value) => 1 - value), done: `${done}, inverted because its border is bright` }
    : { pixels, done };
}

/** Draw a line of grey `value` between two points, in pixels, with a soft round brush; changes `pixels`. */
export function drawLine(pixels, width, from, to, value) {
  const [dx, dy] = [to[0] - from[0], to[1] - from[1]];
  const length = dx * dx + dy * dy || 1;
  for (let i = 0; i < pixels.length; i++) {
    const [x, y] = [(i % width) + 0.5 - from[0], Math.floor(i / width) + 0.5 - from[1]];
    const along = Math.min(1, Math.max(0, (x * dx + y * dy) / length));
    const cover = Math.min(1, Math.max(0, BRUSH + 0.5 - Math.hypot(x - along * dx, y - along * dy)));
    pixels[i] = value ? Math.max(pixels[i], cover) : Math.min(pixels[i], 1 - cover);
  }
}

function isBorder(i, width, height) {
  return i % width === 0 || i % width === width - 1 || i < width || i >= width * (height - 1);
}

/** The bitmap scaled to a size, as grey in [0, 1]; transparency is composited over white. */
function toGrey(bitmap, width, height) {
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  return Float32Array.from({ length: width * height }, (_, i) => luma(data, 4 * i) / 255);
}

function luma(data, at) {
  return 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
