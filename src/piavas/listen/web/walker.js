// The listener: a place and a look, moved by keys, mouse, touch, or a path that plays by itself.

const PACE = 1.3; // metres a second
const TURN = 1.6; // radians a second, by keys
const PER_PIXEL = 0.004; // radians, by mouse or finger
const STEEPEST = 1.2; // radians up or down
const KEYS = {
  KeyW: "ahead", ArrowUp: "ahead", KeyS: "back", ArrowDown: "back",
  KeyA: "left", KeyD: "right", KeyQ: "turnLeft", ArrowLeft: "turnLeft",
  KeyE: "turnRight", ArrowRight: "turnRight",
};

export class Walker {
  constructor(floor) {
    this.floor = floor;
    this.yaw = 0;
    this.pitch = 0;
    this.place = [0, 0, floor.ears];
    this.held = new Set();
    this.stick = [0, 0]; // touch: right and ahead, -1 to 1
    this.path = null; // what plays: { times, poses, clock }
  }

  go(x, y, yaw = this.yaw, pitch = this.pitch) {
    [x, y] = this.floor.nearest(x, y);
    this.place = [x, y, this.floor.ears];
    this.yaw = yaw;
    this.pitch = pitch;
  }

  look(dx, dy) {
    this.yaw -= dx * PER_PIXEL;
    this.pitch = Math.min(Math.max(this.pitch - dy * PER_PIXEL, -STEEPEST), STEEPEST);
  }

  /** Whether the key is one of walking. */
  key(code, down) {
    const what = KEYS[code];
    if (!what) return false;
    if (down) this.held.add(what);
    else this.held.delete(what);
    return true;
  }

  get busy() {
    return this.held.size > 0 || this.stick.some((v) => v !== 0);
  }

  /** Move on by `seconds`; any walking of one's own ends the path. */
  step(seconds) {
    if (this.path && this.busy && !this.path.bound) this.path = null;
    if (this.path) {
      this.ride(this.path.clock());
      return;
    }
    const on = (name) => (this.held.has(name) ? 1 : 0);
    this.yaw += TURN * seconds * (on("turnLeft") - on("turnRight"));
    const ahead = on("ahead") - on("back") + this.stick[1];
    const right = on("right") - on("left") + this.stick[0];
    const size = Math.hypot(ahead, right);
    if (!size) return;
    const reach = (PACE * seconds) / Math.max(size, 1);
    const [c, s] = [Math.cos(this.yaw), Math.sin(this.yaw)];
    const [x, y] = this.floor.move(
      this.place[0], this.place[1],
      reach * (ahead * c + right * s), reach * (ahead * s - right * c),
    );
    this.place = [x, y, this.floor.ears];
  }

  /** Play { times, poses } by `clock`, a function of seconds; `bound` paths cannot be left. */
  play(path, clock, bound = false) {
    this.path = { ...path, clock, bound };
  }

  ride(time) {
    const { times, poses } = this.path;
    const last = times.length - 1;
    let k = times.findIndex((t) => t > time) - 1;
    if (k < -1) k = last;
    const a = poses[Math.max(k, 0)];
    const b = poses[Math.min(k + 1, last)];
    const gap = times[Math.min(k + 1, last)] - times[Math.max(k, 0)];
    const share = gap > 0 ? Math.min(Math.max((time - times[Math.max(k, 0)]) / gap, 0), 1) : 0;
    const mix = (i) => a[i] + share * (b[i] - a[i]);
    this.place = [mix(3), mix(7), mix(11)];
    // A pose's third column points back.
    const [x, y, z] = [-mix(2), -mix(6), -mix(10)];
    this.yaw = Math.atan2(y, x);
    this.pitch = Math.atan2(z, Math.hypot(x, y));
  }
}
