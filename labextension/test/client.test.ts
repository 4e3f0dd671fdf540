import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { parseHTML } from 'linkedom';
import { isOurs, runLine } from '../src/model/cell.js';
import { Client, readMarks, readQuote, readRow } from '../src/model/client.js';
import { markView } from '../src/view/mark.js';
import { moneyView } from '../src/view/money.js';
import { brief, quoteView } from '../src/view/quote.js';
import { RunList, type Wishes } from '../src/view/runs.js';

const budget = { notebook: 'demo', limit_usd: '0.50', spent_usd: '0.0123', held_usd: '0', in_doubt_usd: '0' };
const row = (run: string, more = {}): object => ({ run, graph: 'support', status: 'running', seconds: 2.5, spent_usd: '0.0031', is_here: true, asked: [], ...more });
const runs = (...rows: object[]): object => ({ v: 1, kind: 'runs', budget, runs: rows });

before(() => {
  const { document, Node } = parseHTML('<!doctype html><html><body></body></html>');
  Object.assign(globalThis, { document, Node });
});

function wishes(): { wishes: Wishes; heard: string[] } {
  const heard: string[] = [];
  return {
    heard,
    wishes: {
      trace: one => heard.push(`trace ${one.run}`), stop: one => heard.push(`stop ${one.run}`), resume: one => heard.push(`resume ${one.run}`),
      answer: (one, asked, action, value) => {
        heard.push(`${action} ${one.run} ${asked.key} ${value}`.trim());
        return Promise.resolve(asked.hash !== 'stale');
      }
    }
  };
}

function client(...rows: object[]): Client {
  const made = new Client();
  made.connect(true);
  made.take(runs(...rows));
  return made;
}

test('a desk takes lists whole and what runs say in place', () => {
  const heard: string[] = [];
  const made = client(row('2'), row('1', { status: 'done', is_here: false }));
  made.follow(change => heard.push(change));
  made.take({ v: 1, kind: 'live', budget, runs: [row('2', { spent_usd: '0.02', said: [['qa', 'hello']] })] });
  assert.deepEqual(made.runs.map(one => [one.run, one.spent, one.said.length]), [['2', 0.02, 1], ['1', 0.0031, 0]]);
  assert.equal(made.budget?.limit, 0.5);
  made.connect(false);
  assert.deepEqual(made.runs.map(one => one.run), ['1'], 'without a kernel nothing is under way');
  assert.deepEqual(heard, ['live', 'runs']);
});

test('messages of another version or kind are not taken, and nonsense does no harm', () => {
  const made = client(row('1'));
  for (const message of [null, 7, [], {}, { v: 2, kind: 'runs', runs: [] }, { v: 1, kind: 'format' }]) {
    made.take(message);
  }
  assert.equal(made.runs.length, 1);
  made.take({ v: 1, kind: 'runs', runs: [null, 'x', { run: {}, asked: 'no', said: [7] }], budget: 'none' });
  assert.equal(made.runs.length, 3);
  made.take({ v: 1, kind: 'runs', runs: Array.from({ length: 500 }, (_, i) => row(String(i))) });
  assert.equal(made.runs.length, 40);
});

test('the list says what can be done with each run, and does it', () => {
  const { wishes: made, heard } = wishes();
  const list = new RunList(made);
  const asked = [{ key: 'approve', question: 'Send?', shown: 'Dear', options: ['approve', 'edit', 'reject'] }];
  list.show(client(row('3', { status: 'waiting', asked }), row('2', { status: 'failed', is_here: false, what: 'qa: timed out' }), row('1', { status: 'done', is_here: false })));
  const acts = [...list.node.querySelectorAll('[data-run]')].map(one => [...one.querySelectorAll('button')].map(b => b.textContent));
  assert.deepEqual(acts, [['Approve', 'Reject', 'Trace', 'Stop'], ['Trace', 'Resume'], ['Trace']]);
  list.node.querySelectorAll('button').forEach(one => one.click());
  assert.deepEqual(heard, ['approve 3 approve', 'trace 3', 'stop 3', 'trace 2', 'resume 2', 'trace 1'], 'one answer to one question');
  assert.match(list.node.textContent ?? '', /1 run waits for a person/);
  assert.match(list.node.textContent ?? '', /qa: timed out/);
});

test('the buttons of a question are dead from the first click on, until the answer was not taken or another question is asked', async () => {
  const { wishes: made, heard } = wishes();
  const list = new RunList(made);
  const asked = (hash: string): object[] => [{ key: 'ok', question: 'Pay?', shown: '100', shown_hash: hash, options: ['approve', 'reject'] }];
  const buttons = (): HTMLButtonElement[] => [...list.node.querySelectorAll<HTMLButtonElement>('.orch-asked button')];
  const click = async (i: number): Promise<void> => {
    buttons()[i]?.click();
    await new Promise(done => setTimeout(done));
  };
  list.show(client(row('3', { status: 'waiting', asked: asked('one') })));
  await click(0);
  await click(0);
  await click(1);
  assert.deepEqual(heard, ['approve 3 ok']);
  assert.deepEqual(buttons().map(one => one.hasAttribute('disabled')), [true, true]);
  list.show(client(row('3', { status: 'waiting', asked: asked('stale') })));
  assert.deepEqual(buttons().map(one => one.hasAttribute('disabled')), [false, false]);
  await click(0);
  assert.deepEqual(buttons().map(one => one.hasAttribute('disabled')), [false, false]);
  assert.deepEqual(heard, ['approve 3 ok', 'approve 3 ok']);
});

test('what is being typed stays while figures change', () => {
  const list = new RunList(wishes().wishes);
  const asked = [{ key: 'ask', question: 'Why?', shown: '', options: ['answer'] }];
  const made = client(row('3', { status: 'waiting', asked }));
  list.show(made);
  const field = list.node.querySelector('input')!;
  field.value = 'because';
  made.take({ v: 1, kind: 'live', budget, runs: [row('3', { status: 'waiting', asked, seconds: 9.4 })] });
  list.show(made);
  assert.equal(list.node.querySelector('input'), field);
  assert.match(list.node.textContent ?? '', /9\.4 s/);
});

test('an empty list says what to do next', () => {
  const list = new RunList(wishes().wishes);
  list.show(null);
  assert.match(list.node.textContent ?? '', /No notebook is open/);
  list.show(new Client());
  assert.match(list.node.textContent ?? '', /%load_ext orch_nb/);
  list.show(client());
  assert.match(list.node.textContent ?? '', /%orch run GRAPH/);
});

test('markup in names stays text', () => {
  const list = new RunList(wishes().wishes);
  list.show(client(row('<img src=x>', { graph: '<script>x</script>', what: '<b>', said: [['<i>', '\u202e<u>']] })));
  assert.equal(list.node.querySelectorAll('img, script, i, u').length, 0);
  assert.match(list.node.textContent ?? '', /\\u202e<u>/);
});

test('marks and quotes are read within bounds', () => {
  assert.deepEqual(readMarks({ marks: [{ line: 3, column: 7, length: 4, message: 'm', hint: 'h', tone: 'warning' }, 'x', { line: -4, column: 'a' }] }), [
    { line: 2, column: 6, length: 4, message: 'm', hint: 'h', tone: 'warning' }, { line: 0, column: 0, length: 1, message: '', hint: '', tone: 'error' },
    { line: 0, column: 0, length: 1, message: '', hint: '', tone: 'error' }
  ]);
  assert.equal(readQuote({}), null);
  assert.equal(readQuote({ expected_usd: 'much' }), null);
  const quote = readQuote({ expected_usd: '0.031', low_usd: '0.02', high_usd: '0.05', basis: '6 earlier runs' })!;
  assert.equal(quoteView(quote).textContent, 'about $0.03');
  assert.equal(quoteView(quote).getAttribute('title'), '$0.02 to $0.05, from 6 earlier runs');
  assert.deepEqual([0, 0.00213, 1.5].map(brief), ['$0', '$0.0021', '$1.50']);
  assert.equal(markView([{ line: 0, column: 0, length: 1, message: 'no', hint: 'yes', tone: 'error' }]).textContent, 'noyes');
});

test('the status bar says spent, budget, and how many run or wait', () => {
  const made = client(row('1'), row('2', { asked: [{ key: 'a', options: [] }] }));
  assert.equal(moneyView(made.budget!, made.runs, () => undefined).textContent, '$0.0123 of $0.50▸ 1 running‖ 1 waiting');
  assert.equal(readRow({ status: 'done' }).here, false);
});

test('lines of ours are found anywhere in a cell', () => {
  assert.deepEqual(['%%agent a\nx', 'x = 1\n  r = %orch run g', '%orch', '# %orch run', '%orchestra', 'print(1)'].map(isOurs), [true, true, true, false, false, false]);
  assert.deepEqual(['%orch run g', 'a\nrun = %orch run g x=1', '%%agent a\n%orch run g', '%orch runs', ''].map(runLine), [0, 1, -1, -1, -1]);
});
