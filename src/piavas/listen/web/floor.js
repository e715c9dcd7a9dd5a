// Where one can walk, and which grid points are heard there.

const NONE = 0xffff;
const BLENDED = 4;

export class Floor {
  constructor(bundle, { low, step, z, ears }) {
    const [width, depth] = bundle.weight.shape;
    Object.assign(this, { low, step, z, ears, width, depth });
    this.index = bundle.index;
    this.weight = bundle.weight;
  }

  cell(x, y) {
    return [Math.round((x - this.low[0]) / this.step), Math.round((y - this.low[1]) / this.step)];
  }

  at(i, j) {
    return i >= 0 && j >= 0 && i < this.width && j < this.depth ? (i * this.depth + j) * BLENDED : -1;
  }

  free(x, y) {
    const at = this.at(...this.cell(x, y));
    return at >= 0 && this.weight[at] > 0;
  }

  /** As far from (x, y) along (dx, dy) as the floor is free, sliding along what is in the way. */
  move(x, y, dx, dy) {
    const steps = Math.max(1, Math.ceil(Math.hypot(dx, dy) / (0.5 * this.step)));
    for (let s = 0; s < steps; s++) {
      if (this.free(x + dx / steps, y + dy / steps)) {
        x += dx / steps;
        y += dy / steps;
      } else if (this.free(x + dx / steps, y)) x += dx / steps;
      else if (this.free(x, y + dy / steps)) y += dy / steps;
      else break;
    }
    return [x, y];
  }

  /** The free place nearest to (x, y). */
  nearest(x, y) {
    if (this.free(x, y)) return [x, y];
    let best = Infinity;
    let found = [x, y];
    for (let i = 0; i < this.width; i++) {
      for (let j = 0; j < this.depth; j++) {
        if (!(this.weight[this.at(i, j)] > 0)) continue;
        const p = [this.low[0] + i * this.step, this.low[1] + j * this.step];
        const far = (p[0] - x) ** 2 + (p[1] - y) ** 2;
        if (far < best) [best, found] = [far, p];
      }
    }
    return found;
  }

  /** Grid points heard at (x, y), [[point, weight], ...]: blended between the cells around it. */
  blend(x, y) {
    const u = (x - this.low[0]) / this.step;
    const v = (y - this.low[1]) / this.step;
    const [i, j] = [Math.floor(u), Math.floor(v)];
    const sums = new Map();
    let total = 0;
    for (const [a, b] of [[0, 0], [0, 1], [1, 0], [1, 1]]) {
      const at = this.at(i + a, j + b);
      const share = (a ? u - i : 1 - u + i) * (b ? v - j : 1 - v + j);
      if (at < 0 || share <= 0) continue;
      for (let k = at; k < at + BLENDED; k++) {
        const weight = share * this.weight[k];
        if (this.index[k] === NONE || weight <= 0) continue;
        sums.set(this.index[k], (sums.get(this.index[k]) ?? 0) + weight);
        total += weight;
      }
    }
    if (!total) return this.blend(...this.nearest(x, y));
    return [...sums].map(([point, weight]) => [point, weight / total]);
  }

  /** Blended room parameters [T30, C50, G] at (x, y); null where no point has one. */
  figures(figures, x, y) {
    const blend = this.blend(x, y);
    return [0, 1, 2].map((k) => {
      const known = blend.filter(([point]) => figures[point][k] !== null);
      const weight = known.reduce((sum, [, w]) => sum + w, 0);
      return weight ? known.reduce((sum, [p, w]) => sum + w * figures[p][k], 0) / weight : null;
    });
  }
}
