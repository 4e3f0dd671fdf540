/** What the kernel has told of a notebook's runs, budget and cells. It only listens; who looks at it is told of changes. */

import { count, fields, known, list, number, text, words, type Fields } from './validate.js';

export const TARGET = 'orch_nb';
const VERSION = 1;
const MOST_RUNS = 40;

/** A question for a person. */
export interface Asked {
  readonly key: string;
  readonly question: string;
  readonly shown: string;
  readonly options: readonly string[];
  /** Of the question as it is shown: an answer carries it, so that it answers nothing else. */
  readonly hash: string;
}

/** A run in a list; `said` is the end of each stream. */
export interface RunRow {
  readonly run: string;
  readonly graph: string;
  readonly status: string;
  readonly startedAt: number | null;
  readonly seconds: number | null;
  readonly spent: number | null;
  readonly what: string;
  readonly here: boolean;
  readonly batch: boolean;
  readonly asked: readonly Asked[];
  readonly said: readonly (readonly [string, string])[];
}

export interface Budget {
  readonly notebook: string;
  readonly limit: number | null;
  readonly spent: number;
  /** Held for calls under way, or in doubt. */
  readonly held: number;
}

/** What changed: the whole list (a cell or a run ended), or what runs under way say. */
export type Change = 'runs' | 'live';

export class Client {
  runs: readonly RunRow[] = [];
  budget: Budget | null = null;
  /** Why the list is not told; '' while it is. */
  trouble = '';
  connected = false;
  private readonly listeners = new Set<(change: Change) => void>();

  /** Take in a message; of another version, or of no kind that is known, nothing is taken. */
  take(data: unknown): void {
    const message = fields(data);
    const kind = message['kind'];
    if (message['v'] !== VERSION || (kind !== 'runs' && kind !== 'live' && kind !== 'trouble')) {
      return;
    }
    this.trouble = kind === 'trouble' ? text(message['error'], 400) : '';
    if (kind !== 'trouble') {
      const told = list(message['runs'], MOST_RUNS).map(readRow);
      this.runs = kind === 'runs' ? told : this.runs.map(row => told.find(one => one.run === row.run) ?? row);
      this.budget = readBudget(fields(message['budget']));
    }
    this.tell(kind === 'live' ? 'live' : 'runs');
  }

  /** The kernel is there, or gone. */
  connect(is: boolean): void {
    if (this.connected !== is) {
      this.connected = is;
      this.runs = is ? this.runs : this.runs.filter(row => !row.here);
      this.tell('runs');
    }
  }

  /** Be told of changes; what comes back ends it. */
  follow(listener: (change: Change) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private tell(change: Change): void {
    for (const listener of [...this.listeners]) {
      listener(change);
    }
  }
}

export function readRow(data: unknown): RunRow {
  const row = fields(data);
  return {
    run: text(row['run'], 80), graph: text(row['graph'], 100), status: text(row['status'], 40), startedAt: known(row['started_at']),
    seconds: known(row['seconds']), spent: known(row['spent_usd']), what: text(row['what'], 300), here: row['is_here'] === true,
    batch: row['is_batch'] === true, asked: list(row['asked'], 8).map(readAsked),
    said: list(row['said'], 9).map(pair => [text(list(pair, 2)[0], 100), text(list(pair, 2)[1], 400)] as const)
  };
}

function readAsked(data: unknown): Asked {
  const row = fields(data);
  return { key: text(row['key'], 200), question: text(row['question'], 400), shown: text(row['shown'], 800), options: words(row['options'], 8, 40), hash: text(row['shown_hash'], 80) };
}

function readBudget(row: Fields): Budget {
  return {
    notebook: text(row['notebook'], 100), limit: known(row['limit_usd']), spent: number(row['spent_usd'], 0, 0),
    held: number(row['held_usd'], 0, 0) + number(row['in_doubt_usd'], 0, 0)
  };
}

/** One thing that is wrong with a cell: places in its text, from 0. */
export interface Mark {
  readonly line: number;
  readonly column: number;
  readonly length: number;
  readonly message: string;
  readonly hint: string;
  readonly tone: 'error' | 'warning';
}

export function readMarks(data: unknown): Mark[] {
  return list(fields(data)['marks'], 40).map(one => {
    const row = fields(one);
    return {
      line: Math.max(0, count(row['line'], 1e6) - 1), column: Math.max(0, count(row['column'], 1e5) - 1), length: Math.max(1, count(row['length'], 1e4)),
      message: text(row['message'], 400), hint: text(row['hint'], 300), tone: row['tone'] === 'warning' ? 'warning' : 'error'
    };
  });
}

/** "about $0.03", with what it may be at most and what that rests on; null where nobody can tell. */
export interface Quote {
  readonly about: number;
  readonly low: number | null;
  readonly high: number | null;
  readonly basis: string;
}

export function readQuote(data: unknown): Quote | null {
  const row = fields(data);
  const about = known(row['expected_usd']);
  return about === null ? null : { about, low: known(row['low_usd']), high: known(row['high_usd']), basis: text(row['basis'], 120) };
}
