/** A graph as SVG. Shape says kind, glyph and word say state, a bar says a node's share of what is looked at. */

import { defaultHeat, describe, edgeState, hasRun, isNode, shares, type GraphEdge, type GraphNode, type Heat, type Picture } from '../model/picture.js';
import { glyph, percent, seconds, tone, usd, word } from '../model/words.js';
import { svg } from './dom.js';

const NAME = 12.5;
const SMALL = 10.5;
const ROW = 14.5;

export interface PictureLook {
  readonly heat: Heat;
  readonly selected: string;
}

/** The drawing of a picture, in its own coordinates. */
export function pictureView(picture: Picture, look: Partial<PictureLook> = {}): SVGSVGElement {
  const heat = look.heat ?? defaultHeat(picture);
  const share = shares(picture, heat);
  const byId = new Map(picture.nodes.map(node => [node.id, node]));
  const state = new Map(picture.edges.map(edge => [edge, edgeState(picture, edge, byId)]));
  const order = [...picture.edges].sort((a, b) => weight(state.get(a)) - weight(state.get(b)));
  const selected = look.selected ?? '';
  const first = picture.nodes.find(isNode);
  return svg(
    'svg',
    { class: 'orch-picture', width: picture.width, height: picture.height, viewBox: `0 0 ${picture.width} ${picture.height}`, role: 'group', 'aria-label': describe(picture) },
    ...picture.groups.map(group =>
      svg('g', { class: 'orch-group' },
        svg('rect', { x: group.x, y: group.y, width: group.width, height: group.height, rx: 8 }),
        svg('text', { x: group.x + 8, y: group.y + 11, 'font-size': 10 }, group.name))),
    ...order.map(edge => edgeView(edge, state.get(edge) ?? '')),
    ...picture.nodes.map(node =>
      node.kind === 'input' ? inputView(node) : node.kind === 'choice' ? choiceView(node, byId.get(node.name)) : nodeView(node, {
        share: share.get(node.id) ?? 0, heat, selected: node.id === selected, stop: selected === '' ? node === first : node.id === selected,
        ran: hasRun(picture), sink: !picture.edges.some(edge => edge.source === node.id || edge.source === `by ${node.id}`)
      }))
  );
}

function weight(state: string | undefined): number {
  return state === 'taken' ? 2 : state === 'not taken' ? 0 : 1;
}

// ------------------------------------------------------------------ arrows
function edgeView(edge: GraphEdge, state: string): SVGGElement {
  const looks = `orch-edge orch-edge-${state === '' ? 'open' : state.replace(' ', '-')}${edge.lane ? ' orch-edge-loop' : ''}`;
  const [x, y] = edge.labelAt;
  const texts = edge.lane && edge.label.length > 0 ? [edge.label.join(' · ')] : edge.label;
  const full = [edge.condition && `${edge.source} → ${edge.target} when ${edge.condition}`, ...edge.outcomes].filter(Boolean).join('\n');
  return svg('g', { class: looks },
    full ? svg('title', {}, full) : null,
    svg('path', { class: 'orch-line', d: edge.lane ? rounded(edge.points) : curve(edge.points) }),
    svg('path', { class: 'orch-head', d: arrow(edge.points) }),
    ...texts.map((said, k) => svg('text', { x, y: y + 15 * k, 'font-size': SMALL, 'text-anchor': edge.lane ? 'middle' : null }, said)));
}

type Points = readonly (readonly [number, number])[];

/** Straight where level, an S where the height changes. */
function curve(points: Points): string {
  let [x, y] = points[0] ?? [0, 0];
  let d = `M${n(x)} ${n(y)}`;
  for (const [nextX, nextY] of points.slice(1)) {
    const bend = (nextX - x) * 0.5;
    d += Math.abs(nextY - y) < 0.5 ? `L${n(nextX)} ${n(nextY)}` : `C${n(x + bend)} ${n(y)} ${n(nextX - bend)} ${n(nextY)} ${n(nextX)} ${n(nextY)}`;
    [x, y] = [nextX, nextY];
  }
  return d;
}

/** Level and upright pieces with round corners. */
function rounded(points: Points, radius = 9): string {
  const [x, y] = points[0] ?? [0, 0];
  let d = `M${n(x)} ${n(y)}`;
  for (let i = 1; i + 1 < points.length; i++) {
    const [[x0, y0], [x1, y1], [x2, y2]] = [points[i - 1] ?? [0, 0], points[i] ?? [0, 0], points[i + 1] ?? [0, 0]];
    const r = Math.min(radius, (Math.abs(x1 - x0) + Math.abs(y1 - y0)) / 2, (Math.abs(x2 - x1) + Math.abs(y2 - y1)) / 2);
    d += `L${n(x1 - Math.sign(x1 - x0) * r)} ${n(y1 - Math.sign(y1 - y0) * r)}Q${n(x1)} ${n(y1)} ${n(x1 + Math.sign(x2 - x1) * r)} ${n(y1 + Math.sign(y2 - y1) * r)}`;
  }
  const [endX, endY] = points[points.length - 1] ?? [0, 0];
  return `${d}L${n(endX)} ${n(endY)}`;
}

function arrow(points: Points): string {
  const [x0] = points[points.length - 2] ?? [0, 0];
  const [x, y] = points[points.length - 1] ?? [0, 0];
  return Math.abs(x - x0) > 0.01 ? `M${n(x)} ${n(y)}l-7 -3.4v6.8z` : `M${n(x)} ${n(y)}l-3.4 -7h6.8z`;
}

// ------------------------------------------------------------------ shapes
interface NodeLook {
  readonly share: number;
  readonly heat: Heat;
  readonly selected: boolean;
  readonly stop: boolean;
  readonly ran: boolean;
  readonly sink: boolean;
}

function nodeView(node: GraphNode, look: NodeLook): SVGGElement {
  const pad = node.kind === 'human' || node.kind === 'switch' ? 16 : 11;
  const [left, right, middle] = [node.x + pad, node.x + node.width - pad + 1, node.y + node.height / 2];
  const lines = node.lines.map(([a, b]) => [a, b.startsWith('$') ? amount(node, look.heat) : b] as const);
  const top = middle - (ROW * lines.length) / 2 + 4.5;
  const classes = ['orch-node', `orch-kind-${safe(node.kind)}`, `orch-tone-${tone(node.state)}`, node.state === '' ? 'orch-idle' : '',
    node.state === 'skipped' ? 'orch-skipped' : '', node.known ? '' : 'orch-unknown', look.selected ? 'orch-selected' : ''];
  return svg('g',
    { class: classes.filter(Boolean).join(' '), 'data-node': node.id, role: 'button', tabindex: look.stop ? 0 : -1, 'aria-pressed': look.selected ? 'true' : 'false', 'aria-label': said(node, look) },
    ...shape(node), ...bar(node, look),
    svg('text', { class: 'orch-name', x: left, y: top, 'font-size': NAME }, cut(node.name, 30)),
    node.state === '' ? null : svg('text', { class: 'orch-word', x: right, y: top, 'font-size': SMALL, 'text-anchor': 'end' }, svg('tspan', { class: 'orch-mark' }, glyph(node.state)), ` ${word(node.state)}`),
    ...lines.flatMap(([a, b], k) => [
      svg('text', { class: 'orch-small', x: left, y: top + ROW * (k + 1), 'font-size': SMALL }, a),
      b === '' ? null : svg('text', { class: 'orch-small orch-figure', x: right, y: top + ROW * (k + 1), 'font-size': SMALL, 'text-anchor': 'end' }, b)
    ]),
    node.out && look.sink ? outStub(node) : null);
}

/** The figure that the bar stands for. */
function amount(node: GraphNode, heat: Heat): string {
  return heat === 'cost' ? usd(node.cost) : heat === 'tokens' ? `${node.tokens.toLocaleString('en-US')} tok` : seconds(node.seconds);
}

function said(node: GraphNode, look: NodeLook): string {
  const parts = [node.name, node.kind, word(node.state), node.gate && `only if ${node.gate}`];
  if (look.ran && node.state !== 'skipped' && node.state !== '') {
    parts.push(usd(node.cost), seconds(node.seconds), look.share > 0 ? `${percent(look.share)} of the ${look.heat === 'cost' ? 'dollars' : look.heat}` : '');
  }
  return parts.filter(Boolean).join(', ');
}

function shape(node: GraphNode): SVGElement[] {
  const { x, y, width: w, height: h } = node;
  const box = (more: object): SVGElement => svg('rect', { class: 'orch-shape', x, y, width: w, height: h, ...more });
  switch (node.kind) {
    case 'human':
      return [box({ rx: Math.min(h / 2, 18) })];
    case 'switch':
      return [svg('path', { class: 'orch-shape', d: hexagon(node) })];
    case 'graph':
      return [box({ rx: 6 }), svg('rect', { class: 'orch-inner', x: x + 3, y: y + 3, width: Math.max(0, w - 6), height: Math.max(0, h - 6), rx: 4 })];
    case 'tool':
      return [svg('path', { class: 'orch-shape', d: `M${n(x)} ${n(y)}H${n(x + w - 9)}L${n(x + w)} ${n(y + 9)}V${n(y + h)}H${n(x)}Z` })];
    case 'barrier':
      return [box({}), svg('rect', { class: 'orch-solid', x, y, width: 5, height: h })];
    case 'agent':
      return [box({ rx: 7 })];
    default:
      return [box({})];
  }
}

function bar(node: GraphNode, look: NodeLook): SVGElement[] {
  if (!look.ran || node.state === '' || node.state === 'skipped' || look.share < 0.004) {
    return [];
  }
  const inset = node.kind === 'human' || node.kind === 'switch' ? 14 : 1.5;
  const room = Math.max(0, node.width - 2 * inset);
  const at = { x: node.x + inset, y: node.y + node.height - 4.5, height: 3 };
  return [svg('rect', { class: 'orch-bar-room', ...at, width: room }), svg('rect', { class: 'orch-bar', ...at, width: Math.max(1.5, room * Math.min(1, look.share)) })];
}

function choiceView(node: GraphNode, owner: GraphNode | undefined): SVGGElement {
  const own = node.label.replace(`${node.name}.`, '');
  const texts = [cut(own, 26), ...(node.choice === '' ? [] : [cut(`→ ${node.choice}`, 28)])];
  const [x, top] = [node.x + node.width / 2, node.y + node.height / 2 - (13 * (texts.length - 1)) / 2 + 3.5];
  return svg('g', { class: `orch-choice${owner?.state === 'skipped' ? ' orch-skipped' : ''}` },
    svg('title', {}, `chosen by ${node.label}`),
    svg('path', { class: 'orch-shape', d: hexagon(node) }),
    ...texts.map((text, k) => svg('text', { class: k === 1 ? 'orch-name' : 'orch-small', x, y: top + 13 * k, 'font-size': SMALL, 'text-anchor': 'middle' }, text)));
}

function inputView(node: GraphNode): SVGGElement {
  return svg('g', { class: 'orch-input' },
    svg('rect', { class: 'orch-shape', x: node.x, y: node.y, width: node.width, height: node.height, rx: node.height / 2 }),
    svg('text', { x: node.x + node.width / 2, y: node.y + node.height / 2 + 4, 'font-size': 11.5, 'text-anchor': 'middle' }, cut(node.label, 42)));
}

function outStub(node: GraphNode): SVGGElement {
  const [x, y] = [node.x + node.width, node.y + node.height / 2];
  return svg('g', { class: 'orch-edge orch-edge-open' },
    svg('path', { class: 'orch-line', d: `M${n(x)} ${n(y)}h10` }),
    svg('text', { x: x + 13, y: y + 3.5, 'font-size': SMALL }, 'out'));
}

function hexagon(node: GraphNode): string {
  const [x, y, r, b, m] = [node.x, node.y, node.x + node.width, node.y + node.height, node.y + node.height / 2];
  const c = Math.min(13, node.height / 2);
  return `M${n(x)} ${n(m)}L${n(x + c)} ${n(y)}H${n(r - c)}L${n(r)} ${n(m)}L${n(r - c)} ${n(b)}H${n(x + c)}Z`;
}

function safe(kind: string): string {
  return /^[a-z]{1,20}$/.test(kind) ? kind : 'other';
}

function cut(text: string, limit: number): string {
  return text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
}

function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}
