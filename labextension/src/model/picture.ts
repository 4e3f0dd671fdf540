/** A graph as it is drawn: places come from Python, so that every picture of it is the same. */

import { count, fields, known, list, number, text, words, type Fields } from './validate.js';

export const MAX_NODES = 2000;
export const MAX_EDGES = 6000;
const FAR = 1e6;

export interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface GraphNode extends Place {
  readonly id: string;
  readonly name: string;
  /** agent, function, human, switch, graph, tool, barrier; `input` and `choice` are shapes, not nodes. */
  readonly kind: string;
  readonly lines: readonly (readonly [string, string])[];
  readonly label: string;
  readonly choice: string;
  readonly state: string;
  readonly rounds: number;
  readonly done: number;
  readonly items: number | null;
  readonly calls: number;
  readonly tokens: number;
  readonly cost: number | null;
  readonly seconds: number;
  readonly describe: string;
  readonly gate: string;
  readonly effects: readonly string[];
  readonly known: boolean;
  readonly out: boolean;
}

export interface GraphEdge {
  readonly source: string;
  readonly target: string;
  readonly kind: string;
  readonly condition: string;
  readonly atMost: number | null;
  readonly taken: number | null;
  readonly lane: boolean;
  readonly points: readonly (readonly [number, number])[];
  readonly label: readonly string[];
  readonly labelAt: readonly [number, number];
  readonly outcomes: readonly string[];
}

export interface Group extends Place {
  readonly name: string;
}

export interface Picture {
  readonly name: string;
  /** "" for the graph itself, else the node that it lies inside of. */
  readonly path: string;
  readonly width: number;
  readonly height: number;
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
  readonly groups: readonly Group[];
  readonly inputs: readonly string[];
  readonly out: readonly string[];
  readonly problems: readonly string[];
  readonly tooLarge: boolean;
  readonly leftOut: number;
}

/** What a node's bar and tint stand for. */
export type Heat = 'cost' | 'tokens' | 'seconds';

export function readPicture(data: unknown): Picture {
  const row = fields(data);
  const nodes = list(row['nodes'], MAX_NODES).map(readNode);
  const edges = list(row['edges'], MAX_EDGES).map(readEdge);
  const left = Array.isArray(row['nodes']) ? row['nodes'].length - nodes.length : 0;
  return {
    name: text(row['name'], 200), path: text(row['path'], 400), width: number(row['width'], 0, 0, FAR),
    height: number(row['height'], 0, 0, FAR), nodes, edges, groups: list(row['groups'], 500).map(readGroup),
    inputs: words(row['inputs']), out: words(row['out']), problems: words(row['problems'], 40, 2000),
    tooLarge: row['too_large'] === true, leftOut: Math.max(0, left)
  };
}

function readPlace(row: Fields): Place {
  return {
    x: number(row['x'], 0, -FAR, FAR), y: number(row['y'], 0, -FAR, FAR),
    width: number(row['width'], 60, 0, FAR), height: number(row['height'], 28, 0, FAR)
  };
}

function readGroup(data: unknown): Group {
  const row = fields(data);
  return { name: text(row['name'], 200), ...readPlace(row) };
}

function readNode(data: unknown): GraphNode {
  const row = fields(data);
  const kind = text(row['kind'], 40);
  const name = text(row['name'], 200);
  return {
    id: kind === 'choice' ? `by ${name}` : kind === 'input' ? '' : name, name, kind,
    lines: list(row['lines'], 8).map(pair), label: text(row['label'], 2000), choice: text(row['choice'], 200),
    state: text(row['state'], 40), rounds: count(row['rounds']), done: count(row['done']), items: known(row['items']),
    calls: count(row['calls']), tokens: count(row['tokens']), cost: known(row['cost_usd']),
    seconds: number(row['seconds'], 0, 0), describe: text(row['describe']), gate: text(row['gate'], 2000),
    effects: words(row['effects']), known: row['known'] !== false, out: row['out'] === true, ...readPlace(row)
  };
}

function pair(data: unknown): readonly [string, string] {
  const row = list(data, 2);
  return [text(row[0], 200), text(row[1], 200)];
}

function point(data: unknown): readonly [number, number] {
  const row = list(data, 2);
  return [number(row[0], 0, -FAR, FAR), number(row[1], 0, -FAR, FAR)];
}

/** A list of points, or `x,y x,y`. */
function readPoints(data: unknown): (readonly [number, number])[] {
  return (typeof data === 'string' ? data.slice(0, 20_000).split(' ').map(one => one.split(',')) : list(data, 400)).slice(0, 400).map(point);
}

function readEdge(data: unknown): GraphEdge {
  const row = fields(data);
  return {
    source: text(row['source'], 200), target: text(row['target'], 200), kind: text(row['kind'], 20),
    condition: text(row['condition'], 2000), atMost: known(row['at_most']), taken: known(row['taken']),
    lane: row['style'] === 'lane', points: readPoints(row['points']), label: words(row['label'], 4, 400),
    labelAt: point(row['label_at']), outcomes: words(row['outcomes'], 40, 400)
  };
}

/** Taken, not taken, or "" where nothing was decided. Arrows that only lead into a node follow that node. */
export function edgeState(picture: Picture, edge: GraphEdge, byId: ReadonlyMap<string, GraphNode>): string {
  if (edge.taken !== null) {
    return edge.taken > 0 ? 'taken' : 'not taken';
  }
  if (edge.kind !== '' || !hasRun(picture)) {
    return '';
  }
  if (edge.source === '') {
    return byId.get(edge.target)?.state ? 'taken' : '';
  }
  const node = byId.get(edge.source);
  return node === undefined ? '' : node.state === 'skipped' ? 'not taken' : node.done > 0 ? 'taken' : '';
}

export function hasRun(picture: Picture): boolean {
  return picture.nodes.some(node => node.state !== '');
}

/** Each node's share of the graph's dollars, tokens or seconds. */
export function shares(picture: Picture, heat: Heat): Map<string, number> {
  const amount = (node: GraphNode): number => node[heat] ?? 0;
  const total = picture.nodes.reduce((sum, node) => sum + amount(node), 0);
  return new Map(picture.nodes.map(node => [node.id, total > 0 ? amount(node) / total : 0]));
}

/** What the bars show first: dollars, or seconds where nothing cost anything. */
export function defaultHeat(picture: Picture): Heat {
  return picture.nodes.some(node => (node.cost ?? 0) > 0) ? 'cost' : 'seconds';
}

/** The picture in one sentence, for those who do not see it. */
export function describe(picture: Picture): string {
  const real = picture.nodes.filter(isNode);
  return `Graph ${picture.name}: ${real.length} nodes, ${picture.edges.filter(edge => edge.kind !== '').length} arrows`;
}

/** Whether a shape is a node, not the inputs or a choice. */
export function isNode(node: GraphNode): boolean {
  return node.kind !== 'input' && node.kind !== 'choice';
}

/** The nearest node in a direction: distance along it counts once, beside it twice. */
export function neighbour(picture: Picture, from: GraphNode, key: string): GraphNode | null {
  const [dx, dy] = key === 'ArrowRight' ? [1, 0] : key === 'ArrowLeft' ? [-1, 0] : key === 'ArrowDown' ? [0, 1] : [0, -1];
  const middle = (node: Place): [number, number] => [node.x + node.width / 2, node.y + node.height / 2];
  const [x0, y0] = middle(from);
  let best: GraphNode | null = null;
  let least = Infinity;
  for (const node of picture.nodes.filter(isNode)) {
    const [x, y] = middle(node);
    const along = (x - x0) * dx + (y - y0) * dy;
    const beside = Math.abs((x - x0) * dy) + Math.abs((y - y0) * dx);
    if (along > 1 && along + 2 * beside < least) {
      best = node;
      least = along + 2 * beside;
    }
  }
  return best;
}
