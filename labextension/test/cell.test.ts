import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StringStream } from '@codemirror/language';
import { cellKind, startState, token } from '../src/model/cell.js';

/** Each line as its pieces with their styles; spaces are left out. */
function styled(cell: string): [string, string | null][][] {
  const state = startState();
  return cell.split('\n').map(text => {
    const stream = new StringStream(text, 4, 2);
    const out: [string, string | null][] = [];
    while (!stream.eol()) {
      stream.start = stream.pos;
      const style = token(stream, state);
      assert.ok(stream.pos > stream.start, `no progress in ${JSON.stringify(text)} at ${stream.pos}`);
      if (stream.current().trim() !== '') {
        out.push([stream.current().trim(), style]);
      }
    }
    return out;
  });
}

test('a cell is ours by its first line alone', () => {
  assert.equal(cellKind('%%agent triage --model small'), 'agent');
  assert.equal(cellKind('%%graph'), 'graph');
  for (const other of ['%%agents x', ' %%agent x', '%agent x', 'x = 1', '%%time', '']) {
    assert.equal(cellKind(other), null);
  }
});

test('an agent cell: name, flags, front matter, reads, Markdown', () => {
  const [magic, fence, out, end, heading, prompt] = styled('%%agent triage --model small # quick\n---\nout: {score: float, note?: str}\n---\n# Task\nSay **it** for {{ ticket }} and \\{{ not }}');
  assert.deepEqual(magic, [['%%agent', 'keyword'], ['triage', 'variableName.definition'], ['--model', 'attributeName'], ['small', 'string'], ['# quick', 'comment']]);
  assert.deepEqual(fence, [['---', 'meta']]);
  assert.deepEqual(out?.slice(0, 5), [['out', 'propertyName'], [':', 'punctuation'], ['{', 'punctuation'], ['score', 'propertyName'], [':', 'punctuation']]);
  assert.deepEqual(out?.find(([word]) => word === 'float'), ['float', 'variableName.standard']);
  assert.deepEqual(end, [['---', 'meta']]);
  assert.deepEqual(heading, [['# Task', 'heading']]);
  assert.deepEqual(prompt?.filter(([, style]) => style !== null), [['**it**', 'strong'], ['{{ ticket }}', 'variableName.special'], ['\\{{', 'escape']]);
});

test('a prompt without front matter is no YAML, and a line --- in it is text', () => {
  const [, first, dashes] = styled('%%agent a\nout: of scope\n---');
  assert.deepEqual(first, [['out: of scope', null]]);
  assert.deepEqual(dashes, [['---', null]]);
});

test('a graph cell: arrows, conditions, kinds, texts', () => {
  const [, arrow, gate, out] = styled('%%graph support\nqa -> triage when qa.score < 0.6 at most 2 # again\napprove: human "Send?" when a.b in ["x"]\nout send');
  assert.deepEqual(arrow, [['qa', 'variableName'], ['->', 'controlOperator'], ['triage', 'variableName'], ['when', 'keyword'], ['qa.score', 'propertyName'], ['<', 'compareOperator'], ['0.6', 'number'], ['at most', 'keyword'], ['2', 'number'], ['# again', 'comment']]);
  assert.deepEqual(gate?.slice(2, 5), [['human', 'variableName.standard'], ['"Send?"', 'string'], ['when', 'keyword']]);
  assert.deepEqual(out, [['out', 'keyword'], ['send', 'variableName']]);
});

test('any text gets through, a token at a time', () => {
  for (const odd of ['%%agent', '%%agent \n---\n\'"{[|', '%%graph x\n\\ü→≤"', '%%agent a\n\n{{ {{ }} \\', '%%agent a\n---\n\n\u2028\t:']) {
    styled(odd);
  }
});
