// Turning ambisonic sound to the head: ambiX, that is ACN order and SN3D norm, to order 3.

/** Real spherical harmonics of a unit vector: x ahead, y left, z up. */
export function harmonics([x, y, z], order) {
  const r3 = Math.sqrt(3);
  const r15 = Math.sqrt(15);
  const all = [
    1,
    y, z, x,
    r3 * x * y, r3 * y * z, (3 * z * z - 1) / 2, r3 * x * z, (r3 / 2) * (x * x - y * y),
    Math.sqrt(5 / 8) * y * (3 * x * x - y * y), r15 * x * y * z,
    Math.sqrt(3 / 8) * y * (5 * z * z - 1), (z * (5 * z * z - 3)) / 2,
    Math.sqrt(3 / 8) * x * (5 * z * z - 1), (r15 / 2) * z * (x * x - y * y),
    Math.sqrt(5 / 8) * x * (x * x - 3 * y * y),
  ];
  return all.slice(0, (order + 1) ** 2);
}

/** Axes of a head in the world: ahead, left, up; yaw from +x counter-clockwise, pitch upwards. */
export function headAxes(yaw, pitch) {
  const [c, s, d, t] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  return [[c * d, s * d, t], [-s, c, 0], [-c * t, -s * t, d]];
}

export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/** Matrix [channel][channel] from the world's ambisonics to the head's.
 *
 * Plane waves from the directions `around` are known in both frames; `inverse` [channel, n] is the
 * pseudo-inverse of their harmonics in the world, computed once. */
export function rotation(axes, order, around, inverse) {
  const channels = (order + 1) ** 2;
  const count = around.length / 3;
  const turned = [];
  for (let i = 0; i < count; i++) {
    const way = [around[3 * i], around[3 * i + 1], around[3 * i + 2]];
    turned.push(harmonics(axes.map((axis) => dot(axis, way)), order));
  }
  const matrix = [];
  for (let to = 0; to < channels; to++) {
    const row = new Float32Array(channels);
    for (let from = 0; from < channels; from++) {
      for (let i = 0; i < count; i++) row[from] += inverse[from * count + i] * turned[i][to];
    }
    matrix.push(row);
  }
  return matrix;
}
