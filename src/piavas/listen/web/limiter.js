// Audio thread: what may reach ears, and how loud each ear is.
//
// Peaks stay under CEILING: the gain is ready one quantum before a peak, since the sound is late by
// one. What is loud for long is turned down too: no second is louder than LOUD, root mean square.

const CEILING = 10 ** (-3 / 20);
const LOUD = 10 ** (-12 / 20);
const RELEASE = 0.3; // seconds
const REPORT = 16; // quanta between two reports

class Limiter extends AudioWorkletProcessor {
  constructor() {
    super();
    this.late = [new Float32Array(128), new Float32Array(128)];
    this.need = 1; // gain that the late quantum needs
    this.gain = 1;
    this.power = 0; // of the louder ear, over about a second
    this.sum = [0, 0];
    this.peak = 0;
    this.quanta = 0;
  }

  process([input], [output]) {
    const quantum = output[0].length;
    const coming = this.needed(input, quantum);
    const grow = 1 + quantum / (RELEASE * sampleRate);
    const target = Math.min(this.need, coming, this.gain * grow, 1);
    const step = (target - this.gain) / quantum;
    for (let t = 0; t < quantum; t++) {
      this.gain += step;
      for (let ear = 0; ear < 2; ear++) {
        const value = this.gain * this.late[ear][t];
        output[ear][t] = value;
        this.sum[ear] += value * value;
        this.peak = Math.max(this.peak, Math.abs(value));
        this.late[ear][t] = input[ear]?.[t] ?? input[0]?.[t] ?? 0;
      }
    }
    this.gain = target;
    this.need = coming;
    if (++this.quanta === REPORT) this.report(quantum);
    return true;
  }

  needed(input, quantum) {
    let peak = 1e-9;
    let power = 0;
    for (const ear of input) {
      let sum = 0;
      for (let t = 0; t < quantum; t++) {
        const value = ear[t];
        // A broken number must not reach ears, nor stay in the meters.
        if (!Number.isFinite(value)) ear[t] = 0;
        else {
          sum += value * value;
          peak = Math.max(peak, Math.abs(value));
        }
      }
      power = Math.max(power, sum / quantum);
    }
    this.power += (power - this.power) * Math.min(quantum / sampleRate, 1);
    return Math.min(CEILING / peak, LOUD / Math.sqrt(this.power + 1e-12), 1);
  }

  report(quantum) {
    const count = REPORT * quantum;
    const rms = this.sum.map((value) => Math.sqrt(value / count));
    this.port.postMessage({ rms, peak: this.peak, gain: this.gain });
    this.sum = [0, 0];
    this.peak = 0;
    this.quanta = 0;
  }
}

registerProcessor("limiter", Limiter);
