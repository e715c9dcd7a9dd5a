// Room parameters as colours over the free floor.

import * as THREE from "./vendor/three.module.min.js";

export const RANGES = [
  { name: "T30", unit: "s", digits: 2 },
  { name: "C50", unit: "dB", digits: 1 },
  { name: "G", unit: "dB", digits: 1 },
];

// Viridis in nine steps (van der Walt and Smith): even to the eye, in grey and to colour-blind too.
const VIRIDIS = [
  [68, 1, 84], [71, 44, 122], [59, 81, 139], [44, 113, 142], [33, 144, 141],
  [39, 173, 129], [92, 200, 99], [170, 220, 50], [253, 231, 37],
];

export function viridis(share) {
  const at = Math.min(Math.max(share, 0), 1) * (VIRIDIS.length - 1);
  const k = Math.min(Math.floor(at), VIRIDIS.length - 2);
  return VIRIDIS[k].map((v, c) => Math.round(v + (at - k) * (VIRIDIS[k + 1][c] - v)));
}

/** A coloured floor of parameter `which` of RANGES, and the values of its two ends. */
export function floorMap(floor, figures, which) {
  const cells = [];
  for (let i = 0; i < floor.width; i++) {
    for (let j = 0; j < floor.depth; j++) {
      const [x, y] = [floor.low[0] + i * floor.step, floor.low[1] + j * floor.step];
      const value = floor.free(x, y) ? floor.figures(figures, x, y)[which] : null;
      if (value !== null) cells.push([x, y, value]);
    }
  }
  const values = cells.map((cell) => cell[2]).sort((a, b) => a - b);
  const low = values[Math.floor(0.01 * values.length)] ?? 0;
  const high = values[Math.ceil(0.99 * values.length) - 1] ?? 1;
  const mesh = new THREE.InstancedMesh(
    new THREE.PlaneGeometry(floor.step, floor.step),
    new THREE.MeshBasicMaterial({ transparent: true, opacity: 0.82 }),
    cells.length,
  );
  const matrix = new THREE.Matrix4();
  const color = new THREE.Color();
  cells.forEach(([x, y, value], k) => {
    mesh.setMatrixAt(k, matrix.makeTranslation(x, y, floor.z + 0.03));
    const [r, g, b] = viridis((value - low) / Math.max(high - low, 1e-9));
    mesh.setColorAt(k, color.setRGB(r / 255, g / 255, b / 255, THREE.SRGBColorSpace));
  });
  return { mesh, low, high };
}
