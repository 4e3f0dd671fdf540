/** What a run cost, by step, by agent and by model. */

import { count, fields, known, list, number, text } from './validate.js';
import type { Span } from './span.js';

export interface BillLine {
  readonly name: string;
  readonly calls: number;
  readonly retries: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly cachedTokens: number;
  readonly spent: number;
  readonly unpriced: number;
  readonly held: number;
  readonly inDoubt: number;
  readonly overrun: number;
  readonly saved: number;
  readonly reused: number;
}

export interface Bill {
  readonly limit: number | null;
  readonly total: BillLine;
  readonly steps: readonly BillLine[];
  readonly agents: readonly BillLine[];
  readonly models: readonly BillLine[];
}

const MAX_LINES = 2000;

export function readBill(data: unknown): Bill {
  const row = fields(data);
  const lines = (name: string): BillLine[] => list(row[name], MAX_LINES).map(readLine);
  return {
    limit: known(row['limit_usd']), total: readLine(row['total']), steps: lines('steps'), agents: lines('agents'),
    models: lines('models')
  };
}

function readLine(data: unknown): BillLine {
  const row = fields(data);
  return {
    name: text(row['name'], 200), calls: count(row['calls']), retries: count(row['retries']),
    inputTokens: count(row['input_tokens']), outputTokens: count(row['output_tokens']),
    cachedTokens: count(row['cached_tokens']), spent: number(row['spent_usd']), unpriced: count(row['unpriced']),
    held: number(row['held_usd']), inDoubt: number(row['in_doubt_usd']), overrun: number(row['overrun_usd']),
    saved: number(row['saved_usd']), reused: count(row['reused'])
  };
}

/** What of a limit is gone: spent, held and in doubt together. */
export function committed(bill: Bill): number {
  return bill.total.spent + bill.total.held + bill.total.inDoubt;
}

/** Dollars spent by each instant: one point for each call that came back, in order of time. */
export function cumulative(spans: readonly Span[]): [number, number][] {
  const ends = spans
    .filter(span => (span.kind === 'model' || span.kind === 'tool') && span.start !== null && span.seconds !== null && (span.cost ?? 0) > 0)
    .map(span => [(span.start ?? 0) + (span.seconds ?? 0), span.cost ?? 0] as const)
    .sort((a, b) => a[0] - b[0]);
  let sum = 0;
  return ends.map(([at, cost]) => [at, (sum += cost)]);
}
