// The early part of what two ears hear: each path from its image, through the head's own ears.
//
// Between grid points a path keeps its image, so its delay and angle are exact where one stands;
// only its strength is blended. Delays are counted from the straight way to the source, which a
// delay line carries (see convolver.js): the direct sound then never combs while one walks.

import { FFT } from "./fft.js";
import { dot } from "./rotation.js";

const SIZE = 512; // of the transform: filter, ear and a fraction of a sample fit in
export const PREROLL = 16; // samples of a path's filter before its arrival
const NEAREST = 0.4; // metres: no closer does a source get louder
const RAMP = new Float32Array(2 * SIZE);

export class Early {
  /** `head`: the head's bundle. */
  constructor(head, { sampleRate, speedOfSound }) {
    this.head = head;
    this.perMetre = sampleRate / speedOfSound;
    this.fft = new FFT(SIZE);
    this.ears = new Map();
  }

  /** Index of the measured direction nearest to a unit vector in the head's frame. */
  nearest([x, y, z]) {
    const d = this.head.directions;
    let best = -2;
    let found = 0;
    for (let i = 0, k = 0; i < d.length; i += 3, k++) {
      const near = d[i] * x + d[i + 1] * y + d[i + 2] * z;
      if (near > best) {
        best = near;
        found = k;
      }
    }
    return found;
  }

  /** Spectrum of left + i right for one direction, computed when first asked for. */
  spectrum(index) {
    let known = this.ears.get(index);
    if (!known) {
      const [, , taps] = this.head.responses.shape;
      const scale = this.head.scale[0];
      known = [new Float32Array(SIZE), new Float32Array(SIZE)];
      for (let ear = 0; ear < 2; ear++) {
        const start = (2 * index + ear) * taps;
        for (let t = 0; t < taps; t++) known[ear][t] = scale * this.head.responses[start + t];
      }
      this.fft.forward(...known);
      this.ears.set(index, known);
    }
    return known;
  }

  /** Add the paths of `blend`, [[point, weight], ...], at `place` to `out` [left, right].
   *
   * A frontal direct sound begins at sample PREROLL + lead. Returns the paths heard. */
  render(blend, place, axes, source, out) {
    const straight = Math.hypot(...source.map((v, k) => v - place[k]));
    const heard = merge(blend);
    for (const path of heard) {
      const way = path.image.map((v, k) => v - place[k]);
      const far = Math.max(Math.hypot(...way), 1e-6);
      const local = axes.map((axis) => dot(axis, way) / far);
      const delay = Math.max((far - straight) * this.perMetre, -PREROLL);
      this.add(path.filter, 1 / Math.max(far, NEAREST), delay, this.nearest(local), out);
    }
    return heard;
  }

  /** Add one filter through the ears of one direction. */
  add(filter, gain, delay, direction, out) {
    const re = new Float32Array(SIZE);
    const im = new Float32Array(SIZE);
    for (let t = 0; t < filter.length; t++) re[t] = gain * filter[t];
    this.fft.forward(re, im);
    const [earRe, earIm] = this.spectrum(direction);
    const whole = Math.floor(delay);
    fractionalRamp(delay - whole);
    for (let k = 0; k < SIZE; k++) {
      const a = re[k] * RAMP[2 * k] - im[k] * RAMP[2 * k + 1];
      const b = re[k] * RAMP[2 * k + 1] + im[k] * RAMP[2 * k];
      re[k] = a * earRe[k] - b * earIm[k];
      im[k] = a * earIm[k] + b * earRe[k];
    }
    this.fft.inverse(re, im);
    const last = Math.min(SIZE, out[0].length - whole);
    for (let t = Math.max(0, -whole); t < last; t++) {
      out[0][whole + t] += re[t];
      out[1][whole + t] += im[t];
    }
  }
}

/** Spectrum of a delay: unit phasors of bins 0 to SIZE - 1, negative frequencies conjugate. */
function fractionalRamp(samples) {
  const step = (-2 * Math.PI * samples) / SIZE;
  for (let k = 0; k <= SIZE / 2; k++) {
    const [c, s] = [Math.cos(step * k), Math.sin(step * k)];
    RAMP[2 * k] = c;
    RAMP[2 * k + 1] = s;
    const mirror = (SIZE - k) % SIZE;
    RAMP[2 * mirror] = c;
    RAMP[2 * mirror + 1] = -s;
  }
  RAMP[2 * (SIZE / 2) + 1] = 0; // a real signal has a real Nyquist bin
  RAMP[1] = 0;
}

/** Paths of several points, those with one image as one. */
function merge(blend) {
  const found = new Map();
  for (const [point, weight] of blend) {
    const taps = point.filter.shape[1];
    for (let p = 0; p < point.image.shape[0]; p++) {
      const image = Array.from(point.image.subarray(3 * p, 3 * p + 3));
      const key = image.map((v) => Math.round(100 * v)).join();
      let path = found.get(key);
      if (!path) {
        path = { image, filter: new Float32Array(taps), order: point.order[p] };
        found.set(key, path);
      }
      const filter = point.filter.subarray(taps * p, taps * (p + 1));
      for (let t = 0; t < taps; t++) path.filter[t] += weight * filter[t];
    }
  }
  return [...found.values()];
}
