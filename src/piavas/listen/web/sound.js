// The sound graph: what plays, through which room, how loud, and what both ears get.

const GLIDE = 0.03; // seconds of every change of gain

export class Sound {
  constructor(index, worker) {
    this.index = index;
    this.worker = worker;
    this.buffers = new Map();
    this.mode = "simulated";
    this.volume = 1;
    this.levels = { rms: [0, 0], peak: 0, gain: 1 };
    this.playing = false;
  }

  /** Make the graph; browsers allow it after a key or click. */
  async open() {
    if (this.context) {
      await this.context.resume();
      return;
    }
    const { sampleRate } = this.index;
    const context = new AudioContext({ sampleRate, latencyHint: "interactive" });
    if (!context.audioWorklet) throw new Error("sound needs https or localhost");
    this.context = context;
    await this.build(context);
    await context.resume();
  }

  async build(context) {
    this.graph = await makeGraph(context, this.index);
    this.graph.limiter.port.onmessage = ({ data }) => (this.levels = data);
    const { port1, port2 } = new MessageChannel();
    this.graph.convolver.port.postMessage({ port: port1 }, [port1]);
    this.worker.postMessage({ port: port2 }, [port2]);
    this.setMode(this.mode);
    this.setVolume(this.volume);
  }

  /** A decoded file, from the page's data or of the user. */
  async buffer(url) {
    if (!this.buffers.has(url)) {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
      this.buffers.set(url, await this.context.decodeAudioData(await answer.arrayBuffer()));
    }
    return this.buffers.get(url);
  }

  /** A file of the user, made one channel, and as loud as the page's own sounds. */
  async upload(file) {
    await this.open();
    const heard = await this.context.decodeAudioData(await file.arrayBuffer());
    const one = this.context.createBuffer(1, heard.length, heard.sampleRate);
    const out = one.getChannelData(0);
    for (let c = 0; c < heard.numberOfChannels; c++) {
      const from = heard.getChannelData(c);
      for (let t = 0; t < out.length; t++) out[t] += from[t] / heard.numberOfChannels;
    }
    level(out);
    const url = `upload:${file.name}`;
    this.buffers.set(url, one);
    return url;
  }

  /** Play { dry, recorded?, refined? } (urls) from the start, in a loop. */
  async play(sounds) {
    await this.open();
    const entries = Object.entries(sounds).filter(([, url]) => url);
    const buffers = await Promise.all(entries.map(([, url]) => this.buffer(url)));
    this.stop();
    const start = this.context.currentTime + 0.05;
    this.voices = entries.map(([kind], i) => {
      const voice = new AudioBufferSourceNode(this.context, { buffer: buffers[i], loop: true });
      voice.connect(this.graph[kind]);
      voice.start(start);
      return voice;
    });
    this.begun = start;
    this.length = buffers[0].duration;
    this.playing = true;
    this.glide(this.graph.all.gain, 1);
  }

  stop() {
    for (const voice of this.voices ?? []) {
      voice.stop();
      voice.disconnect();
    }
    this.voices = [];
    this.playing = false;
  }

  /** Seconds into the loop. */
  get time() {
    return this.playing ? Math.max(this.context.currentTime - this.begun, 0) % this.length : 0;
  }

  setMode(mode) {
    this.mode = mode;
    if (!this.graph) return;
    for (const name of ["dry", "simulated", "refined", "recorded"]) {
      this.glide(this.graph[`${name}Gain`].gain, name === mode ? 1 : 0);
    }
  }

  setVolume(volume) {
    this.volume = volume;
    if (this.graph) this.glide(this.graph.volume.gain, volume);
  }

  glide(param, value) {
    param.setTargetAtTime(value, this.context.currentTime, GLIDE);
  }
}

/** The nodes of a context, online or offline; `filter` is there from the first sample on. */
export async function makeGraph(context, { earlyBlocks, lateBlocks }, filter = null) {
  const module = (name) => context.audioWorklet.addModule(new URL(name, import.meta.url));
  await Promise.all([module("convolver.js"), module("limiter.js")]);
  const gain = (value = 1, options = {}) => new GainNode(context, { gain: value, ...options });
  const stereo = { numberOfInputs: 1, numberOfOutputs: 1, outputChannelCount: [2] };
  const convolver = new AudioWorkletNode(context, "convolver", {
    ...stereo,
    channelCount: 1,
    channelCountMode: "explicit",
    processorOptions: { early: earlyBlocks, late: lateBlocks, filter },
  });
  const limiter = new AudioWorkletNode(context, "limiter", {
    ...stereo,
    channelCount: 2,
    channelCountMode: "explicit",
  });
  const nodes = { convolver, limiter, all: gain(0), volume: gain() };
  for (const name of ["dry", "refined", "recorded"]) nodes[name] = gain();
  for (const name of ["dry", "simulated", "refined", "recorded"]) {
    nodes[`${name}Gain`] = gain(0);
    nodes[`${name}Gain`].connect(nodes.all);
  }
  nodes.dry.connect(convolver).connect(nodes.simulatedGain);
  for (const name of ["dry", "refined", "recorded"]) nodes[name].connect(nodes[`${name}Gain`]);
  nodes.all.connect(nodes.volume).connect(limiter).connect(context.destination);
  return nodes;
}

/** Bring samples to -23 dB re full scale, root mean square of what sounds; peaks under .9. */
function level(samples) {
  const size = 2400;
  const powers = [];
  let peak = 1e-9;
  for (let start = 0; start < samples.length; start += size) {
    let sum = 0;
    const end = Math.min(start + size, samples.length);
    for (let t = start; t < end; t++) {
      sum += samples[t] ** 2;
      peak = Math.max(peak, Math.abs(samples[t]));
    }
    powers.push(sum / (end - start));
  }
  const most = powers.reduce((a, b) => Math.max(a, b), 0);
  const loud = powers.filter((power) => power > most / 1000);
  const mean = loud.reduce((a, b) => a + b, 0) / Math.max(loud.length, 1);
  const gain = Math.min(10 ** (-23 / 20) / Math.sqrt(mean + 1e-12), 0.9 / peak);
  for (let t = 0; t < samples.length; t++) samples[t] *= gain;
}
