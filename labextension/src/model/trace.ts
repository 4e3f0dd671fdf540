/** A trace as a tree that can be folded and filtered. */

import { isCall, isStep, label, type Span } from './span.js';

/** What the rows are filtered by; "" means everything. */
export interface Filter {
  readonly text: string;
  readonly agent: string;
  readonly state: string;
}

export const EVERYTHING: Filter = { text: '', agent: '', state: '' };

/** A piece of a row's bar, in seconds of the run. `work` is what its own calls took, `own` the rest of its time. */
export interface Piece {
  readonly kind: 'queued' | 'own' | 'work';
  readonly from: number;
  readonly to: number;
}

export class Trace {
  readonly children: readonly (readonly number[])[];
  readonly end: number;
  private readonly sums: readonly (number | null)[];
  private readonly haystack: string[] = [];

  constructor(readonly spans: readonly Span[], wall: number) {
    const children: number[][] = spans.map(() => []);
    let end = wall;
    for (const span of spans) {
      children[span.parent]?.push(span.index);
      end = Math.max(end, (span.start ?? 0) + (span.seconds ?? 0));
    }
    this.children = children;
    this.end = end;
    this.sums = innerCosts(spans);
  }

  /** Dollars of the steps inside of a span; 0 where there are none, null where one of them is unknown. */
  inner(span: Span): number | null {
    return this.sums[span.index] ?? null;
  }

  /** Steps that say all that their only call would say begin folded. */
  folded(): Set<number> {
    const folded = new Set<number>();
    for (const span of this.spans) {
      const inner = this.children[span.index] ?? [];
      const only = inner.length === 1 ? this.spans[inner[0] ?? -1] : undefined;
      if (only !== undefined && isCall(only) && only.state === 'success') {
        folded.add(span.index);
      }
    }
    return folded;
  }

  /** Rows to show, in order. Steps that were not reached have no row of their own; a filter finds them. A filter shows what matches and the steps around it, folded or not. O(spans). */
  rows(folded: ReadonlySet<number>, filter: Filter = EVERYTHING): number[] {
    const wanted = isEverything(filter) ? null : this.matching(filter);
    const out: number[] = [];
    let hiddenBelow = Infinity;
    for (const span of this.spans) {
      if (span.depth <= hiddenBelow) {
        hiddenBelow = Infinity;
      }
      if (wanted === null ? hiddenBelow === Infinity && !isUnreached(span) : wanted.has(span.index)) {
        out.push(span.index);
      }
      if (hiddenBelow === Infinity && folded.has(span.index)) {
        hiddenBelow = span.depth;
      }
    }
    return out;
  }

  private matching(filter: Filter): Set<number> {
    const wanted = new Set<number>();
    const sought = filter.text.toLowerCase().split(/\s+/).filter(Boolean);
    for (const span of this.spans) {
      if (this.matches(span, filter, sought)) {
        for (let i = span.index; i >= 0 && !wanted.has(i); i = this.spans[i]?.parent ?? -1) {
          wanted.add(i);
        }
      }
    }
    return wanted;
  }

  private matches(span: Span, filter: Filter, sought: readonly string[]): boolean {
    if ((filter.agent && span.agent !== filter.agent) || (filter.state && span.state !== filter.state)) {
      return false;
    }
    return sought.length === 0 || sought.every(part => this.textOf(span).includes(part));
  }

  private textOf(span: Span): string {
    const found = this.haystack[span.index];
    if (found !== undefined) {
      return found;
    }
    const told = span.detail;
    const said = told.said.map(one => one.text);
    const parts = [span.key, span.agent, span.model, span.action, span.state, told.input, told.output, told.error, told.answer];
    const made = [...parts, ...said].join('\n').toLowerCase();
    this.haystack[span.index] = made;
    return made;
  }

  /** Names of the steps that were not reached. */
  unreached(): string[] {
    return [...new Set(this.spans.filter(isUnreached).map(stepOf))];
  }

  /** Agents and states that occur, in order of first occurrence. */
  facets(): { readonly agents: string[]; readonly states: string[] } {
    const agents = new Set<string>();
    const states = new Set<string>();
    for (const span of this.spans) {
      agents.add(span.agent);
      states.add(span.state);
    }
    agents.delete('');
    states.delete('');
    return { agents: [...agents], states: [...states] };
  }

  /** The pieces of a row's bar. */
  pieces(span: Span): Piece[] {
    if (span.start === null || span.state === 'due') {
      return [];
    }
    const to = span.start + (span.seconds ?? Math.max(0, this.end - span.start));
    const queued: Piece[] = span.queued >= 0.001 ? [{ kind: 'queued', from: Math.max(0, span.start - span.queued), to: span.start }] : [];
    if (isCall(span)) {
      return [...queued, { kind: 'work', from: span.start, to }];
    }
    const work: Piece[] = [];
    for (const index of this.children[span.index] ?? []) {
      const call = this.spans[index];
      if (call !== undefined && isCall(call) && call.start !== null) {
        work.push({ kind: 'work', from: call.start, to: Math.min(to, call.start + (call.seconds ?? Math.max(0, to - call.start))) });
      }
    }
    return [...queued, { kind: 'own', from: span.start, to }, ...work];
  }

  /** A step's spans: its rounds and items, in order. */
  of(step: string): Span[] {
    return this.spans.filter(span => isStep(span) && stepOf(span) === step && (span.start !== null || span.state !== 'skipped'));
  }

  /** The span that shows most of a step: its latest one that has begun. */
  latest(step: string): Span | null {
    const all = this.of(step);
    return all[all.length - 1] ?? null;
  }

  /** The calls of a step's activation. */
  calls(span: Span): Span[] {
    return (this.children[span.index] ?? []).flatMap(index => {
      const child = this.spans[index];
      return child !== undefined && !isStep(child) ? [child] : [];
    });
  }

  /** The step that a span belongs to: itself, or the one that made the call. */
  stepAround(span: Span): Span {
    return isStep(span) ? span : (this.spans[span.parent] ?? span);
  }
}

/** For each span, what the steps inside of it cost. Children come after their parents. */
function innerCosts(spans: readonly Span[]): (number | null)[] {
  const sums: (number | null)[] = spans.map(() => 0);
  for (let i = spans.length - 1; i >= 0; i--) {
    const span = spans[i];
    if (span === undefined || !isStep(span) || span.parent < 0) {
      continue;
    }
    const [own, above] = [sums[i] ?? null, sums[span.parent] ?? null];
    sums[span.parent] = own === null || above === null || span.cost === null ? null : above + own + span.cost;
  }
  return sums;
}

function isUnreached(span: Span): boolean {
  return span.state === 'skipped' && span.start === null;
}

export function isEverything(filter: Filter): boolean {
  return filter.text.trim() === '' && filter.agent === '' && filter.state === '';
}

/** `outer/inner` of a key `outer[2]/inner[1][7]`: the place in the graphs, whatever the round and the item. */
export function stepOf(span: Span): string {
  const inside = span.key.split('/').map(part => part.split('[', 1)[0] ?? '');
  return inside.length > 0 && inside[inside.length - 1] !== '' ? inside.join('/') : span.node;
}

/** A span in one line, for screen readers. */
export function spoken(span: Span): string {
  const { name, more } = label(span);
  return [name, more, span.state.replaceAll('_', ' ')].filter(Boolean).join(', ');
}
