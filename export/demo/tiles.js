// Cut a photograph into overlapping tiles, as Python's `export.denoise.tiling` does.

/**
 * The tiles of a photograph, whose inner parts cover it once: {inner, outer}, each {top, left, height, width}. An outer
 * part holds all that its inner one depends on, so that a tile gets the values that the whole photograph would get.
 */
export function listTiles(height, width, about) {
  const columns = spans(width, about);
  return spans(height, about).flatMap((row) =>
    columns.map((column) => Object.fromEntries(["inner", "outer"].map((part) => [part, toBox(row[part], column[part])]))),
  );
}

/** Inner and outer parts, [start, end), of tiles along one side, of nearly equal lengths; all start at a multiple. */
function spans(length, { tile, multiple, receptive_field: field }) {
  if (length <= tile) return [{ inner: [0, length], outer: [0, length] }];
  const margin = multiple * Math.ceil(field / multiple);
  const count = Math.ceil(length / (tile - (tile % multiple) - 2 * margin));
  const step = multiple * Math.ceil(length / count / multiple);
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => {
    const inner = [i * step, Math.min((i + 1) * step, length)];
    return { inner, outer: [Math.max(inner[0] - margin, 0), Math.min(inner[1] + margin, length)] };
  });
}

function toBox([top, bottom], [left, right]) {
  return { top, left, height: bottom - top, width: right - left };
}

/**
 * A part of RGBA pixels as channels x height x width in [0, 1], mirrored below and on the right to a multiple on both
 * sides: {planes, height, width}. One channel is that of a grey photograph.
 */
export function cutTile({ data, width: stride }, box, multiple, channels) {
  const [height, width] = [box.height, box.width].map((side) => multiple * Math.ceil(side / multiple));
  const planes = new Float32Array(channels * height * width);
  for (let y = 0; y < height; y++) {
    const row = (box.top + mirror(y, box.height)) * stride + box.left;
    for (let x = 0; x < width; x++) {
      const from = 4 * (row + mirror(x, box.width));
      const to = y * width + x;
      for (let channel = 0; channel < channels; channel++) planes[channel * height * width + to] = data[from + channel] / 255;
    }
  }
  return { planes, height, width };
}

/** The inner part of a denoised tile as RGBA pixels. */
export function keepInner({ planes, height, width }, { inner, outer }) {
  const pixels = new Uint8ClampedArray(4 * inner.height * inner.width);
  const area = height * width;
  const step = planes.length > area ? area : 0; // from a channel to the next; grey has one for all
  for (let y = 0; y < inner.height; y++) {
    const row = (inner.top - outer.top + y) * width + inner.left - outer.left;
    for (let x = 0; x < inner.width; x++) {
      const from = row + x;
      const to = 4 * (y * inner.width + x);
      for (let channel = 0; channel < 3; channel++) {
        pixels[to + channel] = 255 * planes[channel * step + from]; // rounds
      }
      pixels[to + 3] = 255;
    }
  }
  return pixels;
}

/** A position mirrored at the end, the last pixel twice, as often as needed. */
function mirror(i, length) {
  const turn = i % (2 * length);
  return turn < length ? turn : 2 * length - 1 - turn;
}
