/** How the text of `%%agent` and `%%graph` cells is coloured, one line at a time. No host: a stream in, a style out. */

/** The part of CodeMirror's stream that is used. */
export interface Stream {
  readonly string: string;
  pos: number;
  sol(): boolean;
  eol(): boolean;
  skipToEnd(): void;
  eatSpace(): boolean;
  next(): string | void;
  match(pattern: RegExp): RegExpMatchArray | boolean | null;
}

export type CellKind = 'agent' | 'graph';

/** Which of ours a cell is, by its first line; null for any other cell. */
export function cellKind(first: string): CellKind | null {
  const found = /^%%(agent|graph)(?=\s|$)/.exec(first);
  return found === null ? null : (found[1] as CellKind);
}

/** Whether a cell is one of ours, or has a `%orch` line. */
export function isOurs(cell: string): boolean {
  return cellKind(cell.split('\n', 1)[0] ?? '') !== null || /^[ \t]*(?:[\w., ]+=[ \t]*)?%orch(?=\s|$)/m.test(cell);
}

/** The line, from 0, of the first `%orch run` or `%orch batch`; -1 where there is none. */
export function runLine(cell: string): number {
  return cell.includes('%orch') && cellKind(cell) === null ? cell.split('\n').findIndex(line => /^\s*(?:[\w., ]+=\s*)?%orch\s+(?:run|batch)\s/.test(line)) : -1;
}

/** What an inserted cell begins with. */
export const AGENT_CELL = '%%agent name --model small\n---\nout: {answer: str}\n---\nAnswer the question in one sentence.\n\nQuestion: {{ question }}';
export const GRAPH_CELL = '%%graph name\nfirst -> second\nsecond -> first   when second.score < 0.6   at most 2\nout second';

/** Where in a cell the stream is. */
export interface CellState {
  kind: CellKind;
  part: 'magic' | 'start' | 'front' | 'body';
  fence: boolean;
}

export function startState(): CellState {
  return { kind: 'agent', part: 'magic', fence: false };
}

/** Consume one token; the style's name, or null for plain text. */
export function token(stream: Stream, state: CellState): string | null {
  if (state.part === 'magic') {
    return magicLine(stream, state);
  }
  return state.kind === 'graph' ? graphToken(stream) : agentToken(stream, state);
}

function magicLine(stream: Stream, state: CellState): string | null {
  if (stream.sol()) {
    state.kind = cellKind(stream.string) ?? 'agent';
    stream.match(/^%%\w+/);
    return close(stream, state, 'keyword');
  }
  if (stream.eatSpace()) {
    return close(stream, state, null);
  }
  if (stream.match(/^--?[A-Za-z][\w-]*/)) {
    return close(stream, state, 'attributeName');
  }
  if (stream.match(/^#.*/)) {
    return close(stream, state, 'comment');
  }
  if (stream.match(/^\$?\d[\d.]*(?=\s|$)/)) {
    return close(stream, state, 'number');
  }
  const isName = /^%%\w+\s+$/.test(stream.string.slice(0, stream.pos));
  stream.match(/^\S+/);
  return close(stream, state, isName ? 'variableName.definition' : 'string');
}

function close(stream: Stream, state: CellState, style: string | null): string | null {
  if (stream.eol()) {
    state.part = 'start';
  }
  return style;
}

// ------------------------------------------------------------------ %%agent
function agentToken(stream: Stream, state: CellState): string | null {
  if (stream.sol() && state.part !== 'body' && stream.match(/^---[ \t]*$/)) {
    state.part = state.part === 'start' ? 'front' : 'body';
    return 'meta';
  }
  if (state.part === 'start' && stream.string.trim() !== '') {
    state.part = 'body';
  }
  return state.part === 'front' ? frontToken(stream) : promptToken(stream, state);
}

function frontToken(stream: Stream): string | null {
  if (stream.eatSpace()) {
    return null;
  }
  if (stream.match(/^#.*/)) {
    return 'comment';
  }
  if (stream.match(/^[A-Za-z_][\w-]*\??(?=\s*:)/)) {
    return 'propertyName';
  }
  if (stream.match(/^"(?:[^"\\]|\\.)*"?|^'[^']*'?/)) {
    return 'string';
  }
  if (stream.match(/^(?:str|int|float|bool|null|true|false)(?![\w-])/)) {
    return 'variableName.standard';
  }
  if (stream.match(/^-?\d+(?:\.\d+)?(?![\w.])/)) {
    return 'number';
  }
  if (stream.match(/^[{}[\],:|]/)) {
    return 'punctuation';
  }
  if (!stream.match(/^[^\s{}[\],:|#"']+/)) {
    stream.next();
  }
  return 'string';
}

function promptToken(stream: Stream, state: CellState): string | null {
  if (stream.sol() && stream.match(/^```.*/)) {
    state.fence = !state.fence;
    return 'meta';
  }
  if (stream.match(/^\\\{\{/)) {
    return 'escape';
  }
  if (stream.match(/^\{\{\s*[^\s{}]+\s*\}\}/)) {
    return 'variableName.special';
  }
  if (!state.fence && stream.sol()) {
    if (stream.match(/^#{1,6}\s.*/)) {
      return 'heading';
    }
    if (stream.match(/^\s*(?:[-*+]|\d+[.)])\s/)) {
      return 'list';
    }
    if (stream.match(/^>\s.*/)) {
      return 'quote';
    }
  }
  if (!state.fence && stream.match(/^\*\*[^*]+\*\*/)) {
    return 'strong';
  }
  if (!state.fence && stream.match(/^`[^`]+`/)) {
    return 'monospace';
  }
  if (!stream.match(/^[^\\{*`]+/)) {
    stream.next();
  }
  return null;
}

// ------------------------------------------------------------------ %%graph
const KEYWORDS = /^(?:by|when|else|at most|each|as|with|above|out|state|and|or|not|in|similarity|judge|fit)(?![\w.])/;
const KINDS = /^(?:agent|function|human|switch|graph|tool|barrier)(?![\w.])/;

function graphToken(stream: Stream): string | null {
  if (stream.eatSpace()) {
    return null;
  }
  if (stream.match(/^#.*/)) {
    return 'comment';
  }
  if (stream.match(/^(?:->|→)/)) {
    return 'controlOperator';
  }
  if (stream.match(/^"(?:[^"\\]|\\.)*"?|^'(?:[^'\\]|\\.)*'?/)) {
    return 'string';
  }
  const before = stream.string.slice(0, stream.pos);
  if (/:\s*$/.test(before) && stream.match(KINDS)) {
    return 'variableName.standard';
  }
  if (!/^\s*$/.test(before) || /^\s*(?:out|state)\s/.test(stream.string)) {
    if (stream.match(KEYWORDS)) {
      return 'keyword';
    }
  }
  if (stream.match(/^(?:true|false|null)(?![\w.])/)) {
    return 'atom';
  }
  if (stream.match(/^-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/)) {
    return 'number';
  }
  if (stream.match(/^[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*(?:\.[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)+\??/)) {
    return 'propertyName';
  }
  if (stream.match(/^[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*\??/)) {
    return 'variableName';
  }
  if (stream.match(/^(?:==|!=|<=|>=|[<>=])/)) {
    return 'compareOperator';
  }
  stream.next();
  return 'punctuation';
}
