// Two ways to look: with the listener's eyes, or from above around the room.

import * as THREE from "./vendor/three.module.min.js";

const PANEL = 330; // pixels that the panel covers, and the width of a window under which it folds
const PHONE = 760;
const GLIDE = 0.35; // seconds for the camera to come two thirds of its way

export class View {
  constructor(canvas, room) {
    this.canvas = canvas;
    this.renderer = makeRenderer(canvas);
    this.scene = new THREE.Scene();
    this.scene.add(room.group);
    this.camera = new THREE.PerspectiveCamera(70, 1, 0.05, 200);
    this.camera.up.set(0, 0, 1);
    this.inside = false;
    this.middle = room.box.getCenter(new THREE.Vector3());
    const size = room.box.getSize(new THREE.Vector3());
    this.middle.z = room.box.min.z + 0.3 * size.z;
    this.reach = 0.5 * Math.hypot(size.x, size.y, size.z);
    this.orbit = { turn: -1.05, tilt: 0.92, far: 1.0 };
    this.at = null;
    this.to = null;
  }

  /** Drag in the view from above. */
  drag(dx, dy) {
    this.orbit.turn -= 0.006 * dx;
    this.orbit.tilt = Math.min(Math.max(this.orbit.tilt + 0.005 * dy, 0.15), 1.54);
  }

  zoom(factor) {
    this.orbit.far = Math.min(Math.max(this.orbit.far * factor, 0.25), 3);
  }

  /** The floor under a point of the canvas, or null. */
  floorUnder(x, y, z) {
    const box = this.canvas.getBoundingClientRect();
    const point = new THREE.Vector2(
      (2 * (x - box.left)) / box.width - 1, 1 - (2 * (y - box.top)) / box.height,
    );
    const ray = new THREE.Raycaster();
    ray.setFromCamera(point, this.camera);
    const plane = new THREE.Plane(new THREE.Vector3(0, 0, 1), -z);
    return ray.ray.intersectPlane(plane, new THREE.Vector3());
  }

  draw(walker, seconds) {
    if (!this.renderer) return;
    this.resize();
    const { eye, look, angle } = this.inside ? eyesOf(walker) : this.above();
    const share = this.at ? 1 - Math.exp(-seconds / GLIDE) : 1;
    const glued = this.inside && this.at && this.at.distanceTo(eye) < 0.3;
    if (!this.at || glued) {
      this.at = eye.clone();
      this.to = look.clone();
    } else {
      this.at.lerp(eye, share);
      this.to.lerp(look, share);
    }
    this.camera.fov += (angle - this.camera.fov) * (glued ? 1 : share);
    this.camera.position.copy(this.at);
    this.camera.lookAt(this.to);
    this.camera.updateProjectionMatrix();
    this.renderer.render(this.scene, this.camera);
  }

  above() {
    const { turn, tilt, far } = this.orbit;
    const angle = 38;
    const narrow = Math.min(1, 1.1 * this.camera.aspect * this.free);
    const distance = (far * this.reach) / Math.sin((angle * Math.PI) / 360) / narrow;
    const eye = new THREE.Vector3(
      Math.cos(turn) * Math.cos(tilt), Math.sin(turn) * Math.cos(tilt), Math.sin(tilt),
    ).multiplyScalar(distance).add(this.middle);
    return { eye, look: this.middle, angle };
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas;
    const ratio = Math.min(window.devicePixelRatio, 2);
    const [w, h] = [Math.round(clientWidth * ratio), Math.round(clientHeight * ratio)];
    if (this.canvas.width === w && this.canvas.height === h) return;
    this.renderer.setPixelRatio(ratio);
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = clientWidth / Math.max(clientHeight, 1);
    // The panel covers the right side: what matters comes to the middle of what is left.
    const covered = clientWidth > PHONE ? PANEL : 0;
    this.free = 1 - covered / clientWidth;
    this.camera.setViewOffset(clientWidth, clientHeight, covered / 2, 0, clientWidth, clientHeight);
  }
}

/** null where the browser has no WebGL: then there is no picture, but still the sound. */
function makeRenderer(canvas) {
  try {
    return new THREE.WebGLRenderer({
      canvas, antialias: true, alpha: true, powerPreference: "low-power",
    });
  } catch {
    return null;
  }
}

function eyesOf({ place, yaw, pitch }) {
  const eye = new THREE.Vector3(...place);
  const ahead = new THREE.Vector3(
    Math.cos(yaw) * Math.cos(pitch), Math.sin(yaw) * Math.cos(pitch), Math.sin(pitch),
  );
  return { eye, look: eye.clone().add(ahead), angle: 72 };
}
