// What both ears get at a place, measured offline: for tests, and for anyone's own measurements.

import { makeGraph } from "./sound.js";

/** Levels in decibels re full scale of both ears at { x, y, yaw } (radians), of a dry sound.
 *
 * `mode` as on the page, `seconds` of noise, or `samples` of a sound of one's own. With `response`,
 * the impulse responses instead: [left, right] with the emission at sample `lead`. */
export async function measure(page, { x, y, yaw = 0, pitch = 0, ...options }) {
  const place = [x, y, page.floor.ears];
  const pose = { ...page.pose({ place, yaw, pitch }), source: options.source ?? page.source };
  if (options.response) return response(page, await page.ask({ ...pose, response: true }));
  return levels(page, await page.ask(pose), options);
}

function response({ index }, { soon, later, delay }) {
  const out = later.map((ear) => Array.from(ear));
  const start = Math.round(delay) - 16; // the preroll of early.js
  soon.forEach((ear, k) => ear.forEach((value, t) => {
    if (start + t >= 0 && start + t < out[k].length) out[k][start + t] += value;
  }));
  return { left: out[0], right: out[1], lead: index.lead, exact: delay };
}

async function levels({ index }, set, { mode = "simulated", seconds = 1, samples = null }) {
  const rate = index.sampleRate;
  const dry = samples ?? noise(Math.round(seconds * rate));
  const context = new OfflineAudioContext(2, dry.length + rate / 2, rate);
  const graph = await makeGraph(context, index, set);
  const played = context.createBuffer(1, dry.length, rate);
  played.copyToChannel(Float32Array.from(dry), 0);
  graph[`${mode}Gain`].gain.value = 1;
  graph.all.gain.value = 1;
  const voice = new AudioBufferSourceNode(context, { buffer: played });
  voice.connect(graph.dry);
  voice.start();
  const heard = await context.startRendering();
  const from = Math.round(rate / 4);
  return [0, 1].map((ear) => {
    const part = heard.getChannelData(ear).subarray(from, dry.length);
    const power = part.reduce((sum, value) => sum + value * value, 0) / part.length;
    return 10 * Math.log10(power + 1e-12);
  });
}

/** White noise that is the same each time (a linear congruence), -26 dB re full scale. */
function noise(count) {
  const out = new Float32Array(count);
  let state = 1;
  for (let t = 0; t < count; t++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[t] = 0.0868 * (state / 2 ** 31 - 1);
  }
  return out;
}
