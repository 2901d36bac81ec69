// The signs of the app: 20x20, drawn with a stroke of 1.75; state glyphs are 14x14 and solid.

const SVG = 'http://www.w3.org/2000/svg';

function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

const ICONS = {
  inbox: ['M3.5 11.5 5.6 4.7A1 1 0 0 1 6.6 4h6.8a1 1 0 0 1 1 .7l2.1 6.8V15a1.5 1.5 0 0 1-1.5 1.5H5A1.5 1.5 0 0 1 3.5 15zM3.5 11.5h4l1 2h3l1-2h4'],
  list: ['M7.5 5.5h9M7.5 10h9M7.5 14.5h9M3.6 5.5h.1M3.6 10h.1M3.6 14.5h.1'],
  plus: ['M10 4v12M4 10h12'],
  gear: ['M4 6h7M15 6h1M4 14h1M9 14h7', 'M13 4a2 2 0 1 0 0 4 2 2 0 0 0 0-4z', 'M7 12a2 2 0 1 0 0 4 2 2 0 0 0 0-4z'],
  link: ['M8 12l4-4M6.5 9.5l-1.6 1.6a2.8 2.8 0 0 0 4 4l1.6-1.6M13.5 10.5l1.6-1.6a2.8 2.8 0 0 0-4-4L9.5 6.5'],
  filter: ['M4 6h12M6.5 10h7M9 14h2'],
  folder: ['M3 5.5h5l1.5 2H17v8H3z'],
  find: ['M9 4a5 5 0 1 0 0 10A5 5 0 0 0 9 4z', 'm13 13 3.5 3.5'],
  more: ['M4.5 10h.1M10 10h.1M15.5 10h.1'],
  back: ['M12 4.5 6.5 10l5.5 5.5'],
  stop: ['M7 5.5h6A1.5 1.5 0 0 1 14.5 7v6a1.5 1.5 0 0 1-1.5 1.5H7A1.5 1.5 0 0 1 5.5 13V7A1.5 1.5 0 0 1 7 5.5z'],
  send: ['M10 16V4.5M5 9.5l5-5 5 5'],
  clip: ['m15.5 9.5-5.7 5.7a3.3 3.3 0 0 1-4.7-4.7l6-6a2.2 2.2 0 0 1 3.1 3.1l-6 6a1.1 1.1 0 0 1-1.5-1.6L12 6.8'],
  down: ['m5 8 5 5 5-5'],
  right: ['m8 5 5 5-5 5'],
  term: ['m4 6 4 4-4 4M10 14h6'],
  file: ['M5.5 3.5h6l3 3v10h-9z', 'M11.5 3.5v3h3'],
  ask: ['M7.5 7.5a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.9-1.1 1.7M10 14.3v.1', 'M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14z'],
  close: ['m6 6 8 8M14 6l-8 8'],
  edit: ['M4 16l.6-3L13 4.6l2.4 2.4L7 15.4z'],
  done: ['m4.5 10.5 3.5 3.5 7.5-8'],
  warn: ['M10 3.5 17 16H3zM10 8v4M10 14v.1'],
  think: ['M7.5 13.5c-2-1-3-2.6-3-4.5a5.5 5.5 0 0 1 11 0c0 1.9-1 3.5-3 4.5v1.5h-5zM8 17.5h4'],
  task: ['M6 6.8v6.4M14 8.8c0 3-5 2-7.4 4.6', 'M6 3.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6zM6 13.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6zM14 5.2a1.8 1.8 0 1 0 0 3.6 1.8 1.8 0 0 0 0-3.6z'],
  offline: ['M3 3l14 14M4.5 9a8 8 0 0 1 2-1.2M15.5 9A8 8 0 0 0 10 7M7.3 12a4 4 0 0 1 4.6-.6M10 15v.1'],
  image: ['M3.5 4.5h13v11h-13z', 'M3.5 13l3.5-3.5 3 3 2.5-2.5 4 4', 'M12.5 7.5h.1'],
  bell: ['M5 13.5c1-1 1.2-2.2 1.2-4.5a3.8 3.8 0 0 1 7.6 0c0 2.3.2 3.5 1.2 4.5zM8.5 16h3'],
  phone: ['M6.5 3h7v14h-7zM9.5 14.5h1'],
  plan: ['M4 5.5l1.2 1.2L7.5 4.5M4 11.5l1.2 1.2 2.3-2.2M10.5 6H16M10.5 12H16'],
};

export function icon(name) {
  const node = svg('svg', { viewBox: '0 0 20 20', class: 'i', 'aria-hidden': 'true' });
  for (const d of ICONS[name] ?? []) node.append(svg('path', name === 'more' ? { d, class: 'dots' } : { d }));
  return node;
}

// One shape a state, so that colour is never the only difference.
const RING = 'M7 2a5 5 0 1 0 0 10A5 5 0 0 0 7 2z';
const GLYPHS = {
  new: [[RING, 'drawn dashed']],
  work: [['M7 2a5 5 0 1 0 5 5', 'drawn spin']],
  ready: [[RING, 'drawn'], ['M7 5.6a1.4 1.4 0 1 0 0 2.8 1.4 1.4 0 0 0 0-2.8z', 'solid']],
  ask: [['M7 .8 13.2 7 7 13.2.8 7z', 'solid'], ['M7 4v3.4M7 9.6v.1', 'hole']],
  stopping: [['M3.5 2h7A1.5 1.5 0 0 1 12 3.5v7a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 2 10.5v-7A1.5 1.5 0 0 1 3.5 2z', 'drawn'], ['M5 5h4v4H5z', 'solid']],
  failed: [['M7 1a6 6 0 1 0 0 12A6 6 0 0 0 7 1z', 'solid'], ['m5 5 4 4M9 5 5 9', 'hole']],
  held: [['M2 2h10v10H2z', 'solid'], ['M5.4 4.6v4.8M8.6 4.6v4.8', 'hole']],
  again: [['M11.8 7a4.8 4.8 0 1 1-1.5-3.5', 'drawn'], ['M11.9 1.2v3.2H8.7z', 'solid']],
  good: [['m2 7.5 3.4 3.4L12 3.5', 'drawn']],
  no: [[RING, 'drawn'], ['m3.5 10.5 7-7', 'drawn']],
  todo: [[RING, 'drawn']],
};

export function glyph(name) {
  const node = svg('svg', { viewBox: '0 0 14 14', class: 's', 'aria-hidden': 'true' });
  for (const [d, kind] of GLYPHS[name] ?? GLYPHS.new) node.append(svg('path', { d, class: kind }));
  return node;
}

/// A state: its shape, its word and its colour together.
export function state(name, word) {
  const node = document.createElement('span');
  node.className = `state ${name}`;
  node.append(glyph(name));
  if (word) node.append(word);
  return node;
}
