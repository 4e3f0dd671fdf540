/** One row of a trace: name, place in time, figures. */

import { isStep, label, tokens, type Span } from '../model/span.js';
import { spoken, type Trace } from '../model/trace.js';
import { integer, tone, usd, word } from '../model/words.js';
import { el, quiet } from './dom.js';
import { stateGlyph } from './state.js';

export interface RowLook {
  readonly id: string;
  readonly position: number;
  readonly top: number;
  readonly fold: 'open' | 'folded' | 'none';
  readonly current: boolean;
  readonly selected: boolean;
  readonly places: number;
}

const INDENT = 14;
const MOST_INDENT = 10;

/** The row of a span. */
export function rowView(trace: Trace, span: Span, look: RowLook): HTMLElement {
  const classes = ['orch-row', isStep(span) ? '' : 'orch-call', span.state === 'skipped' ? 'orch-skipped' : '',
    look.selected ? 'orch-selected' : '', look.current ? 'orch-current' : ''];
  return el('div',
    {
      class: classes.filter(Boolean).join(' '), id: look.id, role: 'row', 'data-span': span.index, 'aria-rowindex': look.position + 2,
      'aria-level': span.depth + 1, 'aria-label': spoken(span), 'aria-selected': look.selected ? 'true' : 'false',
      'aria-expanded': look.fold === 'none' ? null : look.fold === 'open' ? 'true' : 'false', 'style-top': `${look.top}px`
    },
    nameCell(span, look.fold), el('div', { class: 'orch-cell orch-time', role: 'gridcell' }, ...barViews(trace, span)),
    figure(span.seconds === null || span.state === 'reused' ? '' : span.seconds.toFixed(2)), figure(tokens(span) > 0 ? integer(tokens(span)) : ''),
    figure(money(trace, span, look.places), 'orch-money'));
}

function nameCell(span: Span, fold: RowLook['fold']): HTMLElement {
  const { name, more } = label(span);
  const said = span.state === 'success' || span.state === '' ? '' : word(span.state);
  const led = [...new Set(span.detail.decisions.map(one => one.target).filter(Boolean))].map(target => `→ ${target}`).join(' ');
  return el('div', { class: 'orch-cell orch-step', role: 'gridcell', 'style-padding-left': `${INDENT * Math.min(span.depth, MOST_INDENT)}px` },
    el('span', { class: 'orch-twist', 'aria-hidden': 'true' }, fold === 'none' ? '' : fold === 'open' ? '▾' : '▸'),
    stateGlyph(span.state), el('span', { class: 'orch-label' }, name),
    more === '' ? null : quiet(more), said === '' ? null : el('span', { class: 'orch-quiet orch-said' }, said), led === '' ? null : el('span', { class: 'orch-quiet orch-led' }, led));
}

function figure(said: string, className = ''): HTMLElement {
  return el('div', { class: `orch-cell orch-figure ${className}`, role: 'gridcell' }, said);
}

function money(trace: Trace, span: Span, places: number): string {
  if (span.state === 'in doubt') {
    return `≤ ${usd(span.reserved, places).slice(1)}`;
  }
  const inner = trace.inner(span);
  if (inner !== null && inner > 0) {
    return `Σ ${usd(inner, places).slice(1)}`;
  }
  if (span.cost === null) {
    return span.kind === 'model' || tokens(span) > 0 ? '?' : '';
  }
  return span.cost > 0 || span.kind === 'model' || tokens(span) > 0 ? usd(span.cost, places).slice(1) : '';
}

function barViews(trace: Trace, span: Span): HTMLElement[] {
  const end = trace.end || 1;
  return trace.pieces(span).map(piece => {
    const width = Math.max(0, piece.to - piece.from) / end;
    return el('span', {
      class: `orch-piece orch-piece-${piece.kind}${span.critical && piece.kind !== 'queued' ? ' orch-critical' : ''}${bad(span) ? ` orch-piece-bad orch-tone-${tone(span.state)}` : ''}`,
      'style-left': `${round(100 * (piece.from / end))}%`, 'style-width': `max(${piece.kind === 'queued' ? 0 : 2}px, ${round(100 * width)}%)`
    });
  });
}

function bad(span: Span): boolean {
  return ['retried', 'exception', 'semantic_failure', 'in doubt', 'rejected', 'cancelled', 'interrupted'].includes(span.state);
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
