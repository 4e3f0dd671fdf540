import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { parseHTML } from 'linkedom';
import type { Comparison } from '../src/model/compare.js';
import { readPicture } from '../src/model/picture.js';
import { TRACE, readBundle, type Run } from '../src/model/run.js';
import { compareView } from '../src/view/compare.js';
import { el } from '../src/view/dom.js';
import { runDetail, stateView } from '../src/view/lists.js';
import { messagesView } from '../src/view/messages.js';
import { run } from './samples.js';

before(() => {
  const { document, Node } = parseHTML('<!doctype html><html><body></body></html>');
  Object.assign(globalThis, { document, Node });
});

const words = (made: Element): string => (made.textContent ?? '').replace(/\s+/g, ' ').trim();
const read = (more: Record<string, unknown>): Run => readBundle(TRACE, run(more)) as Run;
const packed = {
  count: 4, names: 'plan\nagent\nsuccess\nmodel\nsmall\nworker', keys: 'plan\n\nworker[1][0]\n',
  columns: { depth: ',1,,1', kind: '1,3,1,3', step: '0,0,5,5', state: '2,2,2,2', model: ',4,,4', start_s: '0,0,0.5,0.5', latency_ms: '900,850,400,400', cost_usd: '0.002,0.002,,0', critical: '1,,1,' }
};

test('packed columns say what lists would: names by number, keys of the row around', () => {
  const [plan, call, worker, last] = read({ spans: packed, details: {} }).spans;
  assert.deepEqual([plan!.key, call!.key, worker!.key, last!.key], ['plan', 'plan', 'worker[1][0]', 'worker[1][0]']);
  assert.deepEqual([call!.model, call!.kind, call!.parent, worker!.node], ['small', 'model', 0, 'worker']);
  assert.deepEqual([plan!.cost, worker!.cost, last!.cost], [0.002, null, 0]);
  assert.deepEqual([plan!.critical, call!.critical, plan!.seconds, worker!.start], [true, false, 0.9, 0.5]);
});

test('packed data of any other shape is read without harm', () => {
  for (const spans of [{ count: 3, names: 7, keys: [], columns: 'no' }, { count: 2, keys: '\n\n\n\n', columns: { depth: '9,x', kind: 'a,b,c', step: '1e9,-4' } }, { count: 'many' }]) {
    assert.ok(read({ spans }).spans.length <= 3);
  }
  assert.deepEqual(readPicture({ nodes: [], edges: [{ points: '1,2 30,4.5 x,y' }] }).edges[0]!.points, [[1, 2], [30, 4.5], [0, 0]]);
});

test('what each step changed is told field by field', () => {
  const made = read({ state: [], states: [{ after: 'qa[2]', at_s: 3.1, changes: [{ field: 'notes', before: '', after: '[1]' }, { field: 'score', before: '0.4', after: '0.9' }] }] });
  assert.deepEqual(made.changes.map(one => [one.after, one.field, one.before, one.now]), [['qa[2]', 'notes', '', '[1]'], ['qa[2]', 'score', '0.4', '0.9']]);
  assert.match(words(stateView(made)), /qa\[2\]3\.1 snotes–\[1\]qa\[2\]3\.1 sscore0\.40\.9/);
});

test('the critical path says where the time went', () => {
  const made = read({ critical: { total_s: 4, model_s: 3, queued_s: 0.5, other_s: 0.5, by_step: [{ name: 'billing', seconds: 3 }, { name: 'qa', seconds: 1 }] } });
  assert.match(words(runDetail(made)), /critical path4\.0 s, 3\.0 s of it in models, 0\.5 s of it waiting for a turn/);
  assert.match(words(runDetail(made)), /billing3\.00qa1\.00/);
});

test('messages have a lane for each participant and an arrow each, read out in order', () => {
  const made = messagesView(read({ messages: [{ from: 'ticket', to: 'triage', at_s: 0, text: 'hello', kind: 'flow' }, { from: 'triage', to: 'small', at_s: 0.2, text: '<b>x</b>', kind: 'call' }, { from: 'qa', to: 'qa', text: 'again', kind: 'flow' }] }).messages);
  assert.deepEqual([...made.querySelectorAll('.orch-lane')].map(one => one.textContent), ['ticket', 'triage', 'small', 'qa']);
  assert.deepEqual([...made.querySelectorAll('[role=listitem]')].map(one => one.getAttribute('aria-label')), ['ticket to triage, flow: hello', 'triage to small, call: <b>x</b>', 'qa to qa, flow: again']);
  assert.equal(made.querySelectorAll('b').length, 0);
});

const half = (more: object): object => ({ state: 'success', model: 'mid', seconds: 1.5, tokens: 800, usd: '0.006', ...more });
const pair = {
  v: 1, kind: 'compare', same_output: false, rows_left_out: 3,
  a: { run: '7', graph: 'support', status: 'done', wall_s: 3, usd: '0.009', tokens: 1000 }, b: { run: '8', graph: 'support', status: 'done', wall_s: 2, usd: '0.004', tokens: 900 },
  rows: [
    { key: 'triage', step: 'triage', round: 1, a: half({}), b: half({}), what: 'same', diff: [] },
    { key: 'billing', step: 'billing', round: 2, a: half({}), b: half({ model: 'small', usd: null }), what: 'changed', diff: [[' ', 'Dear'], ['-', 'No <i>'], ['+', 'Yes']] },
    { key: 'qa', step: 'qa', round: 1, a: null, b: half({}), what: 'only b', diff: [] }
  ]
};

test('two runs are aligned by step and round, with the lines that differ', () => {
  const made = el('div', {}, ...compareView(readBundle(TRACE, pair) as Comparison));
  assert.match(words(made), /Different output; 2 steps of 3 differ; B cost \$0\.0050 less/);
  const rows = [...made.querySelectorAll('tbody tr')].map(words);
  assert.deepEqual(rows.slice(0, 2), ['triagesame✓ mid0.00601.50✓ mid0.00601.50', 'billing round 2changed✓ mid0.00601.50✓ small?1.50']);
  assert.match(rows[2]!, /what billing said Dear - No <i> \+ Yes/);
  assert.match(rows[3]!, /qaonly bnot there/);
  assert.match(words(made), /3 more steps in the records/);
  assert.equal(made.querySelectorAll('i').length, 0);
});

test('a comparison of nonsense is still shown', () => {
  const made = readBundle(TRACE, { v: 1, kind: 'compare', a: 7, b: null, rows: [null, { a: [], diff: 'x' }] }) as Comparison;
  assert.equal(made.kind, 'compare');
  assert.ok(compareView(made).length > 0);
});
