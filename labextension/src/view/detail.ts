/** What is told of one step, call or node: prompt with its reads, answer, cost, attempts, route, decisions. */

import { marked } from '../model/marks.js';
import type { GraphNode, Picture } from '../model/picture.js';
import type { Run } from '../model/run.js';
import { isCall, isStep, label, tokens, type Decision, type Route, type Span } from '../model/span.js';
import { stepOf } from '../model/trace.js';
import { integer, seconds, usd, word } from '../model/words.js';
import { button, el, quiet, type Child } from './dom.js';
import { stateMark } from './state.js';
import { code, facts, section, shareBar, table } from './table.js';

/** What a detail can ask for. */
export interface Asks {
  readonly span: (span: Span) => void;
  readonly inside: (path: string) => void;
  readonly close: () => void;
}

// ------------------------------------------------------------------ spans
/** Everything that is known of a span. */
export function spanDetail(run: Run, span: Span, asks: Asks): HTMLElement {
  const step = run.trace.stepAround(span);
  const calls = run.trace.calls(step);
  const call = isCall(span) ? span : calls.filter(one => one.detail.said.length > 0 || one.kind === 'model').at(-1);
  const { name, more } = label(span);
  return el('div', { class: 'orch-detail-in' },
    heading(name, more, span.state, asks),
    spanFacts(span, calls),
    errorView(span.detail.error || (call !== undefined && call.state !== 'success' ? call.detail.error : ''), span.detail.hint),
    promptView(span, call, step),
    answerView(span, call),
    span.detail.diff === '' ? null : section('changed by a person', diffView(span.detail.diff)),
    isStep(span) && calls.length > 1 ? callsView(calls, asks) : null,
    routeView(call?.detail.route ?? span.detail.route),
    decisionsView(span.detail.decisions),
    pairsView('writes', span.detail.writes),
    roundsView(run, step, span, asks),
    span.detail.leftOut ? el('p', { class: 'orch-note' }, `The rest of this span is in the full record: ${run.full}`) : null);
}

function heading(name: string, more: string, state: string, asks: Asks): HTMLElement {
  return el('div', { class: 'orch-detail-head' },
    el('h3', {}, name, more === '' ? null : quiet(` · ${more}`)), state === '' ? null : stateMark(state),
    button({ class: 'orch-tool', 'aria-label': 'close', title: 'close (Esc)' }, asks.close, '✕'));
}

function spanFacts(span: Span, calls: readonly Span[]): HTMLElement {
  const models = [...new Set((isCall(span) ? [span] : calls).map(call => call.model).filter(Boolean))];
  const retries = calls.filter(call => call.state === 'retried').length;
  return facts([
    ['model', models.join(', ')], ['agent', span.agent !== span.node && span.agent !== '' ? span.agent : ''],
    ['seconds', span.seconds === null ? '' : span.seconds.toFixed(2)], ['queued', span.queued >= 0.005 ? span.queued.toFixed(2) : ''],
    ['tokens', tokens(span) > 0 ? `${integer(span.inputTokens)} in, ${integer(span.outputTokens)} out` : ''],
    ['cached', span.cachedTokens > 0 ? integer(span.cachedTokens) : ''],
    ['cost', costText(span)], ['saved', span.saved > 0 ? usd(span.saved) : ''], ['retries', retries > 0 ? String(retries) : ''],
    ['starts at', span.start === null ? '' : seconds(span.start)], ['by', span.detail.by], ['from', span.detail.source],
    ['ended by', span.detail.finish === 'stop' ? '' : word(span.detail.finish)], ['price', span.detail.price]
  ]);
}

function costText(span: Span): string {
  if (span.state === 'in doubt') {
    return `in doubt, at most ${usd(span.reserved)}`;
  }
  return span.cost === null ? (span.kind === 'model' || tokens(span) > 0 ? 'price unknown' : '') : span.cost > 0 || tokens(span) > 0 ? usd(span.cost) : '';
}

function errorView(error: string, hint: string): HTMLElement | null {
  return error === '' ? null : el('div', { class: 'orch-error' }, el('div', {}, error), hint === '' ? null : el('div', { class: 'orch-quiet' }, hint));
}

function promptView(span: Span, call: Span | undefined, step: Span): HTMLElement | null {
  const said = call?.detail.said ?? [];
  if (said.length > 0) {
    const count = call !== undefined && call.inputTokens > 0 ? `prompt, ${integer(call.inputTokens)} tokens` : 'prompt';
    const many = said.length > 1;
    return section(count, ...said.map(one => el('div', {},
      many ? el('div', { class: 'orch-role' }, one.role) : null,
      code(...marked(one.text, step.detail.reads).map(piece => (piece.read === '' ? piece.text : el('mark', { title: piece.read }, piece.text)))))));
  }
  if (span.detail.reads.length > 0) {
    return pairsView('reads', span.detail.reads);
  }
  return span.detail.input === '' ? null : section('input', code(span.detail.input));
}

function answerView(span: Span, call: Span | undefined): HTMLElement | null {
  const said = isCall(span) ? span.detail.answer || span.detail.output : span.detail.answer || span.detail.output || (call?.detail.answer ?? '');
  return said === '' || said === span.detail.error ? null : section(isCall(span) || span.kind === 'agent' ? 'answer' : 'output', code(said));
}

function callsView(calls: readonly Span[], asks: Asks): HTMLElement {
  const rows = calls.map(call => {
    const { name, more } = label(call);
    return [
      button({ class: 'orch-link' }, () => asks.span(call), more === '' ? name : `${name}, ${more}`),
      stateMark(call.state), call.seconds === null ? '' : call.seconds.toFixed(2), tokens(call) > 0 ? integer(tokens(call)) : '',
      call.cost === null ? '?' : usd(call.cost)
    ];
  });
  return section('attempts and calls', table([{ head: 'call' }, { head: 'status' }, { head: 's', figure: true }, { head: 'tokens', figure: true }, { head: '$', figure: true }], rows));
}

function roundsView(run: Run, step: Span, shown: Span, asks: Asks): HTMLElement | null {
  const all = run.trace.of(stepOf(step));
  if (all.length < 2) {
    return null;
  }
  const mapped = all.some(one => one.item !== null);
  const first = Math.max(0, all.length - 40);
  const links: Child[] = all.slice(first).map(one => button(
    { class: `orch-chip${one.index === shown.index ? ' orch-chip-on' : ''}`, 'aria-current': one.index === shown.index ? 'true' : null }, () => asks.span(one),
    one.item !== null ? `item ${one.item}` : mapped ? 'all items' : `round ${one.round}`));
  return section(`${step.node}, ${integer(all.length)} times`, el('div', { class: 'orch-chips' }, first > 0 ? quiet(`… ${integer(first)} before`) : null, ...links));
}

function diffView(diff: string): HTMLElement {
  const tint = (row: string): string | null => (row.startsWith('+') ? 'orch-added' : row.startsWith('-') ? 'orch-removed' : null);
  return code(...diff.split('\n').slice(0, 400).map(row => el('span', { class: tint(row) }, `${row}\n`)));
}

function pairsView(title: string, pairs: readonly (readonly [string, string])[]): HTMLElement | null {
  return pairs.length === 0 ? null : section(title, ...pairs.map(([name, value]) => el('div', {}, el('div', { class: 'orch-role' }, name), code(value))));
}

// ------------------------------------------------------------------ choices
/** Which model was chosen, why, and what else there was. */
export function routeView(route: Route | null): HTMLElement | null {
  if (route === null) {
    return null;
  }
  const hasQuality = route.candidates.some(one => one.quality !== '');
  const columns = [{ head: 'offer' }, ...(hasQuality ? [{ head: 'quality', figure: true }] : []), { head: 'expected $', figure: true }, { head: '' }];
  const rows = route.candidates.map(one => [
    one.offer, ...(hasQuality ? [one.quality] : []), one.expected === null ? '?' : usd(one.expected).slice(1),
    one.offer === route.offer ? 'chosen' : one.refused || 'not chosen'
  ]);
  const strong = route.candidates.findIndex(one => one.offer === route.offer);
  return section(`route: ${route.offer}`, route.because === '' ? null : el('p', { class: 'orch-because' }, route.because), rows.length > 0 ? table(columns, rows, { strong }) : null);
}

/** What conditions and choices saw, and how they came out. */
export function decisionsView(decisions: readonly Decision[]): HTMLElement | null {
  if (decisions.length === 0) {
    return null;
  }
  return section('decisions', ...decisions.map(decisionView));
}

/** One decision: the question, what it saw, the outcome, the scores of all candidates. */
export function decisionView(decision: Decision): HTMLElement {
  const most = Math.max(0.0001, ...decision.scores.map(([, score]) => score));
  const best = decision.scores.findIndex(([, score]) => score === most);
  const rows = decision.scores.map(([name, score]) => [name, score.toFixed(2), shareBar(score / most)]);
  const [came = '', why = ''] = decision.outcome.split(', because ', 2);
  return el('div', { class: 'orch-decision' },
    el('div', {}, el('code', {}, decision.asked), ' ', el('b', {}, came), why === '' ? null : ` because ${why}`),
    decision.saw === '' || decision.saw === why ? null : el('div', { class: 'orch-quiet' }, `saw ${decision.saw}`),
    rows.length === 0 ? null : table([{ head: 'candidate' }, { head: 'score', figure: true }, { head: '' }], rows, { strong: best }));
}

// ------------------------------------------------------------------ nodes
/** A node that has no span: what it is, and when it would run. */
export function nodeDetail(picture: Picture, node: GraphNode, inside: string, asks: Asks): HTMLElement {
  const named = (name: string): string => (name === '' ? 'inputs' : name);
  const into = picture.edges.filter(edge => edge.target === node.id);
  const out = picture.edges.filter(edge => edge.source === node.id || edge.source === `by ${node.id}`);
  const rows = [...into, ...out].filter(edge => edge.target !== `by ${node.id}`).map(edge => [
    `${named(edge.source)} → ${edge.target}`, [edge.condition || edge.kind.replace('plain', ''), edge.atMost === null ? '' : `at most ${edge.atMost}`].filter(Boolean).join(', '),
    edge.taken === null ? '' : edge.taken === 0 ? 'not taken' : edge.taken === 1 ? 'taken' : `taken ${edge.taken} times`
  ]);
  return el('div', { class: 'orch-detail-in' },
    heading(node.name, node.kind, node.state, asks),
    node.describe === '' ? null : el('p', {}, node.describe),
    facts([
      ['runs only if', node.gate], ['effects', node.effects.join(', ')], ['small print', node.lines.map(([a]) => a).filter(Boolean).join('; ')],
      ['rounds', node.rounds > 1 ? String(node.rounds) : ''], ['items', node.items === null ? '' : `${integer(node.done)} of ${integer(node.items)}`],
      ['tokens', node.tokens > 0 ? integer(node.tokens) : ''], ['cost', node.cost === null ? 'price unknown' : node.cost > 0 ? usd(node.cost) : '']
    ]),
    inside === '' ? null : button({ class: 'orch-chip' }, () => asks.inside(inside), `look inside ${node.name}`),
    rows.length === 0 ? null : section('arrows', table([{ head: 'arrow' }, { head: 'condition' }, { head: '' }], rows)));
}
