// Load the graphs, with their hashes checked, and run them with onnxruntime-web, one at a time.

const RUNTIME = "ort.wasm.bundle.min.mjs";
const BINARY = "ort-wasm-simd-threaded.wasm";
const MAX_THREADS = 4; // the default of onnxruntime-web; more do not help with images this small
const TIMED_RUNS = 25; // the time per image is their median

/**
 * The content of model.json: is_shipped (the model of the package), latent (entries of z), size (height and width),
 * channels (1 grey, 3 colour), classes, directions, files with hashes; early: null, or latent and epoch of the early generator; photo: null, or how the
 * denoiser of photographs is tiled.
 */
export let about;
export let threads = 1;

let ort;
const sessions = {};
const times = { fused: [], early: [], denoiser: [], photo: [], "photo-grey": [] };
const warm = new Set(); // graphs after their first run, which is slow and not timed
let queue = Promise.resolve();

/** Read model.json and start the runtime, with threads if the page is cross-origin isolated. Throws an Error to show. */
export async function start() {
  if (typeof WebAssembly === "undefined") throw new Error("This browser has no WebAssembly, or it is switched off; the page needs it");
  const response = await fetch("model.json", { cache: "no-cache" }).catch(() => null);
  about = await response?.json().catch(() => null);
  if (!about?.files) throw await explainFailure("model.json");
  ort = await import(`./${RUNTIME}`).catch(async () => {
    throw await explainFailure(RUNTIME);
  });
  threads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MAX_THREADS) : 1;
  Object.assign(ort.env.wasm, { numThreads: threads, wasmBinary: (await readFile(BINARY)).buffer });
}

/** Load the graph "fused", "early", "denoiser", "photo" or "photo-grey". Throws an Error to show. */
export async function load(name) {
  const model = await readFile(`${name}.onnx`);
  sessions[name] = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] }).catch((error) => {
    throw new Error(`${name}.onnx: this browser cannot run the graph (${error.message})`);
  });
}

/**
 * Generate with the graph "fused" or "early" from latents z, rows of about.latent or about.early.latent numbers: `image`
 * and `denoised`, Float32Arrays in [0, 1].
 */
export async function generate(z, name = "fused") {
  const latent = name === "fused" ? about.latent : about.early.latent;
  const { image, denoised } = await run(name, { z: tensor(z, [latent]) });
  return { image: image.data, denoised: denoised.data };
}

/** Denoise images in [0, 1]; returns a Float32Array of the same length. */
export async function denoise(noisy) {
  return (await run("denoiser", { noisy: tensor(noisy, [about.channels, ...about.size]) })).denoised.data;
}

/**
 * Denoise one photograph or a tile of it with the graph `name`: channels x height x width in [0, 1], 3 channels for
 * "photo" and 1 for "photo-grey". Returns a Float32Array of the same length.
 */
export async function denoisePhoto(name, noisy, height, width) {
  const channels = noisy.length / (height * width);
  return (await run(name, { noisy: tensor(noisy, [channels, height, width]) })).denoised.data;
}

/** The median time of the latest single-image runs in milliseconds; undefined before the first. */
export function milliseconds(name) {
  return [...times[name]].sort((a, b) => a - b)[times[name].length >> 1];
}

/** The version of onnxruntime-web. */
export function version() {
  return ort.env.versions.web;
}

function tensor(values, shape) {
  const length = shape.reduce((product, side) => product * side);
  return new ort.Tensor("float32", values, [values.length / length, ...shape]);
}

/** Run a graph after all earlier runs; a session cannot run twice at once. */
function run(name, input) {
  const result = queue.then(async () => {
    const started = performance.now();
    const outputs = await sessions[name].run(input);
    const [{ dims }] = Object.values(input);
    if (dims[0] === 1 && warm.has(name)) times[name] = [...times[name], performance.now() - started].slice(-TIMED_RUNS);
    warm.add(name);
    return outputs;
  });
  queue = result.catch(() => {});
  return result;
}

/** The bytes of a file listed in model.json; the browser refuses a file with another hash. */
async function readFile(file) {
  try {
    const response = await fetch(file, { cache: "no-cache", integrity: about.files[file] });
    return new Uint8Array(await response.arrayBuffer());
  } catch {
    throw await explainFailure(file);
  }
}

/** An Error that explains why a file could not be loaded. */
async function explainFailure(file) {
  const response = await fetch(file, { cache: "no-cache" }).catch(() => null);
  if (!response) return new Error(`${file}: the server does not answer`);
  if (!response.ok) return new Error(`${file}: not found (HTTP ${response.status})`);
  return new Error(`${file}: damaged (its hash differs)`);
}
