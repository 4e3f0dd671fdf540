/** Tables: words to the left, figures aligned at the right. */

import { el, type Child } from './dom.js';

export interface Column {
  readonly head: string;
  readonly figure?: boolean;
}

export type Row = readonly Child[];

/** A table; `strong` is the index of a row that is emphasised. */
export function table(columns: readonly Column[], rows: readonly Row[], options: { strong?: number; foot?: Row; label?: string } = {}): HTMLElement {
  const cell = (child: Child, i: number): HTMLElement => el('td', { class: columns[i]?.figure ? 'orch-figure' : null }, child);
  return el('div', { class: 'orch-scroll', tabindex: rows.length > 14 ? 0 : null },
    el('table', { class: 'orch-table', 'aria-label': options.label },
      el('thead', {}, el('tr', {}, ...columns.map(head))),
      el('tbody', {}, ...rows.map((row, i) => el('tr', { class: i === options.strong ? 'orch-chosen' : null }, ...row.map(cell)))),
      options.foot === undefined ? null : el('tfoot', {}, el('tr', {}, ...options.foot.map(cell)))));
}

/** A column without a name has no header cell: there is nothing to read out. */
function head(column: Column): HTMLElement {
  const attributes = { class: column.figure ? 'orch-figure' : null };
  return column.head === '' ? el('td', attributes) : el('th', { scope: 'col', ...attributes }, column.head);
}

/** A thin bar: a share of 1. */
export function shareBar(share: number, label = ''): HTMLElement {
  const width = Math.min(1, Math.max(0, share));
  return el('span', { class: 'orch-share', role: label ? 'img' : null, 'aria-label': label || null },
    el('span', { class: `orch-share-fill${share > 1 ? ' orch-share-over' : ''}`, 'style-width': `${Math.round(width * 1000) / 10}%` }));
}

/** Facts as pairs: `seconds 0.44`. Pairs without a value are left out. */
export function facts(pairs: readonly (readonly [string, Child])[]): HTMLElement {
  const shown = pairs.filter(([, value]) => value !== '' && value !== null && value !== undefined && value !== false);
  return el('dl', { class: 'orch-facts' }, ...shown.map(([name, value]) => el('div', {}, el('dt', {}, name), el('dd', {}, value))));
}

/** A titled part of a panel. */
export function section(title: string, ...children: Child[]): HTMLElement {
  return el('section', { class: 'orch-section' }, el('h4', {}, title), ...children);
}

/** Text in a box, as it is: line breaks kept, long ones wrapped. */
export function code(...children: Child[]): HTMLElement {
  return el('pre', { class: 'orch-code' }, ...children);
}
