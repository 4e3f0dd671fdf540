/** The rows of a trace. They come as a list of mappings, or as columns with texts said once: 10,000 rows in 1 MB. */

import { count, entries, fields, known, list, number, text, type Fields } from './validate.js';

export const MAX_SPANS = 20_000;
const MAX_SAID = 60;
const MAX_TEXTS = 200_000;
const MAX_DEPTH = 200;

export interface Said {
  readonly role: string;
  readonly text: string;
}

/** What is told of a span when somebody asks; not every span carries it. */
export interface SpanDetail {
  readonly input: string;
  readonly output: string;
  readonly error: string;
  readonly hint: string;
  readonly said: readonly Said[];
  readonly answer: string;
  readonly reads: readonly (readonly [string, string])[];
  readonly writes: readonly (readonly [string, string])[];
  readonly route: Route | null;
  readonly decisions: readonly Decision[];
  readonly diff: string;
  readonly by: string;
  readonly price: string;
  readonly finish: string;
  readonly source: string;
  readonly leftOut: boolean;
}

export interface Candidate {
  readonly offer: string;
  readonly model: string;
  readonly expected: number | null;
  readonly quality: string;
  readonly refused: string;
}

/** The choice of a model: which, why, and what else there was. */
export interface Route {
  readonly offer: string;
  readonly because: string;
  readonly candidates: readonly Candidate[];
}

/** What a condition, gate or choice saw, and how it came out. */
export interface Decision {
  readonly asked: string;
  readonly saw: string;
  readonly outcome: string;
  /** Where it led, if it led anywhere. */
  readonly target: string;
  readonly scores: readonly (readonly [string, number])[];
}

export interface Span {
  readonly index: number;
  readonly parent: number;
  readonly depth: number;
  readonly key: string;
  readonly node: string;
  readonly kind: string;
  readonly agent: string;
  readonly action: string;
  readonly target: string;
  readonly model: string;
  readonly round: number;
  readonly item: number | null;
  readonly call: number;
  readonly attempt: number;
  readonly state: string;
  readonly start: number | null;
  readonly seconds: number | null;
  readonly queued: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
  /** Dollars billed; null where the price is unknown. */
  readonly cost: number | null;
  readonly reserved: number | null;
  readonly saved: number;
  readonly critical: boolean;
  readonly detail: SpanDetail;
}

const CALLS: ReadonlySet<string> = new Set(['model', 'tool', 'effect']);

/** Whether a span is a call of a step: a model, a tool or an effect. */
export function isCall(span: Span): boolean {
  return CALLS.has(span.kind);
}

/** Whether a span is a step: no call, no failed attempt. */
export function isStep(span: Span): boolean {
  return !isCall(span) && span.kind !== 'attempt';
}

export function tokens(span: Span): number {
  return span.inputTokens + span.outputTokens;
}

/** What a span is called in a list: `billing` and `round 2`, `mid` and `attempt 2`, `tool lookup`. */
export function label(span: Span): { readonly name: string; readonly more: string } {
  if (isCall(span)) {
    const to = span.target || span.model || span.action;
    const name = span.kind === 'model' ? to : `${span.kind} ${to}`;
    return { name, more: span.attempt > 1 ? `attempt ${span.attempt}` : span.call > 1 ? `call ${span.call}` : '' };
  }
  if (span.kind === 'attempt') {
    return { name: span.action || 'attempt', more: '' };
  }
  const more = span.item !== null ? `item ${span.item}` : span.round > 1 ? `round ${span.round}` : '';
  return { name: span.node, more };
}

/** A text, or its place in `texts`. */
type Reader = (value: unknown, limit?: number) => string;

/** What spans are read from. */
export interface SpanSource {
  readonly spans: unknown;
  readonly details: unknown;
  readonly texts: unknown;
  /** Spans whose details were left out for want of room. */
  readonly leftOut: number;
}

export function readSpans(source: SpanSource): Span[] {
  const texts = list(source.texts, MAX_TEXTS);
  const read: Reader = (value, limit) => text(typeof value === 'number' ? texts[value] : value, limit);
  const isTable = !Array.isArray(source.spans);
  const rows = isTable ? fromColumns(fields(source.spans), texts) : list(source.spans, MAX_SPANS).map(fields);
  const told = fields(source.details);
  const above: number[] = [];
  return rows.map((row, index) => {
    const depth = Math.min(count(row['depth'], MAX_DEPTH), above.length);
    above.length = depth;
    const parent = above[depth - 1] ?? -1;
    above.push(index);
    const detail = Object.hasOwn(told, index) ? fields(told[String(index)]) : null;
    return readSpan(row, { index, parent, depth }, readDetail(detail ?? row, read, isTable && detail === null && source.leftOut > 0));
  });
}

/**
 * Columns become mappings. A column is a list, or one string with commas; one of `INTERNED` holds places of `names` (or of
 * `texts`); what is missing has its usual value. `keys` has one line a row, empty where the key is that of the row around.
 */
function fromColumns(table: Fields, texts: readonly unknown[]): Fields[] {
  const total = count(table['count'], MAX_SPANS);
  const names = typeof table['names'] === 'string' ? table['names'].split('\n') : texts;
  const rows: Record<string, unknown>[] = Array.from({ length: total }, () => ({}));
  for (const [name, column] of entries(table['columns'], 60)) {
    const interned = INTERNED.has(name);
    unpacked(column, total).forEach((value, i) => {
      const row = rows[i];
      if (row !== undefined && value !== null) {
        row[name] = interned && typeof value === 'number' ? names[value] : value;
      }
    });
  }
  if (typeof table['keys'] === 'string') {
    giveKeys(rows, table['keys'].split('\n', total));
  }
  return rows;
}

function unpacked(column: unknown, total: number): readonly unknown[] {
  return typeof column === 'string' ? column.split(',', total).map(value => (value === '' ? null : Number(value))) : list(column, total);
}

function giveKeys(rows: readonly Record<string, unknown>[], keys: readonly string[]): void {
  const above: string[] = [];
  rows.forEach((row, i) => {
    const depth = count(row['depth'], MAX_DEPTH);
    const key = keys[i] || above[Math.min(depth, above.length) - 1] || '';
    above.length = Math.min(depth, above.length);
    above.push(key);
    row['task_id'] = key;
  });
}

const INTERNED: ReadonlySet<string> = new Set(['task_id', 'step', 'kind', 'agent_id', 'action', 'target', 'model', 'state']);

function readSpan(row: Fields, place: Pick<Span, 'index' | 'parent' | 'depth'>, detail: SpanDetail): Span {
  const kind = text(row['kind'], 40);
  const milliseconds = known(row['latency_ms']);
  return {
    ...place, key: text(row['task_id'], 400), node: text(row['step'], 200), kind,
    agent: text(row['agent_id'], 200), action: text(row['action'], 400), target: text(row['target'], 200),
    model: text(row['model'], 200), round: count(row['round'] ?? 1), item: known(row['item']), call: count(row['call']),
    attempt: count(row['attempt'] ?? 1), state: text(row['state'], 40), start: known(row['start_s']),
    seconds: milliseconds === null ? ended(row) : Math.max(0, milliseconds) / 1000,
    queued: number(row['queued_ms'], 0, 0) / 1000, inputTokens: count(row['input_tokens']),
    outputTokens: count(row['output_tokens']), cachedTokens: count(row['cached_tokens']), cost: known(row['cost_usd']),
    reserved: known(row['reserved_usd']), saved: number(row['saved_usd'], 0, 0),
    critical: row['critical'] === true || row['critical'] === 1, detail
  };
}

/** A span that took no measurable time has no figure in a row; one that is under way has none either. */
function ended(row: Fields): number | null {
  return known(row['start_s']) !== null && text(row['exit_status'], 40) !== '' ? 0 : null;
}

function readDetail(row: Fields, read: Reader, leftOut: boolean): SpanDetail {
  const pairs = (value: unknown): (readonly [string, string])[] => entries(value).map(([name, one]) => [text(name, 200), read(one)] as const);
  return {
    input: read(row['input']), output: read(row['output_summary']), error: read(row['error']), hint: read(row['hint']),
    said: list(row['said'], MAX_SAID).map(one => {
      const [role, said] = list(one, 2);
      return { role: text(role, 40), text: read(said) };
    }),
    answer: read(row['answer']), reads: pairs(row['reads']), writes: pairs(row['writes']), route: readRoute(row['route']),
    decisions: list(row['decisions'], 60).map(readDecision), diff: read(row['diff']), by: text(row['by'], 200),
    price: text(row['price'], 400), finish: text(row['finish_reason'], 60), source: text(row['source'], 400), leftOut
  };
}

function readRoute(data: unknown): Route | null {
  const row = fields(data);
  if (text(row['offer'], 200) === '') {
    return null;
  }
  const candidates = list(row['candidates'], 100).map(item => {
    const one = fields(item);
    return {
      offer: text(one['offer'], 200), model: text(one['model'], 200), expected: known(one['expected_usd']),
      quality: text(one['quality'], 60), refused: text(one['refused'], 400)
    };
  });
  return { offer: text(row['offer'], 200), because: text(row['because'], 1000), candidates };
}

export function readDecision(data: unknown): Decision {
  const row = fields(data);
  return {
    asked: text(row['asked'], 2000), saw: text(row['saw'], 2000), outcome: text(row['outcome'], 400), target: text(row['target'], 200),
    scores: entries(row['scores'], 200).map(([name, value]) => [text(name, 200), number(value)] as const)
  };
}

