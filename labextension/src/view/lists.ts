/** State and decisions of a run, as tables. */

import type { Run, TakenDecision } from '../model/run.js';
import { el } from './dom.js';
import { decisionView } from './detail.js';
import { code, section, table } from './table.js';

/** What the graph's state holds: who writes each key, who reads it, what it is now. */
export function stateView(run: Run): HTMLElement {
  return table([{ head: 'key' }, { head: 'reducer' }, { head: 'written by' }, { head: 'read by' }, { head: 'value' }],
    run.state.map(row => [row.name, row.reducer, row.writers.join(', '), row.readers.join(', '), code(row.value)]), { label: 'state' });
}

/** Every condition, gate and choice, in the order of the graph. */
export function decisionList(decisions: readonly TakenDecision[]): HTMLElement {
  const rows = decisions.map(one => [one.after, String(one.round), decisionView(one)]);
  return table([{ head: 'after' }, { head: 'round', figure: true }, { head: 'decided' }], rows, { label: 'decisions' });
}

/** What the run is about when no step is selected: question, failure, inputs, output. */
export function runDetail(run: Run): HTMLElement {
  const { error } = run;
  return el('div', { class: 'orch-detail-in' },
    error === null ? null : el('div', { class: 'orch-error' },
      el('div', {}, el('b', {}, error.node), `${error.node ? ': ' : ''}${error.type}: ${error.message}`),
      error.hint === '' ? null : el('div', { class: 'orch-quiet' }, error.hint),
      el('div', { class: 'orch-quiet' }, `%orch resume ${run.run} goes on from here; finished steps are kept`)),
    ...run.waiting.map(one => section(`${one.key} asks`, el('p', {}, one.question), one.shown === '' ? null : code(one.shown),
      el('p', { class: 'orch-quiet' }, `answer: ${one.options.map(option => `%orch answer ${option}`).join(' · ')}`))),
    run.output === '' ? null : section('output', code(run.output)),
    run.inputs.length === 0 ? null : section('inputs', ...run.inputs.map(([name, value]) => el('div', {}, el('div', { class: 'orch-role' }, name), code(value)))),
    el('p', { class: 'orch-note' }, 'Select a step to see its prompt, answer, cost and route.'));
}
