import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { parseHTML } from 'linkedom';
import { TRACE, readBundle, type Run } from '../src/model/run.js';
import { readPicture } from '../src/model/picture.js';
import { billView } from '../src/view/bill.js';
import { nodeDetail, spanDetail } from '../src/view/detail.js';
import { el } from '../src/view/dom.js';
import { decisionList, runDetail, stateView } from '../src/view/lists.js';
import { pictureView } from '../src/view/picture.js';
import { rowView } from '../src/view/trace_row.js';
import { node, picture, run } from './samples.js';

const asks = { span: () => undefined, inside: () => undefined, close: () => undefined };

before(() => {
  const { document, Node } = parseHTML('<!doctype html><html><body></body></html>');
  Object.assign(globalThis, { document, Node });
});

function readRun(more = {}): Run {
  return readBundle(TRACE, run(more)) as Run;
}

function words(made: Element): string {
  return (made.textContent ?? '').replace(/\s+/g, ' ').trim();
}

test('a node says kind by shape, state by glyph and word, its share by a bar', () => {
  const made = pictureView(readPicture(picture()), { selected: 'billing' });
  const of = (name: string): Element => made.querySelector(`[data-node="${name}"]`)!;
  assert.equal(of('billing').querySelector('.orch-shape')?.getAttribute('rx'), '7');
  assert.equal(of('qa').querySelector('.orch-shape')?.getAttribute('rx'), '18');
  assert.match(of('billing').textContent ?? '', /✓ success/);
  assert.match(of('qa').textContent ?? '', /‖ waiting/);
  assert.equal(Number(of('billing').querySelector('.orch-bar')?.getAttribute('width')), 87 * 0.75);
  assert.equal(of('sales').querySelector('.orch-bar'), null);
  assert.equal(of('billing').getAttribute('aria-label'), 'billing, agent, success, $0.0030, 1.5 s, 75 % of the dollars');
  assert.deepEqual([...made.querySelectorAll('[tabindex="0"]')].map(one => one.getAttribute('data-node')), ['billing']);
});

test('each kind of node has a shape of its own, and an unknown kind a plain box', () => {
  const kinds = ['agent', 'function', 'human', 'switch', 'graph', 'tool', 'barrier', '"><script>'];
  const made = pictureView(readPicture({ nodes: kinds.map((kind, i) => node(`n${i}`, { kind })), width: 9, height: 9 }));
  const shapes = [...made.querySelectorAll('.orch-node')].map(one => [...one.querySelectorAll('rect, path')].map(s => `${s.tagName.toLowerCase()}${s.getAttribute('rx') ?? ''}`).join('+'));
  assert.deepEqual(shapes, ['rect7', 'rect', 'rect18', 'path', 'rect6+rect4', 'path', 'rect+rect', 'rect']);
});

test('arrows carry conditions and bounds; what was not taken is another line', () => {
  const made = pictureView(readPicture(picture()));
  assert.match(words(made.querySelector('.orch-edge-loop')!), /qa.score < 0.6 · 1 of at most 2/);
  assert.equal(made.querySelectorAll('.orch-edge-taken').length, 3);
  assert.equal(made.querySelectorAll('.orch-edge-not-taken').length, 1);
});

test('a row has name, place in time and figures, and is named for screen readers', () => {
  const { trace } = readRun();
  const look = { id: 'x-3', position: 3, top: 75, fold: 'open', current: false, selected: true, places: 4 } as const;
  const row = rowView(trace, trace.spans[3]!, look);
  assert.equal(row.getAttribute('aria-label'), 'map, item 0, success');
  assert.equal(row.getAttribute('aria-level'), '2');
  assert.equal(row.getAttribute('aria-expanded'), 'true');
  assert.deepEqual([...row.querySelectorAll('.orch-figure')].map(words), ['1.00', '', '0.0020']);
  const [queued, own] = [...row.querySelectorAll<HTMLElement>('.orch-piece')];
  assert.match(queued?.getAttribute('style') ?? '', /left:\s*12%/);
  assert.match(own?.getAttribute('style') ?? '', /40%/);
  assert.match(words(rowView(trace, trace.spans[2]!, look)), /Σ 0.0020/);
});

test('a span tells its prompt with the reads marked, its answer, its route with every candidate, its decisions', () => {
  const data = readRun();
  const made = spanDetail(data, data.spans[0]!, asks);
  assert.deepEqual([...made.querySelectorAll('mark')].map(mark => [mark.getAttribute('title'), mark.textContent]), [['ticket', 'My payment failed']]);
  const said = words(made);
  for (const part of ['triage', '✓ success', 'tokens80 in, 20 out', 'cost$0.0010', 'Classify:', '"category": "billing"', 'route: small', 'chosen', 'too dear', 'by triage.category', '0.80', '0.20']) {
    assert.ok(said.includes(part), part);
  }
});

test('a step with several attempts lists them with status and cost', () => {
  const data = readRun();
  const made = words(spanDetail(data, data.spans[3]!, asks));
  assert.match(made, /attempts and calls.*mid↺ retried0.30.*mid, attempt 2✓ success0.60.*\$0.0020/);
});

test('a node of a graph that has not run tells when it would run', () => {
  const read = readPicture(picture());
  const made = words(nodeDetail(read, read.nodes[3]!, '', asks));
  assert.match(made, /runs only iftriage.confidence < 0.8/);
  assert.match(made, /qa → triageqa.score < 0.6, at most 2taken/);
});

test('the bill says spent, saved and left, and the dollars of each step, agent and model', () => {
  const made = billView(readRun());
  const said = words(made);
  assert.match(said, /spent\$0.00303 calls/);
  assert.match(said, /saved by reuse\$0.03101 result/);
  assert.match(said, /budget\$0.0500\$0.0470 left/);
  assert.deepEqual([...made.querySelectorAll('h4')].map(words), ['by step', 'by agent', 'by model']);
  assert.match(words(made.querySelector('tbody + tfoot')!.closest('table')!), /map2000.002067 %triage1000.001033 %total3/);
});

test('a failure, a question, inputs and output are told before any step is selected', () => {
  const made = words(runDetail(readRun({
    error: { node: 'billing', type: 'RateLimited', message: '429', hint: 'wait' }, waiting: [{ key: 'qa', question: 'Send?', options: ['approve'] }],
    inputs: { ticket: 'Hi' }, output: 'Bye'
  })));
  for (const part of ['billing: RateLimited: 429', 'wait', 'qa asks', 'Send?', '%orch answer approve', 'ticket', 'Hi', 'Bye']) {
    assert.ok(made.includes(part), part);
  }
});

test('state and decisions are tables', () => {
  const data = readRun({ state: [{ name: 'findings', reducer: 'append', writers: ['a'], readers: ['b'], value: '[1]' }], decisions: [{ after: 'qa', round: 2, asked: 'qa.score < 0.6', saw: '0.52', outcome: 'yes' }] });
  assert.match(words(stateView(data)), /findingsappendab\[1\]/);
  assert.match(words(decisionList(data.decisions)), /qa2qa.score < 0.6 yessaw 0.52/);
});

test('hostile text is text: no element, attribute or address comes of it', () => {
  const hostile = ['<img src=x onerror=alert(1)>', '"><script>alert(1)</script>', 'javascript:alert(1)', '<style>*{}</style>', "'); alert(1)//"];
  for (const evil of hostile) {
    const filled = JSON.parse(JSON.stringify(run({ inputs: { [evil]: evil }, output: evil, state: [{ name: evil, value: evil }], decisions: [{ after: evil, asked: evil, scores: { [evil]: 1 } }] }), (key, value: unknown) =>
      typeof value === 'string' && !/_usd$/.test(key) ? (key === 'kind' ? value : evil) : value)) as object;
    const data = readBundle(TRACE, { ...filled, v: 1 }) as Run;
    const made = [pictureView(data.pictures[0]!), billView(data), runDetail(data), stateView(data), decisionList(data.decisions),
      ...data.spans.map(span => spanDetail(data, span, asks)),
      ...data.spans.map((span, i) => rowView(data.trace, span, { id: `x-${i}`, position: i, top: 0, fold: 'none', current: false, selected: false, places: 4 })),
      ...data.pictures[0]!.nodes.map(one => nodeDetail(data.pictures[0]!, one, '', asks))];
    for (const one of made.flatMap(root => [root, ...root.querySelectorAll('*')])) {
      assert.doesNotMatch(one.tagName, /^(script|img|style|iframe|object|embed|a|link|base|meta|form|foreignObject|image|use|animate|set)$/i);
      for (const attribute of one.getAttributeNames()) {
        assert.doesNotMatch(attribute, /^on|href|src|action|formaction|data-commandlinker/i);
        assert.ok(attribute !== 'style' || !/url|expression|<|;\s*alert/.test(one.getAttribute('style') ?? ''));
      }
    }
  }
});

test('an attribute that could carry a script or an address cannot be set', () => {
  for (const name of ['onclick', 'href', 'src', 'xlink:href', 'style', 'srcdoc', 'action', 'data-Commandlinker', 'formaction']) {
    assert.throws(() => el('div', { [name]: 'x' }), /not one that views may set/);
  }
});
