// The late part of what two ears hear: ambisonic samples, blended, turned to the head, decoded.

import { FFT } from "./fft.js";
import { rotation } from "./rotation.js";

export class Late {
  /** `head`: the head's bundle; `length`: samples of the longest response. */
  constructor(head, { order, block }, length) {
    const [, channels, taps] = head.decoder.shape;
    Object.assign(this, { head, order, block, channels });
    this.size = 2 ** Math.ceil(Math.log2(Math.max(length + taps, 1024)));
    this.fft = new FFT(this.size);
    this.decoder = [];
    for (let c = 0; c < channels; c++) {
      const re = new Float32Array(this.size);
      const im = new Float32Array(this.size);
      re.set(head.decoder.subarray(c * taps, (c + 1) * taps));
      im.set(head.decoder.subarray((channels + c) * taps, (channels + c + 1) * taps));
      this.fft.forward(re, im);
      this.decoder.push([re, im]);
    }
  }

  /** Half spectra [channel][re, im] of a point's bundle, kept with it. */
  spectra(point) {
    if (point.spectra) return point.spectra;
    const half = this.size / 2 + 1;
    point.spectra = [];
    for (let c = 0; c < this.channels; c += 2) {
      // Two real channels share one transform.
      const re = this.unpacked(point, c);
      const im = c + 1 < this.channels ? this.unpacked(point, c + 1) : new Float32Array(this.size);
      this.fft.forward(re, im);
      const one = [new Float32Array(half), new Float32Array(half)];
      const two = [new Float32Array(half), new Float32Array(half)];
      for (let k = 0; k < half; k++) {
        const m = (this.size - k) % this.size;
        one[0][k] = (re[k] + re[m]) / 2;
        one[1][k] = (im[k] - im[m]) / 2;
        two[0][k] = (im[k] + im[m]) / 2;
        two[1][k] = (re[m] - re[k]) / 2;
      }
      point.spectra.push(one);
      if (c + 1 < this.channels) point.spectra.push(two);
    }
    return point.spectra;
  }

  unpacked(point, channel) {
    const blocks = point.late.shape[1];
    const out = new Float32Array(this.size);
    for (let b = 0; b < blocks; b++) {
      const scale = point.scale[channel * blocks + b];
      const start = (channel * blocks + b) * this.block;
      for (let t = 0; t < this.block; t++) out[b * this.block + t] = scale * point.late[start + t];
    }
    return out;
  }

  /** Samples [left, right] from the emission on, `lead` samples late as the decoder is. */
  render(blend, axes) {
    const { size, channels } = this;
    const matrix = rotation(axes, this.order, this.head.around, this.head.inverse);
    const re = new Float32Array(size);
    const im = new Float32Array(size);
    for (let c = 0; c < channels; c++) {
      const [a, b] = this.blended(blend, c);
      const [p, q] = this.turned(matrix, c);
      for (let k = 0; k <= size / 2; k++) {
        re[k] += p[k] * a[k] - q[k] * b[k];
        im[k] += p[k] * b[k] + q[k] * a[k];
        const m = size - k;
        if (k === 0 || k === size / 2) continue;
        re[m] += p[m] * a[k] + q[m] * b[k];
        im[m] += q[m] * a[k] - p[m] * b[k];
      }
    }
    this.fft.inverse(re, im);
    return [re, im];
  }

  blended(blend, channel) {
    if (blend.length === 1 && blend[0][1] === 1) return this.spectra(blend[0][0])[channel];
    const half = this.size / 2 + 1;
    const sum = [new Float32Array(half), new Float32Array(half)];
    for (const [point, weight] of blend) {
      const [a, b] = this.spectra(point)[channel];
      for (let k = 0; k < half; k++) {
        sum[0][k] += weight * a[k];
        sum[1][k] += weight * b[k];
      }
    }
    return sum;
  }

  /** Decoder of a channel of the world's ambisonics, for a head so turned. */
  turned(matrix, channel) {
    const re = new Float32Array(this.size);
    const im = new Float32Array(this.size);
    for (let c = 0; c < this.channels; c++) {
      const share = matrix[c][channel];
      if (Math.abs(share) < 1e-7) continue; // degrees do not mix
      const [a, b] = this.decoder[c];
      for (let k = 0; k < this.size; k++) {
        re[k] += share * a[k];
        im[k] += share * b[k];
      }
    }
    return [re, im];
  }
}
