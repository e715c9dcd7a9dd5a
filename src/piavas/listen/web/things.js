// What stands in the room beside the room: loudspeakers, the listener, paths of sound, the walk.

import * as THREE from "./vendor/three.module.min.js";

export const ORDER_COLORS = ["#f2b705", "#e4572e", "#2a9d8f", "#7b6cd9", "#9aa5b1"];

// Of a scale on which 30 dB under the loudest is 0: what is fainter is not drawn.
const FAINTEST = 0.3;
const FAINTEST_INSIDE = 0.62;
const ARM = 0.9; // metres

const flat = (color, options = {}) => new THREE.MeshLambertMaterial({ color, ...options });

/** A loudspeaker on a stand; `pulse` swells with the sound. */
export class Loudspeaker {
  /** `toward`: a point that it faces if it sends alike to all sides. */
  constructor({ position, axis, omnidirectional }, floor, toward) {
    this.group = new THREE.Group();
    this.group.position.set(...position);
    const cabinet = new THREE.Group();
    const [x, y] = omnidirectional ? toward.map((v, k) => v - position[k]) : axis;
    cabinet.rotation.z = Math.atan2(y, x);
    const dark = flat(0x2b2f36);
    cabinet.add(new THREE.Mesh(new THREE.BoxGeometry(0.2, 0.2, 0.34), dark));
    for (const [z, radius] of [[-0.06, 0.075], [0.095, 0.035]]) {
      const ring = new THREE.Mesh(new THREE.TorusGeometry(radius, 0.008, 12, 40), flat(0xc9ced6));
      const cone = new THREE.Mesh(new THREE.SphereGeometry(radius * 0.93, 24, 12), flat(0x4a515c));
      ring.rotation.y = Math.PI / 2;
      ring.position.set(0.101, 0, z);
      cone.scale.x = 0.3;
      cone.position.set(0.094, 0, z);
      cabinet.add(ring, cone);
    }
    const tall = Math.max(position[2] - floor - 0.17, 0.01);
    const pole = new THREE.Mesh(new THREE.CylinderGeometry(0.018, 0.018, tall, 16), dark);
    pole.rotation.x = Math.PI / 2;
    pole.position.z = -0.17 - tall / 2;
    const foot = new THREE.Mesh(new THREE.CylinderGeometry(0.15, 0.16, 0.02, 32), dark);
    foot.rotation.x = Math.PI / 2;
    foot.position.z = floor - position[2] + 0.011;
    this.waves = [0, 1, 2].map(() => {
      const material = new THREE.MeshBasicMaterial({
        color: 0x1f8fff, transparent: true, depthWrite: false, side: THREE.DoubleSide,
      });
      return new THREE.Mesh(new THREE.RingGeometry(0.93, 1, 64), material);
    });
    this.group.add(cabinet, pole, foot, ...this.waves);
  }

  /** Rings that spread at the height of the cabinet; `strength` 0 to 1. */
  pulse(seconds, strength) {
    this.waves.forEach((wave, k) => {
      const phase = (0.45 * seconds + k / 3) % 1;
      wave.scale.setScalar(0.18 + 0.75 * phase);
      wave.material.opacity = 0.75 * strength * (1 - phase);
      wave.visible = strength > 0.01;
    });
  }
}

/** A figure like a pawn of chess, `tall` metres to the chin and a bit. */
function pawn(tall) {
  const outline = [
    [0, 0], [0.23, 0], [0.24, 0.03], [0.2, 0.07], [0.12, 0.35], [0.1, 0.75 * tall],
    [0.15, 0.82 * tall], [0.13, 0.88 * tall], [0.05, 0.92 * tall], [0.045, tall],
  ];
  return new THREE.LatheGeometry(outline.map(([x, y]) => new THREE.Vector2(x, y)), 40);
}

/** The listener as seen from above: a head with a nose, two ears that light up, and its look.
 *
 * `tall`: metres of the ears above the floor. */
export class Listener {
  constructor(tall) {
    this.group = new THREE.Group();
    const skin = flat(0xf3d9c4);
    const head = new THREE.Mesh(new THREE.SphereGeometry(0.12, 32, 20), skin);
    head.scale.set(1.1, 0.9, 1.2);
    const nose = new THREE.Mesh(new THREE.ConeGeometry(0.03, 0.08, 16), skin);
    nose.rotation.z = -Math.PI / 2;
    nose.position.x = 0.15;
    const body = new THREE.Mesh(pawn(tall), flat(0x3d6fb4));
    body.rotation.x = Math.PI / 2;
    body.position.z = -tall;
    this.ears = [1, -1].map((side) => {
      const ear = new THREE.Mesh(new THREE.SphereGeometry(0.045, 20, 12), flat(0xf3d9c4));
      ear.position.y = side * 0.12;
      return ear;
    });
    const gaze = new THREE.Mesh(
      new THREE.CircleGeometry(0.9, 32, -0.6, 1.2),
      new THREE.MeshBasicMaterial({
        color: 0x3d8bff, transparent: true, opacity: 0.3, depthWrite: false, side: THREE.DoubleSide,
      }),
    );
    this.group.add(head, nose, body, gaze, ...this.ears);
  }

  set({ place, yaw }, levels) {
    this.group.position.set(...place);
    this.group.rotation.z = yaw;
    levels.forEach((level, ear) => {
      this.ears[ear].scale.setScalar(1 + 0.9 * level);
      this.ears[ear].material.color.setRGB(0.95, 0.75 - 0.5 * level, 0.62 - 0.5 * level);
    });
  }
}

/** Early paths of sound, one colour an order; the fainter a path the fainter its line.
 *
 * Seen from inside, only loud ones, as threads that end before the eyes. */
export class Rays {
  constructor() {
    this.group = new THREE.Group();
    this.inside = false;
    this.paths = null;
  }

  look(inside) {
    if (inside === this.inside) return;
    this.inside = inside;
    if (this.paths) this.set(this.paths);
  }

  set(paths) {
    this.paths = paths;
    for (const old of this.group.children) {
      old.geometry.dispose();
      old.material.dispose();
    }
    this.group.clear();
    const { line, start, order, level } = paths;
    const loudest = level.reduce((a, b) => Math.max(a, b), -200);
    for (let p = 0; p + 1 < start.length; p++) {
      const strength = 1 + (level[p] - loudest) / 30;
      if (strength < (this.inside ? FAINTEST_INSIDE : FAINTEST)) continue;
      const corners = [];
      for (let c = start[p]; c < start[p + 1]; c++) {
        corners.push(new THREE.Vector3(line[3 * c], line[3 * c + 1], line[3 * c + 2]));
      }
      const shown = (strength - FAINTEST) / (1 - FAINTEST);
      const radius = (0.004 + 0.012 * shown ** 2) * (this.inside ? 0.35 : 1);
      if (this.inside) shorten(corners);
      const color = ORDER_COLORS[Math.min(order[p], ORDER_COLORS.length - 1)];
      this.group.add(tube(corners, radius, color, 0.25 + 0.65 * shown));
    }
  }
}

/** End a path ARM before the head, or halfway where its last leg is short. */
function shorten(corners) {
  const last = corners.length - 1;
  const leg = corners[last].distanceTo(corners[last - 1]);
  if (leg > 0) corners[last] = corners[last].clone().lerp(corners[last - 1], Math.min(ARM / leg, 0.5));
}

/** Straight round bars from corner to corner: lines of more than one pixel, everywhere. */
function tube(corners, radius, color, opacity) {
  const path = new THREE.CurvePath();
  for (let k = 0; k + 1 < corners.length; k++) {
    if (corners[k].distanceTo(corners[k + 1]) > 1e-3) {
      path.add(new THREE.LineCurve3(corners[k], corners[k + 1]));
    }
  }
  const geometry = new THREE.BufferGeometry();
  const places = [];
  for (const piece of path.curves) {
    const bar = new THREE.CylinderGeometry(radius, radius, piece.getLength(), 6, 1, true);
    const way = piece.v2.clone().sub(piece.v1).normalize();
    bar.applyQuaternion(new THREE.Quaternion().setFromUnitVectors(new THREE.Vector3(0, 1, 0), way));
    const middle = piece.v1.clone().add(piece.v2).multiplyScalar(0.5);
    bar.translate(middle.x, middle.y, middle.z);
    places.push(...bar.toNonIndexed().getAttribute("position").array);
    bar.dispose();
  }
  geometry.setAttribute("position", new THREE.Float32BufferAttribute(places, 3));
  const material = new THREE.MeshBasicMaterial({
    color, transparent: true, opacity, depthWrite: false,
  });
  return new THREE.Mesh(geometry, material);
}

/** The walk that plays, as a dotted line over the floor. */
export function walkLine({ poses }, z) {
  const points = poses.map((pose) => new THREE.Vector3(pose[3], pose[7], z + 0.04));
  const geometry = new THREE.BufferGeometry().setFromPoints(points);
  const line = new THREE.Line(
    geometry,
    new THREE.LineDashedMaterial({ color: 0x1f6feb, dashSize: 0.12, gapSize: 0.09 }),
  );
  line.computeLineDistances();
  return line;
}

/** Grid points as discs on the floor. */
export function gridDots(points, z) {
  const mesh = new THREE.InstancedMesh(
    new THREE.CircleGeometry(0.035, 16),
    new THREE.MeshBasicMaterial({ color: 0x1f6feb, transparent: true, opacity: 0.7 }),
    points.length,
  );
  const matrix = new THREE.Matrix4();
  points.forEach(([x, y], k) => mesh.setMatrixAt(k, matrix.makeTranslation(x, y, z + 0.035)));
  return mesh;
}
