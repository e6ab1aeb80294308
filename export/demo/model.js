// The graphs in the page: files that are checked by their hash, onnxruntime-web, and one run at a time.

const RUNTIME = "ort.wasm.bundle.min.mjs";
const BINARY = "ort-wasm-simd-threaded.wasm";
const MOST_THREADS = 4; // as onnxruntime-web has it: images this small gain nothing from more
const KEPT = 25; // runs that the time an image is the median of

/** What model.json says: latent (entries of z), size (height and width), classes, directions, files and hashes. */
export let about;
export let threads = 1;

let ort;
const sessions = {};
const times = { fused: [], denoiser: [] };
const warm = new Set(); // graphs that ran before
let queue = Promise.resolve();

/** Read model.json and start the runtime; with threads where the page is isolated. Throws an Error that can be shown. */
export async function start() {
  const answer = await fetch("model.json", { cache: "no-cache" }).catch(() => null);
  about = await answer?.json().catch(() => null);
  if (!about?.files) throw await trouble("model.json");
  ort = await import(`./${RUNTIME}`).catch(async () => {
    throw await trouble(RUNTIME);
  });
  threads = crossOriginIsolated ? Math.min(navigator.hardwareConcurrency, MOST_THREADS) : 1;
  Object.assign(ort.env.wasm, { numThreads: threads, wasmBinary: (await read(BINARY)).buffer });
}

/** Make the graph "fused" or "denoiser" ready. Throws an Error that can be shown. */
export async function load(name) {
  const model = await read(`${name}.onnx`);
  sessions[name] = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] }).catch((error) => {
    throw new Error(`${name}.onnx: this browser cannot run it (${error.message})`);
  });
}

/** The images of latents z (rows of about.latent numbers): image and denoised, Float32Arrays in [0, 1]. */
export async function generate(z) {
  const { image, denoised } = await run("fused", { z: tensor(z, [about.latent]) });
  return { image: image.data, denoised: denoised.data };
}

/** What the denoiser makes of images in [0, 1]; Float32Array, as many. */
export async function denoise(noisy) {
  return (await run("denoiser", { noisy: tensor(noisy, [1, ...about.size]) })).denoised.data;
}

/** The milliseconds that an image of its own took lately, the median; undefined before the first. */
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

/** One after another: a session does one thing at a time. */
function run(name, input) {
  const turn = queue.then(async () => {
    const started = performance.now();
    const outputs = await sessions[name].run(input);
    const [{ dims }] = Object.values(input);
    if (dims[0] === 1 && warm.has(name)) times[name] = [...times[name], performance.now() - started].slice(-KEPT);
    warm.add(name);
    return outputs;
  });
  queue = turn.catch(() => {});
  return turn;
}

/** The bytes of a file that model.json knows; the browser itself refuses others. */
async function read(file) {
  try {
    const answer = await fetch(file, { cache: "no-cache", integrity: about.files[file] });
    return new Uint8Array(await answer.arrayBuffer());
  } catch {
    throw await trouble(file);
  }
}

/** Why a file is of no use. */
async function trouble(file) {
  const answer = await fetch(file, { cache: "no-cache" }).catch(() => null);
  if (!answer) return new Error(`${file}: the server does not answer`);
  if (!answer.ok) return new Error(`${file}: missing, the server says ${answer.status}`);
  return new Error(`${file}: damaged, its bytes are not those that were written`);
}
