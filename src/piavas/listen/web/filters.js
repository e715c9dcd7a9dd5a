// Worker: from where the listener stands and looks to the filters of two ears.

import { fetchBundle } from "./bundle.js";
import { Early, PREROLL } from "./early.js";
import { FFT } from "./fft.js";
import { Late } from "./late.js";
import { headAxes } from "./rotation.js";

const HOP = 256; // as in convolver.js
const SIZE = 2 * HOP;
const KEPT = 64; // points in memory
const AT_ONCE = 4; // points being fetched

let index, base, head, early, late, giver;
let points = new Map(); // "source/point" to its bundle, the least recently heard first
let asked = new Set();
let queue = [];
let wanted = null; // the newest pose, not yet worked on
let heard = null; // the last pose worked on
let spare = [];
const fft = new FFT(SIZE);

onmessage = async ({ data }) => {
  if (data.start) await start(data.start);
  if (data.port) {
    giver = data.port;
    giver.onmessage = (event) => event.data.used && spare.push(event.data.used);
    wanted ??= heard; // what was worked out before anyone listened is gone
    setTimeout(work, 0);
  }
  if (data.pose) {
    wanted = data.pose;
    setTimeout(work, 0); // after other messages: only the newest pose counts
  }
  if (data.probe) postMessage({ id: data.id, probe: await probe(data.probe) });
};

async function start(given) {
  ({ index, base } = given);
  head = await fetchBundle(`${base}/head.bin`);
  early = new Early(head, index);
  late = new Late(head, index, index.lateLength);
  postMessage({ ready: true });
}

const nameOf = (source, point) => `${index.sources[source].folder}/${String(point).padStart(4, "0")}`;

/** The points of a pose that are here, [[bundle, weight], ...] with weights of sum 1. */
function present({ source, blend }) {
  const here = [];
  let sum = 0;
  for (const [point, weight] of blend) {
    const name = nameOf(source, point);
    const bundle = points.get(name);
    if (!bundle) continue;
    points.delete(name); // to the end of the order: heard just now
    points.set(name, bundle);
    here.push([bundle, weight]);
    sum += weight;
  }
  return here.map(([bundle, weight]) => [bundle, weight / sum]);
}

function work() {
  if (!wanted || !head) return;
  const pose = wanted;
  wanted = null;
  heard = pose;
  ask(pose);
  const blend = present(pose);
  if (!blend.length) return;
  const begun = performance.now();
  const set = filters(ears(pose, blend), spare.pop());
  giver?.postMessage(set, [set.filter.buffer]);
  postMessage({ heard: { took: performance.now() - begun, points: points.size } });
  tell(pose);
}

/** Responses of both ears: early from the straight way's arrival on, late from emission on. */
function ears(pose, blend) {
  const axes = headAxes(pose.yaw, pose.pitch);
  const soon = [new Float32Array(HOP * index.earlyBlocks), new Float32Array(HOP * index.earlyBlocks)];
  const source = index.sources[pose.source].position;
  early.render(blend, pose.place, axes, source, soon);
  const straight = Math.hypot(...source.map((v, k) => v - pose.place[k]));
  const delay = (straight * index.sampleRate) / index.speedOfSound;
  return { soon, later: late.render(blend, axes), delay };
}

/** The early blocks, then the late ones, each [re, im] of the spectrum of left + i right. */
function filters({ soon, later, delay }, memory) {
  const lateBlocks = Math.min(index.lateBlocks, Math.floor(later[0].length / HOP));
  const filter = memory ?? new Float32Array(2 * SIZE * (index.earlyBlocks + index.lateBlocks));
  filter.fill(0);
  const cut = ([left, right], blocks, from) => {
    for (let b = 0; b < blocks; b++) {
      const at = (from + b) * 2 * SIZE;
      const re = filter.subarray(at, at + SIZE);
      const im = filter.subarray(at + SIZE, at + 2 * SIZE);
      re.set(left.subarray(b * HOP, (b + 1) * HOP));
      im.set(right.subarray(b * HOP, (b + 1) * HOP));
      fft.forward(re, im);
    }
  };
  cut(soon, index.earlyBlocks, 0);
  // The early part is late by its preroll; its delay line makes up for it.
  cut(later, lateBlocks, index.earlyBlocks);
  return { filter, delay: Math.max(delay - PREROLL, 2) };
}

/** Fetch what a pose needs now, and what lies near it, nearest first. */
function ask({ source, blend, place }) {
  const now = blend.map(([point]) => point);
  const far = (k) => Math.hypot(index.points[k][0] - place[0], index.points[k][1] - place[1]);
  const near = index.points.map((_, k) => k).sort((a, b) => far(a) - far(b)).slice(0, KEPT / 2);
  queue = [...new Set([...now, ...near])].map((point) => [source, point]);
  fetchNext();
}

function fetchNext() {
  while (asked.size < AT_ONCE && queue.length) {
    const [source, point] = queue.shift();
    const name = nameOf(source, point);
    if (points.has(name) || asked.has(name)) continue;
    asked.add(name);
    load(source, point)
      .catch((problem) => postMessage({ problem: String(problem.message ?? problem) }))
      .finally(() => {
        asked.delete(name);
        fetchNext();
      });
  }
}

async function load(source, point) {
  const name = nameOf(source, point);
  const bundle = points.get(name) ?? (await fetchBundle(`${base}/${name}.bin`));
  points.set(name, bundle);
  for (const old of points.keys()) {
    if (points.size <= KEPT) break;
    points.delete(old);
  }
  if (heard?.source === source && heard.blend.some(([k]) => k === point)) {
    wanted ??= heard;
    setTimeout(work, 0);
  }
  return bundle;
}

let told = "";
/** Tell the page the paths of the point that counts most, when it is another one. */
function tell({ source, blend }) {
  const [point] = blend.reduce((a, b) => (b[1] > a[1] ? b : a));
  const name = nameOf(source, point);
  const bundle = points.get(name);
  if (name === told || !bundle) return;
  told = name;
  const { line, start, order, level, length } = bundle;
  postMessage({ paths: { point, line, start, order, level, length } });
}

/** For tests and offline rendering: filters, or responses, of any pose, once its points are here. */
async function probe(pose) {
  const blend = [];
  for (const [point, weight] of pose.blend) blend.push([await load(pose.source, point), weight]);
  const response = ears(pose, blend);
  return pose.response ? response : filters(response);
}
