// The room as three.js draws it: the capture's colours, materials, or what a camera never saw.

import * as THREE from "./vendor/three.module.min.js";

const OBSERVED = 0;
const INVENTED = 2;

export class Room {
  constructor(bundle, index, photo) {
    this.group = new THREE.Group();
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(bundle.position, 3));
    geometry.computeVertexNormals();
    geometry.setAttribute("color", new THREE.BufferAttribute(materialColors(bundle, index), 3));
    if (bundle.uv) geometry.setAttribute("uv", new THREE.BufferAttribute(bundle.uv, 2));
    geometry.computeBoundingBox();
    this.box = geometry.boundingBox;
    this.looks = {
      materials: new THREE.MeshLambertMaterial({ vertexColors: true }),
      photo: photo && new THREE.MeshBasicMaterial({ map: photo }),
    };
    // Faces look into the air: seen from above, the ceiling and the near walls are left out.
    this.mesh = new THREE.Mesh(geometry, this.looks.photo ?? this.looks.materials);
    this.group.add(this.mesh);
    this.unseen = overlay(bundle, geometry);
    this.group.add(this.unseen);
    this.hasUnseen = this.unseen.geometry.getAttribute("position").count > 0;
    this.group.add(new THREE.HemisphereLight(0xffffff, 0xd8cfc6, 3.0));
    const sun = new THREE.DirectionalLight(0xffffff, 1.1);
    sun.position.set(2, -3, 5);
    this.group.add(sun);
  }

  look(name) {
    this.mesh.material = this.looks[name] ?? this.looks.materials;
  }

  showUnseen(on) {
    this.unseen.visible = on;
  }
}

function materialColors({ material }, { materials }) {
  const colors = new Float32Array(9 * material.length);
  material.forEach((m, f) => {
    const color = new THREE.Color().setRGB(...materials[m].color, THREE.SRGBColorSpace);
    for (let k = 0; k < 3; k++) color.toArray(colors, 9 * f + 3 * k);
  });
  return colors;
}

/** Stripes over faces that were inferred or invented. */
function overlay({ origin }, geometry) {
  const from = geometry.getAttribute("position").array;
  const faces = [...origin.keys()].filter((f) => origin[f] !== OBSERVED);
  const position = new Float32Array(9 * faces.length);
  const strength = new Float32Array(3 * faces.length);
  faces.forEach((f, i) => {
    position.set(from.subarray(9 * f, 9 * f + 9), 9 * i);
    strength.fill(origin[f] === INVENTED ? 1 : 0.45, 3 * i, 3 * i + 3);
  });
  const geo = new THREE.BufferGeometry();
  geo.setAttribute("position", new THREE.BufferAttribute(position, 3));
  geo.setAttribute("strength", new THREE.BufferAttribute(strength, 1));
  const material = new THREE.ShaderMaterial({
    transparent: true,
    depthWrite: false,
    polygonOffset: true,
    polygonOffsetFactor: -2,
    polygonOffsetUnits: -2,
    vertexShader: `
      attribute float strength; varying float vStrength; varying vec3 vPlace;
      void main() {
        vStrength = strength; vPlace = position;
        gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
      }`,
    fragmentShader: `
      varying float vStrength; varying vec3 vPlace;
      void main() {
        float stripe = step(0.5, fract((vPlace.x + vPlace.y + vPlace.z) * 5.0));
        gl_FragColor = vec4(0.84, 0.15, 0.45, vStrength * mix(0.35, 0.7, stripe));
      }`,
  });
  const mesh = new THREE.Mesh(geo, material);
  mesh.visible = false;
  return mesh;
}

/** The picture of the mesh, or null where it cannot be had. */
export async function loadPhoto(url) {
  try {
    const texture = await new THREE.TextureLoader().loadAsync(url);
    texture.colorSpace = THREE.SRGBColorSpace;
    texture.anisotropy = 4;
    return texture;
  } catch {
    return null;
  }
}
