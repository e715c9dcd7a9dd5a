// Named arrays in one binary file: "PIAV", header length, JSON header, arrays aligned to 8 bytes.

const TYPES = {
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
};

/** Arrays by name, each a view with its `shape`. */
export function readBundle(buffer) {
  const view = new DataView(buffer);
  if (view.getUint32(0) !== 0x50494156) throw new Error("not a bundle of this page");
  const start = 8 + view.getUint32(4, true);
  const table = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, start - 8)));
  const arrays = {};
  for (const [name, [kind, shape, offset]] of Object.entries(table)) {
    const count = shape.reduce((a, b) => a * b, 1);
    arrays[name] = new TYPES[kind](buffer, start + offset, count);
    arrays[name].shape = shape;
  }
  return arrays;
}

export async function fetchBundle(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${answer.statusText}`);
  return readBundle(await answer.arrayBuffer());
}
