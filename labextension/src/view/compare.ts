/** Two runs aligned: what each step cost in either, and the lines in which they differ. */

import type { Comparison, Half, Pair, Side } from '../model/compare.js';
import { counted, integer, seconds, usd } from '../model/words.js';
import { el, quiet, type Child } from './dom.js';
import { stateGlyph, stateMark } from './state.js';
import { code } from './table.js';

export function compareView(data: Comparison): Child[] {
  const changed = data.rows.filter(row => row.what !== 'same').length;
  return [
    el('div', { class: 'orch-compare-heads' }, sideView('A', data.a), sideView('B', data.b)),
    el('div', { class: 'orch-notices' }, el('div', { class: 'orch-compare-sum' },
      `${data.same ? 'Same output' : 'Different output'}; ${changed === 0 ? 'every step is the same' : `${counted(changed, 'step')} of ${integer(data.rows.length)} ${changed === 1 ? 'differs' : 'differ'}`}${difference(data)}`)),
    el('div', { class: 'orch-scroll' }, el('table', { class: 'orch-table orch-compare', 'aria-label': 'steps of both runs' },
      el('thead', {}, el('tr', {}, ...['step', '', 'A', '$', 's', 'B', '$', 's'].map((said, i) => said === '' ? el('td', {}) : el('th', { scope: 'col', class: i > 2 && said.length === 1 && i !== 5 ? 'orch-figure' : null }, said)))),
      el('tbody', {}, ...data.rows.flatMap(pairView)))),
    data.leftOut > 0 ? el('p', { class: 'orch-note orch-compare-sum' }, `${counted(data.leftOut, 'more step')} in the records`) : null
  ];
}

function sideView(name: string, side: Side): HTMLElement {
  return el('div', { class: 'orch-top' }, el('b', { class: 'orch-side-name' }, name), el('span', { class: 'orch-title' }, side.graph), quiet(`run ${side.run}`), stateMark(side.status, 'orch-status'),
    quiet(seconds(side.wall)), quiet(counted(side.tokens, 'token')), el('span', { class: 'orch-money-head' }, el('b', {}, usd(side.usd))));
}

function difference({ a, b }: Comparison): string {
  return a.usd === null || b.usd === null || a.usd === b.usd ? '' : `; B cost ${usd(Math.abs(b.usd - a.usd))} ${b.usd > a.usd ? 'more' : 'less'}`;
}

function pairView(row: Pair): Child[] {
  const words = row.what === 'same' ? quiet('same') : el('b', {}, row.what);
  const name = row.round > 1 ? [row.step, quiet(` round ${row.round}`)] : [row.step];
  const cells = el('tr', { class: row.what === 'same' ? 'orch-same' : null }, el('td', {}, ...name), el('td', {}, words), ...halfView(row.a), ...halfView(row.b));
  return row.diff.length === 0 ? [cells] : [cells, el('tr', { class: 'orch-diff-row' }, el('td', { colspan: 8 },
    el('details', { class: 'orch-diff' }, el('summary', {}, `what ${row.step} said`), diffLines(row.diff))))];
}

function halfView(half: Half | null): HTMLElement[] {
  const figure = (said: string): HTMLElement => el('td', { class: 'orch-figure' }, said);
  return half === null ? [el('td', { class: 'orch-quiet' }, 'not there'), figure(''), figure('')]
    : [el('td', {}, stateGlyph(half.state), ' ', half.model || quiet(half.state)), figure(half.usd === null ? '?' : usd(half.usd).slice(1)), figure(half.seconds === null ? '' : half.seconds.toFixed(2))];
}

/** Lines with their sign: colour is not the only mark. */
export function diffLines(diff: readonly (readonly [string, string])[]): HTMLElement {
  return code(...diff.map(([sign, said]) => el('span', { class: sign === '+' ? 'orch-added' : sign === '-' ? 'orch-removed' : null }, `${sign} ${said}\n`)));
}
