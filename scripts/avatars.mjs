// Draw avatars to train a small colour generator on: the style Open Peeps by Pablo Stanley, CC0 1.0, with DiceBear.
//
//     npm install --prefix avatars @dicebear/core@9.4.3 @dicebear/open-peeps@9.4.3 @resvg/resvg-js@2.6.2
//     cp scripts/avatars.mjs avatars && node avatars/avatars.mjs avatars/images 13000
//
// Writes images/train/CLASS/NUMBER.png and images/test/CLASS/NUMBER.png, 64x64, one class for each expression. No test
// image has the face, head, beard and glasses of a training image. The same versions draw the same bytes.

import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import { createAvatar } from "@dicebear/core";
import * as openPeeps from "@dicebear/open-peeps";
import { Resvg } from "@resvg/resvg-js";

const FACES = {
  angry: "rage",
  calm: "calm",
  cheeky: "cheeky",
  "in-love": "lovingGrin1",
  laughing: "smileBig",
  surprised: "awe",
  suspicious: "suspicious",
  tired: "tired",
};
const BACKGROUNDS = ["b6e3f4", "c0aede", "d1d4f9", "ffd5dc", "ffdfbf"];
const TEST_FRACTION = 12; // one in so many combinations is for testing

const hash = (text) => createHash("sha256").update(text).digest("hex");

function draw(number) {
  const classes = Object.keys(FACES);
  const name = classes[number % classes.length];
  const options = { seed: hash(String(number)), size: 64, backgroundColor: BACKGROUNDS, maskProbability: 0 };
  const avatar = createAvatar(openPeeps, { ...options, face: [FACES[name]] });
  const { head, facialHair, accessories } = avatar.toJson().extra;
  const combination = hash([name, head, facialHair, accessories].join());
  const split = parseInt(combination.slice(0, 8), 16) % TEST_FRACTION ? "train" : "test";
  const png = new Resvg(avatar.toString(), { font: { loadSystemFonts: false } }).render().asPng();
  return { name, split, png };
}

const [folder, count] = process.argv.slice(2);
if (!folder || !(Number(count) >= 1)) {
  console.error("usage: node avatars.mjs FOLDER COUNT");
  process.exit(2);
}
for (let number = 0; number < Number(count); number++) {
  const { name, split, png } = draw(number);
  const target = path.join(folder, split, name);
  mkdirSync(target, { recursive: true });
  writeFileSync(path.join(target, `${String(number).padStart(6, "0")}.png`), png);
}
