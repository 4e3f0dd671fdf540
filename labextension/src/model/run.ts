/** What a MIME bundle says: a graph, a run, or something that is not understood. */

import { readBill, type Bill } from './bill.js';
import { readComparison, type Comparison } from './compare.js';
import { readPicture, type Picture } from './picture.js';
import { count, fields, known, list, number, text, words, type Fields } from './validate.js';
import { readDecision, readSpans, type Decision, type Span } from './span.js';
import { Trace } from './trace.js';

export const VERSION = 1;
export const GRAPH = 'application/vnd.orch.graph+json';
export const TRACE = 'application/vnd.orch.trace+json';

const MAX_PICTURES = 200;

export interface StateRow {
  readonly name: string;
  readonly reducer: string;
  readonly value: string;
  readonly writers: readonly string[];
  readonly readers: readonly string[];
}

export interface Waiting {
  readonly key: string;
  readonly question: string;
  readonly shown: string;
  readonly options: readonly string[];
}

export interface Failure {
  readonly node: string;
  readonly type: string;
  readonly message: string;
  readonly hint: string;
}

/** A decision with the step after which it was taken, and its round. */
export interface TakenDecision extends Decision {
  readonly after: string;
  readonly round: number;
}

/** What a step changed in the graph's state. */
export interface StateChange {
  readonly after: string;
  readonly at: number | null;
  readonly field: string;
  readonly before: string;
  readonly now: string;
}

/** Something that went from one participant to another. */
export interface Message {
  readonly from: string;
  readonly to: string;
  readonly at: number | null;
  readonly text: string;
  readonly kind: string;
}

/** The chain of steps that decided how long the run took. */
export interface Critical {
  readonly total: number;
  readonly model: number;
  readonly queued: number;
  readonly steps: readonly (readonly [string, number])[];
}

export interface Run {
  readonly kind: 'run';
  readonly run: string;
  readonly graph: string;
  readonly status: string;
  readonly startedAt: number | null;
  readonly wall: number;
  readonly resumed: number;
  readonly asOf: string;
  readonly pictures: readonly Picture[];
  readonly spans: readonly Span[];
  readonly trace: Trace;
  readonly spansLeftOut: number;
  readonly detailsLeftOut: number;
  readonly bill: Bill;
  readonly state: readonly StateRow[];
  readonly decisions: readonly TakenDecision[];
  readonly waiting: readonly Waiting[];
  readonly error: Failure | null;
  readonly inputs: readonly (readonly [string, string])[];
  readonly output: string;
  readonly changes: readonly StateChange[];
  readonly messages: readonly Message[];
  readonly critical: Critical | null;
  /** The line that shows everything. */
  readonly full: string;
}

export interface Graph {
  readonly kind: 'graph';
  readonly pictures: readonly Picture[];
  readonly cell: string;
}

export interface Refusal {
  readonly kind: 'refused';
  readonly reason: string;
}

/** Read a bundle's data. Whatever it is, an answer comes: data of another version or shape is a `Refusal`. */
export function readBundle(mime: string, data: unknown): Run | Graph | Comparison | Refusal {
  const row = fields(data);
  const version = row['v'];
  if (version !== VERSION) {
    return { kind: 'refused', reason: refusal(version) };
  }
  if (mime === GRAPH) {
    return { kind: 'graph', pictures: readPictures(row), cell: text(row['cell']) };
  }
  if (mime === TRACE && row['kind'] === 'compare') {
    return readComparison(row);
  }
  return mime === TRACE && Object.keys(row).length > 1
    ? readRun(row)
    : { kind: 'refused', reason: 'This output holds no run that can be shown.' };
}

function refusal(version: unknown): string {
  const said = typeof version === 'number' ? `version ${version}` : 'no version that is known';
  return `This output was written in ${said} of its format; this extension reads version ${VERSION}. Update orch_nb to see it, or read the text that was saved beside it.`;
}

function readPictures(row: Fields): Picture[] {
  return list(row['pictures'], MAX_PICTURES).map(readPicture);
}

function readRun(row: Fields): Run {
  const spans = readSpans({ spans: row['spans'], details: row['details'], texts: row['texts'], leftOut: count(row['details_left_out']) });
  const pictures = readPictures(row);
  const wall = number(row['wall_s'], 0, 0);
  return {
    kind: 'run', run: text(row['run'], 80), graph: text(row['graph'], 200), status: text(row['status'], 40),
    startedAt: known(row['started_at']), wall, resumed: count(row['resumed']), asOf: text(row['as_of'], 60),
    pictures, spans, trace: new Trace(spans, wall), spansLeftOut: count(row['spans_left_out']),
    detailsLeftOut: count(row['details_left_out']), bill: readBill(row['bill']), state: list(row['state'], 500).map(readState),
    decisions: Array.isArray(row['decisions']) ? list(row['decisions'], 2000).map(readTaken) : fromArrows(pictures), waiting: list(row['waiting'], 100).map(readWaiting),
    error: readFailure(row['error']),
    inputs: Object.entries(fields(row['inputs'])).slice(0, 60).map(([name, value]) => [text(name, 200), text(value)] as const),
    output: text(row['output']), changes: list(row['states'], 2000).flatMap(readChanges).slice(0, 2000),
    messages: list(row['messages'], 1000).map(readMessage), critical: readCritical(row['critical']),
    full: text(row['full'], 200).replaceAll('`', '') || `%orch trace ${text(row['run'], 80)}`
  };
}

function readChanges(data: unknown): StateChange[] {
  const row = fields(data);
  return list(row['changes'], 200).map(fields).map(one => ({
    after: text(row['after'], 400), at: known(row['at_s']), field: text(one['field'], 200), before: text(one['before'], 2100), now: text(one['after'], 2100)
  }));
}

function readMessage(data: unknown): Message {
  const row = fields(data);
  return { from: text(row['from'], 80), to: text(row['to'], 80), at: known(row['at_s']), text: text(row['text'], 400), kind: text(row['kind'], 20) };
}

function readCritical(data: unknown): Critical | null {
  const row = fields(data);
  const steps = list(row['by_step'], 20).map(fields).map(one => [text(one['name'], 200), number(one['seconds'], 0, 0)] as const);
  return steps.length === 0 ? null : { total: number(row['total_s'], 0, 0), model: number(row['model_s'], 0, 0), queued: number(row['queued_s'], 0, 0), steps };
}

function readState(data: unknown): StateRow {
  const row = fields(data);
  return {
    name: text(row['name'], 200), reducer: text(row['reducer'], 60), value: text(row['value']),
    writers: words(row['writers']), readers: words(row['readers'])
  };
}

function readTaken(data: unknown): TakenDecision {
  const row = fields(data);
  return { after: text(row['after'], 400), round: count(row['round'] ?? 1), ...readDecision(data) };
}

/** Where no decisions were told, what the arrows say of them. */
function fromArrows(pictures: readonly Picture[]): TakenDecision[] {
  return pictures.flatMap(picture => picture.edges.flatMap(edge => edge.outcomes.map((said, i) => {
    const [saw = '', outcome = ''] = said.split(' → ');
    const after = picture.path === '' ? edge.source : `${picture.path}/${edge.source}`;
    return { after, round: i + 1, asked: `${edge.condition} (→ ${edge.target})`, saw, outcome, target: outcome.startsWith('yes') ? edge.target : '', scores: [] };
  })));
}

function readWaiting(data: unknown): Waiting {
  const row = fields(data);
  return {
    key: text(row['key'], 400), question: text(row['question']), shown: text(row['shown']), options: words(row['options'], 20)
  };
}

function readFailure(data: unknown): Failure | null {
  const row = fields(data);
  const type = text(row['type'], 200);
  return type === '' ? null : { node: text(row['node'], 400), type, message: text(row['message']), hint: text(row['hint']) };
}
