/** Two runs side by side: aligned by step and round, with what differs in what they said. */

import { count, fields, known, list, number, text } from './validate.js';

export interface Side {
  readonly run: string;
  readonly graph: string;
  readonly status: string;
  readonly wall: number;
  readonly usd: number | null;
  readonly tokens: number;
}

export interface Half {
  readonly state: string;
  readonly model: string;
  readonly seconds: number | null;
  readonly tokens: number;
  readonly usd: number | null;
}

/** A step of one run or both; `diff` is told where their outputs differ: ` `, `-` or `+`, and a line. */
export interface Pair {
  readonly step: string;
  readonly round: number;
  readonly what: string;
  readonly a: Half | null;
  readonly b: Half | null;
  readonly diff: readonly (readonly [string, string])[];
}

export interface Comparison {
  readonly kind: 'compare';
  readonly a: Side;
  readonly b: Side;
  readonly rows: readonly Pair[];
  readonly same: boolean;
  readonly leftOut: number;
}

export function readComparison(data: unknown): Comparison {
  const row = fields(data);
  return {
    kind: 'compare', a: readSide(row['a']), b: readSide(row['b']), rows: list(row['rows'], 2000).map(readPair),
    same: row['same_output'] === true, leftOut: count(row['rows_left_out'])
  };
}

function readSide(data: unknown): Side {
  const row = fields(data);
  return { run: text(row['run'], 80), graph: text(row['graph'], 200), status: text(row['status'], 40), wall: number(row['wall_s'], 0, 0), usd: known(row['usd']), tokens: count(row['tokens']) };
}

function readHalf(data: unknown): Half | null {
  const row = fields(data);
  return typeof data !== 'object' || data === null ? null
    : { state: text(row['state'], 40), model: text(row['model'], 200), seconds: known(row['seconds']), tokens: count(row['tokens']), usd: known(row['usd']) };
}

function readPair(data: unknown): Pair {
  const row = fields(data);
  return {
    step: text(row['step'] ?? row['key'], 400), round: count(row['round'] ?? 1), what: text(row['what'], 20), a: readHalf(row['a']), b: readHalf(row['b']),
    diff: list(row['diff'], 400).map(one => [text(list(one, 2)[0], 1), text(list(one, 2)[1], 2000)] as const)
  };
}
