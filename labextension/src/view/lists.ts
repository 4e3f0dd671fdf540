/** State and decisions of a run, as tables. */

import type { Critical, Run, TakenDecision } from '../model/run.js';
import { seconds } from '../model/words.js';
import { el, quiet } from './dom.js';
import { decisionView } from './detail.js';
import { code, section, shareBar, table } from './table.js';

/** What the graph's state holds: who writes each key, who reads it, what it is now. */
export function stateView(run: Run): HTMLElement {
  return el('div', {},
    run.state.length === 0 ? null : table([{ head: 'key' }, { head: 'reducer' }, { head: 'written by' }, { head: 'read by' }, { head: 'value' }],
      run.state.map(row => [row.name, row.reducer, row.writers.join(', '), row.readers.join(', '), code(row.value)]), { label: 'state' }),
    run.changes.length === 0 ? null : section('what each step changed', table([{ head: 'step' }, { head: 'at', figure: true }, { head: 'field' }, { head: 'before' }, { head: 'after' }],
      run.changes.map(one => [one.after, one.at === null ? '' : seconds(one.at), one.field, one.before === '' ? quiet('–') : code(one.before), code(one.now)]), { label: 'state after each step' })));
}

/** Which steps decided how long the run took: where to begin, if it must be faster. */
export function criticalView(critical: Critical): HTMLElement {
  const most = Math.max(...critical.steps.map(([, took]) => took), 1e-9);
  const waits = critical.queued >= 0.005 ? `, ${seconds(critical.queued)} of it waiting for a turn` : '';
  return section('critical path', el('p', { class: 'orch-because' }, `${seconds(critical.total)}, ${seconds(critical.model)} of it in models${waits}`),
    table([{ head: 'step' }, { head: 's', figure: true }, { head: '' }], critical.steps.slice(0, 6).map(([name, took]) => [name, took.toFixed(2), shareBar(took / most)])));
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
      el('div', { class: 'orch-quiet' }, `%orch resume ${run.run} continues from here; finished steps are kept`)),
    ...run.waiting.map(one => section(`${one.key} asks`, el('p', {}, one.question), one.shown === '' ? null : code(one.shown),
      el('p', { class: 'orch-quiet' }, `answer: ${one.options.map(option => `%orch answer ${option}`).join(' · ')}`))),
    run.output === '' ? null : section('output', code(run.output)),
    run.inputs.length === 0 ? null : section('inputs', ...run.inputs.map(([name, value]) => el('div', {}, el('div', { class: 'orch-role' }, name), code(value)))),
    run.critical === null || run.critical.steps.length < 2 ? null : criticalView(run.critical),
    el('p', { class: 'orch-note' }, 'Select a step to see its prompt, answer, cost and route.'));
}
