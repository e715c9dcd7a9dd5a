// Audio thread: a dry sound through a filter that follows the listener, without a click.
//
// Partitioned convolution (overlap-save) of one input with two ears at once, as left + i right.
// The early part hears the input through a delay line as long as the straight way to the source;
// the delay glides, so walking towards a source raises its pitch as it should. A new filter is
// faded in over FADE blocks, on the output: what two filters make of one history of the input.

import { FFT } from "./fft.js";

const HOP = 256;
const SIZE = 2 * HOP;
const FADE = 8; // blocks
const LONGEST = 1 << 14; // samples of the delay line: 117 m
const JUMP = 300; // samples: a delay that changes by more was a leap, not a walk

class History {
  constructor(fft, partitions) {
    this.fft = fft;
    this.spectra = [];
    for (let p = 0; p < partitions; p++) this.spectra.push(new Float32Array(2 * SIZE));
    this.last = new Float32Array(HOP);
    this.newest = 0;
  }

  push(block) {
    this.newest = (this.newest + this.spectra.length - 1) % this.spectra.length;
    const spectrum = this.spectra[this.newest];
    const re = spectrum.subarray(0, SIZE);
    const im = spectrum.subarray(SIZE);
    re.set(this.last);
    re.set(block, HOP);
    im.fill(0);
    this.last.set(block);
    this.fft.forward(re, im);
  }

  /** Add to `re` + i `im` the products with `filter`, partition by partition. */
  multiply(filter, offset, partitions, re, im) {
    const count = Math.min(partitions, this.spectra.length);
    for (let p = 0; p < count; p++) {
      const x = this.spectra[(this.newest + p) % this.spectra.length];
      const at = offset + p * 2 * SIZE;
      for (let k = 0; k < SIZE; k++) {
        const a = x[k];
        const b = x[SIZE + k];
        const c = filter[at + k];
        const d = filter[at + SIZE + k];
        re[k] += a * c - b * d;
        im[k] += a * d + b * c;
      }
    }
  }
}

class Convolver extends AudioWorkletProcessor {
  constructor({ processorOptions: { early, late, filter = null } }) {
    super();
    this.count = { early, late };
    this.fft = new FFT(SIZE);
    this.soon = new History(this.fft, early);
    this.later = new History(this.fft, late);
    this.line = new Float32Array(LONGEST);
    this.written = 0;
    this.input = new Float32Array(HOP);
    this.filled = 0;
    this.output = [new Float32Array(HOP), new Float32Array(HOP)];
    this.sum = [new Float32Array(SIZE), new Float32Array(SIZE)];
    this.now = filter; // filter in use: { filter, delay }
    this.next = null; // filter that fades in
    this.waiting = null; // the newest that came meanwhile
    this.faded = 0;
    this.delay = filter?.delay ?? 0;
    this.port.onmessage = ({ data }) => this.receive(data);
  }

  receive(data) {
    if (data.port) {
      this.giver = data.port;
      this.giver.onmessage = (event) => this.receive(event.data);
      return;
    }
    if (this.waiting) this.giveBack(this.waiting);
    this.waiting = data;
  }

  giveBack({ filter }) {
    // The worker fills the same memory again, so nothing piles up for the garbage collector.
    this.giver?.postMessage({ used: filter }, [filter.buffer]);
  }

  process([input], [output]) {
    const quantum = output[0].length;
    const source = input[0];
    for (let t = 0; t < quantum; t++) {
      output[0][t] = this.output[0][this.filled + t];
      output[1][t] = this.output[1][this.filled + t];
      this.input[this.filled + t] = source ? source[t] : 0;
    }
    this.filled += quantum;
    if (this.filled === HOP) {
      this.filled = 0;
      this.block();
    }
    return true;
  }

  block() {
    this.take();
    const target = (this.next ?? this.now)?.delay ?? 0;
    if (Math.abs(target - this.delay) > JUMP) this.delay = target;
    const blocksLeft = this.next ? FADE - this.faded : 1;
    const glide = (target - this.delay) / (HOP * blocksLeft);
    this.later.push(this.input);
    this.soon.push(this.delayed(glide));
    this.output[0].fill(0);
    this.output[1].fill(0);
    if (this.now) this.mix(this.now, this.next ? 1 - this.faded / FADE : 1, this.next ? -1 : 0);
    if (this.next) this.mix(this.next, this.faded / FADE, 1);
    if (this.next && ++this.faded === FADE) {
      if (this.now) this.giveBack(this.now);
      this.now = this.next;
      this.next = null;
    }
  }

  take() {
    if (this.next || !this.waiting) return;
    this.next = this.waiting;
    this.waiting = null;
    this.faded = 0;
    if (!this.now) this.delay = this.next.delay;
  }

  /** The input through the delay line, whose delay grows by `glide` a sample. */
  delayed(glide) {
    const out = new Float32Array(HOP);
    const mask = LONGEST - 1;
    for (let t = 0; t < HOP; t++) {
      this.line[this.written & mask] = this.input[t];
      this.delay += glide;
      const at = this.written - Math.min(Math.max(this.delay, 2), LONGEST - 4);
      const whole = Math.floor(at);
      const f = at - whole;
      // Third-order Lagrange: flat to .1 dB up to 10 kHz.
      const a = this.line[(whole - 1) & mask];
      const b = this.line[whole & mask];
      const c = this.line[(whole + 1) & mask];
      const d = this.line[(whole + 2) & mask];
      out[t] =
        (-f * (f - 1) * (f - 2) * a) / 6 +
        ((f + 1) * (f - 1) * (f - 2) * b) / 2 -
        ((f + 1) * f * (f - 2) * c) / 2 +
        ((f + 1) * f * (f - 1) * d) / 6;
      this.written++;
    }
    return out;
  }

  /** Add what `set` makes of the history, its gain rising by `slope` / FADE over the block. */
  mix(set, gain, slope) {
    const [re, im] = this.sum;
    re.fill(0);
    im.fill(0);
    this.soon.multiply(set.filter, 0, this.count.early, re, im);
    this.later.multiply(set.filter, this.count.early * 2 * SIZE, this.count.late, re, im);
    this.fft.inverse(re, im);
    for (let t = 0; t < HOP; t++) {
      const g = gain + (slope * t) / (HOP * FADE);
      this.output[0][t] += g * re[HOP + t];
      this.output[1][t] += g * im[HOP + t];
    }
  }
}

registerProcessor("convolver", Convolver);
