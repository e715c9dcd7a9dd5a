// The page: loads a room, lets one walk in it, and has both ears follow.

import { fetchBundle } from "./bundle.js";
import { Floor } from "./floor.js";
import { listen } from "./hands.js";
import { floorMap } from "./map.js";
import { $, meterShare, Panel } from "./panel.js";
import { measure } from "./probe.js";
import { loadPhoto, Room } from "./room.js";
import { Sound } from "./sound.js";
import { gridDots, Listener, Loudspeaker, Rays, walkLine } from "./things.js";
import { View } from "./view.js";
import { Walker } from "./walker.js";

const DATA = new URL("data", import.meta.url).href;
const EARS_EVERY = 0.03; // seconds between two filters, at least
const WORDS_EVERY = 0.2; // seconds between two readings of the panel

class Page {
  async open() {
    this.index = await (await fetch(`${DATA}/scene.json`)).json();
    const { index } = this;
    const [mesh, floor, photo] = await Promise.all([
      fetchBundle(`${DATA}/mesh.bin`),
      fetchBundle(`${DATA}/floor.bin`),
      index.photo && loadPhoto(`${DATA}/${index.photo.file}`),
    ]);
    this.floor = new Floor(floor, index.floor);
    this.source = 0;
    this.furnish(mesh, photo);
    this.walker = new Walker(this.floor);
    await this.employ();
    this.sound = new Sound(index, this.worker);
    this.panel = new Panel(index);
    this.begin();
    this.connect();
    $("loading").classList.add("done");
    this.last = performance.now();
    requestAnimationFrame((now) => this.frame(now));
  }

  furnish(mesh, photo) {
    const { index } = this;
    this.room = new Room(mesh, index, photo);
    this.view = new View($("room"), this.room);
    const middle = [0, 1].map((k) => {
      return index.points.reduce((sum, point) => sum + point[k], 0) / index.points.length;
    });
    const { z, ears } = index.floor;
    this.speakers = index.sources.map((source) => new Loudspeaker(source, z, middle));
    this.listener = new Listener(ears - z);
    this.rays = new Rays();
    this.line = walkLine(index.walk, index.floor.z);
    this.dots = gridDots(index.points, index.floor.z);
    this.dots.visible = false;
    const things = [this.listener.group, this.rays.group, this.line, this.dots];
    this.view.scene.add(...things, ...this.speakers.map((speaker) => speaker.group));
    $("unseen-label").hidden = !this.room.hasUnseen;
  }

  /** Start the worker that makes the ears' filters. */
  employ() {
    this.worker = new Worker(new URL("filters.js", import.meta.url), { type: "module" });
    this.answers = new Map();
    return new Promise((resolve, reject) => {
      this.worker.onerror = (event) => reject(new Error(event.message || "the worker failed"));
      this.worker.onmessage = ({ data }) => {
        if (data.ready) resolve();
        if (data.heard) this.heard = data.heard;
        if (data.paths) this.rays.set(data.paths);
        if (data.problem) this.panel.problem(data.problem);
        if (data.id !== undefined) this.answers.get(data.id)?.(data.probe);
      };
      this.worker.postMessage({ start: { index: this.index, base: DATA } });
    });
  }

  begin() {
    const [x, y] = this.index.sources[0].position;
    const { poses } = this.index.walk;
    this.walker.go(poses[0][3], poses[0][7]);
    const [a, b] = this.walker.place;
    this.walker.yaw = Math.atan2(y - b, x - a);
    this.hear();
  }

  connect() {
    const { sound, panel } = this;
    listen($("room"), this.walker, {
      look: (dx, dy) => (this.view.inside ? this.walker.look(dx, dy) : this.view.drag(dx, dy)),
      zoom: (factor) => this.view.zoom(factor),
      tap: (x, y) => this.goUnder(x, y),
      key: (code) => this.key(code),
    });
    const on = (id, event, act) => $(id).addEventListener(event, act);
    on("view", "click", () => this.turnView());
    on("path", "click", () => this.guide());
    on("play", "click", () => this.toggle());
    on("sounds", "change", () => this.choose($("sounds").value));
    on("upload", "change", () => this.upload($("upload").files[0]));
    on("sources", "change", () => this.setSource(Number($("sources").value)));
    on("volume", "input", () => this.setVolume(Number($("volume").value)));
    on("modes", "change", (event) => this.setMode(event.target.value));
    on("looks", "change", (event) => this.room.look(event.target.value));
    on("rays", "change", () => (this.rays.group.visible = $("rays").checked));
    on("unseen", "change", () => this.room.showUnseen($("unseen").checked));
    on("grid", "change", () => (this.dots.visible = $("grid").checked));
    on("map", "change", () => this.setMap($("map").value));
    this.setVolume(Number($("volume").value));
    sound.setMode("simulated");
    panel.playing = false;
    if (!this.view.renderer) {
      panel.problem("This browser has no WebGL to draw the room with. Keys and sound work.");
    }
    this.hint("Drag to turn the room, click the floor to go there, W A S D to walk");
  }

  key(code) {
    const modes = ["dry", "simulated", "refined", "recorded"];
    const digit = /^Digit([1-4])$/.exec(code);
    const acts = {
      Space: () => this.toggle(),
      KeyV: () => this.turnView(),
      KeyP: () => this.guide(),
      KeyR: () => $("rays").click(),
      KeyU: () => !$("unseen-label").hidden && $("unseen").click(),
      KeyG: () => $("grid").click(),
      KeyH: () => this.panel.fold(),
    };
    if (digit) {
      const input = document.querySelector(`#modes input[value=${modes[digit[1] - 1]}]`);
      if (!input.parentElement.hidden) input.click();
      return true;
    }
    acts[code]?.();
    return Boolean(acts[code]);
  }

  hint(text) {
    $("hint").textContent = text;
    $("hint").style.opacity = 1;
    clearTimeout(this.hiding);
    this.hiding = setTimeout(() => ($("hint").style.opacity = 0), 6000);
  }

  turnView(inside = !this.view.inside) {
    this.view.inside = inside;
    $("view").setAttribute("aria-pressed", String(inside));
    $("view").querySelector("span").textContent = inside ? "See from above" : "Step inside";
    this.listener.group.visible = !inside;
    this.line.visible = !inside;
    this.rays.look(inside);
    document.body.classList.toggle("inside", inside);
    this.hint(inside ? "Drag to look round, W A S D to walk, V to leave" : "Drag to turn the room");
  }

  goUnder(x, y) {
    const place = this.view.floorUnder(x, y, this.index.floor.z);
    if (!place || this.walker.path?.bound) return;
    this.walker.path = null;
    this.walker.go(place.x, place.y);
  }

  /** Start or end the walk that plays by itself. */
  guide(on = !this.walker.path) {
    const { walk } = this.index;
    const begun = performance.now();
    const length = walk.times[walk.times.length - 1];
    if (on && !this.walker.path) {
      this.walker.play(walk, () => ((performance.now() - begun) / 1000) % length);
    } else if (!this.walker.path?.bound) this.walker.path = null;
  }

  /** Run `act`, and tell of what goes wrong. */
  async attempt(act) {
    this.panel.problem(null);
    try {
      await act();
    } catch (problem) {
      this.panel.problem(String(problem.message ?? problem));
    }
    this.panel.playing = this.sound.playing;
  }

  toggle() {
    if (this.sound.playing) {
      this.sound.stop();
      if (this.walker.path?.bound) this.walker.path = null;
      this.panel.playing = false;
      return undefined;
    }
    return this.choose($("sounds").value);
  }

  choose(value) {
    return this.attempt(async () => {
      const [kind, key] = [value.slice(0, value.indexOf(":")), value.slice(value.indexOf(":") + 1)];
      const track = kind === "track" ? this.index.tracks[Number(key)] : null;
      const dry = { sound: () => `${DATA}/${this.index.sounds[key].file}`, upload: () => value };
      if (this.walker.path?.bound) this.walker.path = null;
      if (track) await this.playTrack(track);
      else await this.sound.play({ dry: dry[kind]() });
      this.panel.tracks(track);
      if (!track && !["dry", "simulated"].includes(this.sound.mode)) this.setMode("simulated");
    });
  }

  /** A recording: the head goes where it was recorded. */
  async playTrack(track) {
    const at = (name) => track[name] && `${DATA}/${track[name]}`;
    this.setSource(track.source);
    await this.sound.play({ dry: at("dry"), refined: at("refined"), recorded: at("recorded") });
    this.walker.play(track, () => this.sound.time, true);
  }

  upload(file) {
    if (!file) return undefined;
    return this.attempt(async () => {
      const url = await this.sound.upload(file);
      const select = $("sounds");
      if (![...select.options].some((option) => option.value === url)) {
        select.append(new Option(file.name, url));
      }
      select.value = url;
      await this.choose(url);
    });
  }

  setSource(source) {
    this.source = source;
    $("sources").value = source;
    this.hear();
    if (this.map) this.setMap($("map").value);
  }

  setVolume(decibels) {
    this.sound.setVolume(10 ** (decibels / 20));
    $("volume").setAttribute("aria-valuetext", `${decibels} decibels`);
  }

  setMode(mode) {
    document.querySelector(`#modes input[value=${mode}]`).checked = true;
    this.sound.setMode(mode);
  }

  setMap(which) {
    if (this.map) this.view.scene.remove(this.map.mesh);
    this.map = null;
    if (which !== "") {
      const { figures } = this.index.sources[this.source];
      this.map = { which: Number(which), ...floorMap(this.floor, figures, Number(which)) };
      this.view.scene.add(this.map.mesh);
    }
    this.panel.scale(this.map);
  }

  /** Where the head is, for the worker. */
  pose({ place, yaw, pitch } = this.walker) {
    const blend = this.floor.blend(place[0], place[1]);
    return { place: [...place], yaw, pitch, source: this.source, blend };
  }

  /** Have the ears follow, if the head has moved. */
  hear() {
    const pose = this.pose();
    const key = JSON.stringify([pose.place, pose.yaw, pose.pitch, pose.source]);
    if (key === this.key_) return;
    this.key_ = key;
    this.worker.postMessage({ pose });
  }

  frame(now) {
    const seconds = Math.min((now - this.last) / 1000, 0.1);
    this.last = now;
    this.walker.step(seconds);
    if (!(now - this.heardAt < 1000 * EARS_EVERY)) {
      this.heardAt = now;
      this.hear();
    }
    const levels = this.sound.levels.rms.map((rms) => {
      return this.sound.playing ? meterShare(20 * Math.log10(Math.max(rms, 1e-6))) : 0;
    });
    this.listener.set(this.walker, levels);
    const strength = this.sound.playing ? 0.25 + 0.75 * Math.max(...levels) : 0;
    this.speakers.forEach((speaker, k) => speaker.pulse(now / 1000, k === this.source ? strength : 0));
    this.view.draw(this.walker, seconds);
    if (!(now - this.toldAt < 1000 * WORDS_EVERY)) {
      this.toldAt = now;
      this.tell();
    }
    requestAnimationFrame((next) => this.frame(next));
  }

  tell() {
    const { place } = this.walker;
    const { position, figures } = this.index.sources[this.source];
    const distance = Math.hypot(...position.map((v, k) => v - place[k]));
    this.panel.meters(this.sound.playing ? this.sound.levels : { rms: [0, 0] });
    this.panel.figures(this.floor.figures(figures, place[0], place[1]), distance);
    $("path").setAttribute("aria-pressed", String(Boolean(this.walker.path)));
    const words = this.words(distance, position);
    if ($("where").textContent !== words) $("where").textContent = words;
  }

  /** Where the loudspeaker is, seen from the head, coarse enough to be read out. */
  words(distance, position) {
    const { place, yaw } = this.walker;
    const angle = Math.atan2(position[1] - place[1], position[0] - place[0]) - yaw;
    const eighth = Math.round(angle / (Math.PI / 4)) & 7;
    const sides = [
      "ahead", "ahead to the left", "to the left", "behind to the left",
      "behind", "behind to the right", "to the right", "ahead to the right",
    ];
    return `The loudspeaker is ${Math.round(distance)} m away, ${sides[eighth]}.`;
  }

  /** What the worker says of a pose: see probe.js. */
  ask(pose) {
    const id = (this.asked = (this.asked ?? 0) + 1);
    return new Promise((resolve) => {
      this.answers.set(id, resolve);
      this.worker.postMessage({ probe: pose, id });
    });
  }
}

const page = new Page();
page.measure = (options) => measure(page, options);
window.piavas = page;
page.opened = page.open().catch((problem) => {
  $("loading").querySelector("p").textContent = `The room cannot be shown: ${problem.message}`;
  $("loading").querySelector("b").hidden = true;
  throw problem;
});
