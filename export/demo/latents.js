// The latents of a seed, equal to those of Python's `export.latents`: NumPy's Philox4x64 and float32 ziggurat.

const WORD = (1n << 64n) - 1n;
const ROUNDS = 10;
const MULTIPLIERS = [0xd2e7470ee14c6c93n, 0xca5a826395121157n];
const WEYL = [0x9e3779b97f4a7c15n, 0xbb67ae8584caa73bn];

const LAYERS = 256;
const TAIL = 3.6541528853610088; // where the base layer ends
const AREA = 0.00492867323399; // of each layer
const STEPS = 2 ** 23; // resolution of a magnitude
const TABLES = layers();

/** Standard normal z, count x size, Float32Array by row; row i depends only on `seed` and `start + i`. */
export function latents(seed, start, count, size) {
  const z = new Float32Array(count * size);
  for (let row = 0; row < count; row++) {
    const bits = philox(BigInt(seed), BigInt(start + row));
    for (let i = 0; i < size; i++) z[row * size + i] = normal(bits);
  }
  return z;
}

/** A copy of a latent that selects class `label`: of the last `classes` entries, the largest is swapped with entry `label`. */
export function setClass(z, label, classes) {
  const swapped = z.slice();
  const first = z.length - classes;
  const largest = first + classOf(z, classes);
  [swapped[largest], swapped[first + label]] = [z[first + label], z[largest]];
  return swapped;
}

/** The class that a latent selects. */
export function classOf(z, classes) {
  const entries = z.subarray(z.length - classes);
  return entries.indexOf(Math.max(...entries));
}

/**
 * Spherical linear interpolation (slerp) at `fraction`, 0 to 1, which keeps about the length of both latents.
 * The entries that select the class are those of the nearer end, so that no third class appears in between.
 */
export function interpolate(from, to, fraction, classes) {
  const parts = [from, to].map((z) => z.subarray(0, z.length - classes));
  const [across, ...lengths] = [dot(...parts), ...parts.map((part) => Math.sqrt(dot(part, part)))];
  const angle = Math.acos(Math.min(1, across / (lengths[0] * lengths[1])));
  const weights = [1 - fraction, fraction].map((part) => (angle < 1e-3 ? part : Math.sin(part * angle) / Math.sin(angle)));
  const z = (fraction < 0.5 ? from : to).slice();
  parts[0].forEach((value, i) => (z[i] = weights[0] * value + weights[1] * to[i]));
  return z;
}

/** The dot product of two vectors. */
export function dot(a, b) {
  return a.reduce((sum, value, i) => sum + value * b[i], 0);
}

/** A function that returns 32 random bits per call: Philox (Salmon et al. 2011), with NumPy's counter order. */
function philox(seed, index) {
  const counter = [0n, 0n, index, 0n];
  let words = [];
  return () => {
    if (!words.length) {
      counter[0]++;
      words = block(counter, seed).flatMap((word) => [Number(word & 0xffffffffn), Number(word >> 32n)]);
    }
    return words.shift();
  };
}

function block(counter, seed) {
  let [a, b, c, d] = counter;
  const key = [seed, 0n];
  for (let round = 0; round < ROUNDS; round++) {
    const [left, right] = [a * MULTIPLIERS[0], c * MULTIPLIERS[1]];
    [a, b, c, d] = [(right >> 64n) ^ b ^ key[0], right & WORD, (left >> 64n) ^ d ^ key[1], left & WORD];
    for (const i of [0, 1]) key[i] = (key[i] + WEYL[i]) & WORD;
  }
  return [a, b, c, d];
}

/** One standard normal number in float32: ziggurat (Marsaglia and Tsang 2000). */
function normal(bits) {
  for (;;) {
    const word = bits();
    const layer = word & 0xff;
    const magnitude = (word >>> 9) & 0x7fffff;
    const x = Math.fround(magnitude * TABLES.width[layer]) * (word & 0x100 ? -1 : 1);
    if (magnitude < TABLES.inside[layer]) return x;
    if (layer === 0) return sampleTail(bits) * (magnitude & 0x100 ? -1 : 1);
    const [upper, lower] = [TABLES.height[layer - 1], TABLES.height[layer]];
    if (Math.fround(Math.fround(upper - lower) * uniform(bits)) + lower < Math.exp(-0.5 * x * x)) return x;
  }
}

/** A magnitude beyond TAIL. */
function sampleTail(bits) {
  for (;;) {
    const x = Math.fround(-Math.fround(1 / TAIL) * Math.fround(Math.log1p(-uniform(bits))));
    const y = -Math.log1p(-uniform(bits));
    if (y + y > x * x) return Math.fround(Math.fround(TAIL) + x);
  }
}

function uniform(bits) {
  return (bits() >>> 8) / 2 ** 24;
}

/** For each layer of equal area: its width per step, its height, and the magnitudes that are certainly inside. */
function layers() {
  const [inside, width, height] = [new Uint32Array(LAYERS), new Float32Array(LAYERS), new Float32Array(LAYERS)];
  const density = (x) => Math.exp(-0.5 * x * x);
  let x = TAIL;
  inside[0] = (x * density(x) * STEPS) / AREA;
  width[0] = AREA / density(x) / STEPS;
  height[0] = 1;
  for (let i = LAYERS - 1; i > 0; i--) {
    width[i] = x / STEPS;
    height[i] = density(x);
    const next = i > 1 ? Math.sqrt(-2 * Math.log(AREA / x + density(x))) : 0;
    inside[i] = (next / x) * STEPS;
    x = next;
  }
  return { inside, width, height };
}
