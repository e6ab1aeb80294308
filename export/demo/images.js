// Images as arrays of grey in [0, 1], row by row: shown, compared, read from files, drawn on.

const BRUSH = 1.1; // its radius in pixels
const GAIN = 4; // of a difference
const BRIGHT = 0.5; // a border above this is a background, and clothes are bright on black here

/** Show an image, or the one at `index` of several, on a canvas that has its size. */
export function paint(canvas, pixels, index = 0) {
  const area = canvas.width * canvas.height;
  const shown = new ImageData(canvas.width, canvas.height);
  for (let i = 0; i < area; i++) {
    const grey = Math.round(255 * pixels[index * area + i]); // ImageData clamps
    shown.data.set([grey, grey, grey, 255], 4 * i);
  }
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(shown, 0, 0); // too small for a graphics card
}

/** A canvas for images of a size, named for those who do not see it. */
export function canvasFor([height, width], name) {
  return Object.assign(document.createElement("canvas"), { width, height, role: "img", ariaLabel: name });
}

/** What is brighter in the second image than in the first is white, darker black, the same grey. */
export function difference(before, after) {
  return after.map((value, i) => 0.5 + GAIN * (value - before[i]));
}

/** Peak signal-to-noise ratio in dB of an image against the clean one; of the same, Infinity. */
export function psnr(clean, other) {
  const error = clean.reduce((sum, value, i) => sum + (value - other[i]) ** 2, 0) / clean.length;
  return -10 * Math.log10(error);
}

/** Any image file as grey of a size: `pixels`, and in words what was done. Throws an Error that can be shown. */
export async function readFile(file, [height, width]) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name}: no image that this browser can read`);
  });
  const scale = Math.min(width / bitmap.width, height / bitmap.height);
  const [wide, high] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  const fitted = grey(bitmap, wide, high);
  const border = mean(fitted.filter((_, i) => i % wide === 0 || i % wide === wide - 1 || i < wide || i >= wide * (high - 1)));
  const inverted = border > BRIGHT;
  const pixels = new Float32Array(width * height).fill(border);
  const [left, top] = [(width - wide) >> 1, (height - high) >> 1];
  for (let y = 0; y < high; y++) pixels.set(fitted.subarray(y * wide, (y + 1) * wide), (top + y) * width + left);
  const done = `${file.name}, ${bitmap.width}x${bitmap.height}: made grey and ${width}x${height}`;
  return inverted
    ? { pixels: pixels.map((value) => 1 - value), done: `${done}, and inverted, since its border is bright` }
    : { pixels, done };
}

/** Draw a line of grey `value` from one point to another, in pixels, with a soft round brush. */
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

/** What is transparent lies on white. */
function grey(bitmap, width, height) {
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
