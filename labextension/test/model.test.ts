import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cumulative } from '../src/model/bill.js';
import { marked } from '../src/model/marks.js';
import { defaultHeat, edgeState, neighbour, readPicture, shares } from '../src/model/picture.js';
import { FIELD_LIMIT, count, known, list, number, text } from '../src/model/validate.js';
import { GRAPH, TRACE, readBundle, type Run } from '../src/model/run.js';
import { label, readSpans } from '../src/model/span.js';
import { EVERYTHING, Trace, stepOf } from '../src/model/trace.js';
import { clamp, fit, reveal, zoomAt } from '../src/model/viewport.js';
import { glyph, places, seconds, tone, usd } from '../src/model/words.js';
import { columns, picture, rows, run } from './samples.js';

function readRun(data: unknown): Run {
  const read = readBundle(TRACE, data);
  assert.equal(read.kind, 'run');
  return read as Run;
}

const source = (spans: unknown, more = {}): Parameters<typeof readSpans>[0] => ({ spans, details: {}, texts: [], leftOut: 0, ...more });

// ------------------------------------------------------------------ plain data
test('a long text is cut, and says of how much', () => {
  const cut = text('x'.repeat(20_000));
  assert.ok(cut.length < FIELD_LIMIT + 60);
  assert.match(cut, /… \(cut: 8,256 of 20,000 characters\)$/);
});

test('nothing in a text is invisible or moves what follows it', () => {
  assert.equal(text('a\u202eb\u200bc\u001b[2J\ud800'), 'a\\u202eb\\u200bc\\x1b[2J\\ud800');
  assert.equal(text('tab\tline\n🙂'), 'tab\tline\n🙂');
});

test('a number is finite and within bounds, whatever was sent', () => {
  for (const odd of [NaN, Infinity, 'x', '', null, {}, [], true, undefined]) {
    assert.equal(number(odd, 3), 3);
  }
  assert.equal(number(1e300), 1e12);
  assert.equal(count(-5), 0);
  assert.equal(known('0.0061'), 0.0061);
  assert.equal(known(null), null);
});

test('a list is clamped', () => {
  assert.equal(list(Array.from({ length: 50 }), 7).length, 7);
  assert.deepEqual(list('no list', 7), []);
});

test('money, time and states read as Python writes them', () => {
  assert.equal(usd(0.0121), '$0.0121');
  assert.equal(usd(0.000003), '$0.000003');
  assert.equal(usd(null), '$?');
  assert.equal(usd(1234.5), '$1,234.5000');
  assert.deepEqual([0.004, 0.02, 3.44, 59.94, 125, 7260, null].map(seconds), ['0.004 s', '0.02 s', '3.4 s', '59.9 s', '2 min 05 s', '2 h 01 min', '–']);
  assert.equal(places([0.1, 0.00002, null, 0]), 6);
  assert.equal(glyph('constructor'), '·');
  assert.equal(tone('__proto__'), 'quiet');
});

// ------------------------------------------------------------------ bundles
test('another version is refused in one clear line', () => {
  for (const v of [2, 0, '1', null, undefined, { toString: () => '1' }]) {
    const read = readBundle(TRACE, { ...run(), v });
    assert.equal(read.kind, 'refused');
    assert.match(read.kind === 'refused' ? read.reason : '', /this extension reads version 1/);
  }
  assert.equal(readBundle(TRACE, 'nothing').kind, 'refused');
});

test('whatever a bundle holds, it is read without a fault', () => {
  const odd = [null, true, -1, 1e308, 'x', '\u202e', [], [[]], {}, { x: { y: 1 } }, Array(5).fill({})];
  for (const key of Object.keys(run())) {
    for (const value of odd) {
      if (key !== 'v') {
        readBundle(TRACE, { ...run(), [key]: value });
        readBundle(GRAPH, { v: 1, pictures: [{ ...picture(), [key]: value, nodes: [value], edges: [value], groups: [value] }] });
        readSpans(source([{ ...rows[0], [key]: value, depth: value, start_s: value, route: value, decisions: [value], said: [value] }]));
      }
    }
  }
});

test('counts are clamped, and what was left out is counted', () => {
  const many = { ...picture(), nodes: Array(2500).fill({ name: 'x' }) };
  const read = readPicture(many);
  assert.equal(read.nodes.length, 2000);
  assert.equal(read.leftOut, 500);
  assert.equal(readSpans(source({ count: 1e9, columns: {} })).length, 20_000);
});

test('columns with texts say the same as a list of mappings', () => {
  const { spans, texts } = columns();
  assert.deepEqual(readSpans(source(spans, { texts })), readSpans(source(rows)));
});

test('a detail may hold places of texts, and a span without one says that it was left out', () => {
  const { spans, texts } = columns();
  const read = readSpans(source(spans, { texts: [...texts, 'Hello'], details: { 1: { said: [['user', texts.length]], answer: texts.length } }, leftOut: 3 }));
  assert.equal(read[1]?.detail.said[0]?.text, 'Hello');
  assert.equal(read[1]?.detail.leftOut, false);
  assert.equal(read[2]?.detail.leftOut, true);
});

test('a depth that jumps does not break the tree', () => {
  const read = readSpans(source([{ depth: 7, step: 'a' }, { depth: 9, step: 'b' }, { depth: 1, step: 'c' }]));
  assert.deepEqual(read.map(span => [span.depth, span.parent]), [[0, -1], [1, 0], [1, 0]]);
});

// ------------------------------------------------------------------ graphs
test('shares are of dollars, tokens or seconds', () => {
  const read = readPicture(picture());
  assert.equal(shares(read, 'cost').get('billing'), 0.75);
  assert.equal(shares(read, 'seconds').get('triage'), 0.25);
  assert.equal(defaultHeat(read), 'cost');
});

test('an arrow is taken, not taken, or undecided', () => {
  const read = readPicture(picture());
  const byId = new Map(read.nodes.map(node => [node.id, node]));
  assert.deepEqual(read.edges.map(edge => edgeState(read, edge, byId)), ['taken', 'taken', 'not taken', 'taken']);
});

test('arrows lead to the nearest node in their direction', () => {
  const read = readPicture(picture());
  const at = (name: string) => read.nodes.find(node => node.id === name)!;
  assert.equal(neighbour(read, at('triage'), 'ArrowRight')?.id, 'billing');
  assert.equal(neighbour(read, at('billing'), 'ArrowDown')?.id, 'sales');
  assert.equal(neighbour(read, at('triage'), 'ArrowLeft'), null);
});

// ------------------------------------------------------------------ traces
test('a step that its only call repeats begins folded; steps that were not reached have no row', () => {
  const trace = new Trace(readSpans(source(rows)), 2.5);
  assert.deepEqual([...trace.folded()], [0]);
  assert.deepEqual(trace.rows(trace.folded()), [0, 2, 3, 4, 5]);
  assert.deepEqual(trace.unreached(), ['sales']);
});

test('a filter shows what matches with the steps around it, folded or not', () => {
  const trace = new Trace(readSpans(source(rows)), 2.5);
  const all = new Set([0, 2, 3]);
  assert.deepEqual(trace.rows(all, { ...EVERYTHING, state: 'retried' }), [2, 3, 4]);
  assert.deepEqual(trace.rows(all, { ...EVERYTHING, agent: 'sales' }), [6]);
  assert.deepEqual(trace.rows(all, { ...EVERYTHING, text: 'SMALL triage' }), [0, 1]);
  assert.deepEqual(trace.rows(all, { ...EVERYTHING, text: 'nowhere' }), []);
});

test('a bar tells queueing from its own time and from its calls', () => {
  const trace = new Trace(readSpans(source(rows)), 2.5);
  const pieces = trace.pieces(trace.spans[3]!);
  assert.deepEqual(pieces.map(piece => piece.kind), ['queued', 'own', 'work', 'work']);
  assert.deepEqual(pieces.map(piece => [piece.from, piece.to].map(x => Math.round(x * 100) / 100)), [[0.3, 0.5], [0.5, 1.5], [0.5, 0.8], [0.9, 1.5]]);
});

test('what lies inside of a step is summed, and unknown stays unknown', () => {
  const trace = new Trace(readSpans(source(rows)), 2.5);
  assert.equal(trace.inner(trace.spans[2]!), 0.002);
  const unknown = new Trace(readSpans(source(rows.map((row, i) => (i === 3 ? { ...row, cost_usd: null } : row)))), 2.5);
  assert.equal(unknown.inner(unknown.spans[2]!), null);
});

test('steps, rounds and calls have names', () => {
  const [, call, , item, , again] = readSpans(source(rows));
  assert.deepEqual([call, item, again].map(span => label(span!)), [{ name: 'small', more: '' }, { name: 'map', more: 'item 0' }, { name: 'mid', more: 'attempt 2' }]);
  assert.equal(stepOf({ ...item!, key: 'outer[2]/inner[1][7]' }), 'outer/inner');
});

test('reading, folding and filtering take time in proportion to the rows', () => {
  const took = (count: number): number => {
    const many = Array.from({ length: count }, (_, i) => ({ ...rows[i % 2], task_id: `step${i}` }));
    const times = [1, 2, 3].map(() => {
      const began = performance.now();
      const trace = new Trace(readSpans(source(many)), 10);
      assert.equal(trace.rows(trace.folded()).length, count / 2);
      assert.equal(trace.rows(trace.folded(), { ...EVERYTHING, text: `step${count - 1}` }).length, 2);
      return performance.now() - began;
    });
    return Math.min(...times);
  };
  const few = took(1000);
  assert.ok(took(10_000) < 50 * few + 100, 'ten times the rows, not a hundred times the work');
});

test('dollars add up in order of time', () => {
  assert.deepEqual(cumulative(readSpans(source(rows))), [[0.5, 0.001], [1.5, 0.003]]);
});

test('the values that a prompt reads are found in it, longer ones first', () => {
  const pieces = marked('Say: red and red fox', [['a', 'red'], ['b', 'red fox'], ['c', 'no'], ['d', '']]);
  assert.deepEqual(pieces, [{ text: 'Say: ', read: '' }, { text: 'red', read: 'a' }, { text: ' and ', read: '' }, { text: 'red fox', read: 'b' }]);
});

test('a run without decisions takes them from its arrows', () => {
  assert.deepEqual(readRun(run()).decisions.map(one => [one.after, one.saw, one.outcome]), [['qa', '0.52', 'yes']]);
});

// ------------------------------------------------------------------ looking at a picture
test('a picture fits its window, or is cut rather than made unreadable', () => {
  const window = { width: 800, height: 400 };
  assert.deepEqual(fit({ width: 400, height: 200 }, window), { x: 200, y: 100, scale: 1 });
  assert.equal(fit({ width: 1000, height: 200 }, window).scale, 0.8);
  assert.equal(fit({ width: 1600, height: 200 }, window).scale, 0.85);
  assert.equal(fit({ width: 1600, height: 200 }, window, true).scale, 0.5);
  assert.equal(fit({ width: 16_000, height: 200 }, window).scale, 0.05);
});

test('zooming holds the point under the pointer; a picture cannot be lost; a box is brought into sight', () => {
  const near = zoomAt({ x: 10, y: 20, scale: 1 }, 2, 110, 120);
  assert.deepEqual([near.x + 100 * near.scale, near.y + 100 * near.scale], [110, 120]);
  assert.equal(zoomAt(near, 1e9, 0, 0).scale, 4);
  const held = clamp({ x: -9999, y: 9999, scale: 1 }, { width: 500, height: 300 }, { width: 800, height: 400 });
  assert.deepEqual([held.x, held.y], [-440, 340]);
  assert.deepEqual(reveal({ x: 0, y: 0, scale: 1 }, { x: 780, y: 10, width: 50, height: 20 }, { width: 800, height: 400 }), { x: -46, y: 6, scale: 1 });
});
