/** What is wrong with a word of a cell, in a tooltip. */

import type { Mark } from '../model/client.js';
import { el, quiet } from './dom.js';

export function markView(marks: readonly Mark[]): HTMLElement {
  return el('div', { class: 'orch-tip', role: 'tooltip' }, ...marks.map(mark =>
    el('div', {}, el('div', {}, mark.message), mark.hint === '' ? null : quiet(mark.hint))));
}
