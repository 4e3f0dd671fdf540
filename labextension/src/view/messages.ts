/** Who said what to whom, in order: a lane for each participant, an arrow for each message. */

import type { Message } from '../model/run.js';
import { counted, seconds } from '../model/words.js';
import { el, quiet, svg } from './dom.js';

const LANE = 116;
const LEFT = 66;
const STEP = 30;
const TOP = 30;
const MOST_LANES = 14;
const MOST_ROWS = 200;

export function messagesView(messages: readonly Message[]): HTMLElement {
  const shown = messages.slice(0, MOST_ROWS);
  const lanes = [...new Set(shown.flatMap(one => [one.from, one.to]))].slice(0, MOST_LANES);
  const rows = shown.filter(one => lanes.includes(one.from) && lanes.includes(one.to));
  const width = LEFT + LANE * lanes.length + 12;
  const height = TOP + STEP * rows.length + 12;
  const x = (name: string): number => LEFT + LANE * (lanes.indexOf(name) + 0.5);
  return el('div', { class: 'orch-scroll', tabindex: 0, role: 'group', 'aria-label': `${counted(messages.length, 'message')} in order` },
    svg('svg', { class: 'orch-messages', width, height, viewBox: `0 0 ${width} ${height}`, role: 'list', 'aria-label': 'messages' },
      ...lanes.map(name => svg('g', { class: 'orch-lane', 'aria-hidden': 'true' }, svg('path', { d: `M${x(name)} ${TOP - 8}V${height}` }), svg('text', { x: x(name), y: 14, 'font-size': 12, 'text-anchor': 'middle' }, cut(name, 17)))),
      ...rows.map((one, i) => messageView(one, x(one.from), x(one.to), TOP + STEP * (i + 0.7)))),
    messages.length > rows.length ? quiet(`${counted(messages.length - rows.length, 'more message')} in the full record`) : null);
}

function messageView(one: Message, from: number, to: number, y: number): SVGGElement {
  const back = to < from ? -1 : 1;
  const line = from === to ? `M${from} ${y - 4}h22v8h-15` : `M${from} ${y}H${to - 7 * back}`;
  const tip = from === to ? `M${from} ${y + 4}l7 -3.4v6.8z` : `M${to} ${y}l${-7 * back} -3.4v6.8z`;
  const middle = from === to ? from + 27 : (from + to) / 2;
  return svg('g', { class: `orch-message orch-message-${/^[a-z]+$/.test(one.kind) ? one.kind : 'flow'}`, role: 'listitem', 'aria-label': `${one.from} to ${one.to}, ${one.kind}: ${one.text}` },
    svg('title', {}, one.text),
    one.at === null ? null : svg('text', { class: 'orch-small', x: 4, y: y + 4, 'font-size': 10.5 }, one.at === 0 ? '0 s' : seconds(one.at)),
    svg('path', { class: 'orch-line', d: line }), svg('path', { class: 'orch-head', d: tip }),
    svg('text', { class: 'orch-small', x: middle, y: from === to ? y + 4 : y - 4, 'font-size': 10.5, 'text-anchor': from === to ? null : 'middle' }, cut(one.text, from === to ? 30 : Math.max(16, Math.floor(Math.abs(to - from) / 6.2)))));
}

function cut(text: string, limit: number): string {
  const flat = text.replace(/\s+/g, ' ');
  return flat.length > limit ? `${flat.slice(0, limit - 1)}…` : flat;
}
