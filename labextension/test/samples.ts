/** Bundles as Python writes them, small enough to be read. */

type Data = Record<string, unknown>;

export const node = (name: string, more: Data = {}): Data => ({ name, kind: 'agent', lines: [['small', '$0.0010']], x: 0, y: 0, width: 90, height: 46, ...more });

/** triage → billing → qa, qa → triage as a loop; beside it sales, which was skipped. */
export function picture(): Data {
  return {
    name: 'support', path: '', width: 500, height: 200, inputs: ['ticket'], out: ['qa'],
    nodes: [
      node('triage', { x: 100, y: 60, state: 'success', done: 2, tokens: 100, cost_usd: '0.001', seconds: 0.5 }),
      node('billing', { x: 250, y: 20, state: 'success', done: 1, tokens: 300, cost_usd: '0.003', seconds: 1.5 }),
      node('sales', { x: 250, y: 100, state: 'skipped' }),
      node('qa', { x: 400, y: 60, kind: 'human', state: 'waiting', gate: 'triage.confidence < 0.8', out: true }),
      { kind: 'choice', name: 'triage', label: 'triage.category', choice: 'billing', x: 200, y: 60, width: 40, height: 30 },
      { kind: 'input', name: '', label: 'ticket', x: 10, y: 60, width: 50, height: 28 }
    ],
    edges: [
      { source: '', target: 'triage', points: [[60, 80], [100, 80]], label_at: [0, 0] },
      { source: 'by triage', target: 'billing', kind: 'by', taken: 2, points: [[240, 80], [250, 40]], label_at: [0, 0] },
      { source: 'by triage', target: 'sales', kind: 'by', taken: 0, points: [[240, 80], [250, 120]], label_at: [0, 0] },
      { source: 'qa', target: 'triage', kind: 'when', condition: 'qa.score < 0.6', at_most: 2, taken: 1, style: 'lane', label: ['qa.score < 0.6', '1 of at most 2'], label_at: [200, 5], points: [[400, 60], [400, 10], [140, 10], [140, 60]], outcomes: ['0.52 → yes'] }
    ]
  };
}

/** The same rows twice: as mappings, and as columns with texts. */
export const rows: Data[] = [
  { depth: 0, task_id: 'triage', step: 'triage', kind: 'agent', agent_id: 'triage', state: 'success', start_s: 0, latency_ms: 500, input_tokens: 80, output_tokens: 20, cost_usd: '0.001' },
  { depth: 1, task_id: 'triage', step: 'triage', kind: 'model', agent_id: 'triage', target: 'small', model: 'small', state: 'success', call: 1, start_s: 0, latency_ms: 500, input_tokens: 80, output_tokens: 20, cost_usd: '0.001' },
  { depth: 0, task_id: 'map', step: 'map', kind: 'agent', agent_id: 'worker', state: 'success', start_s: 0.5, latency_ms: 2000, cost_usd: '0' },
  { depth: 1, task_id: 'map[1][0]', step: 'map', kind: 'agent', agent_id: 'worker', item: 0, state: 'success', start_s: 0.5, latency_ms: 1000, queued_ms: 200, cost_usd: '0.002' },
  { depth: 2, task_id: 'map[1][0]', step: 'map', kind: 'model', agent_id: 'worker', target: 'mid', model: 'mid', state: 'retried', call: 1, start_s: 0.5, latency_ms: 300, cost_usd: '0' },
  { depth: 2, task_id: 'map[1][0]', step: 'map', kind: 'model', agent_id: 'worker', target: 'mid', model: 'mid', state: 'success', call: 2, attempt: 2, start_s: 0.9, latency_ms: 600, cost_usd: '0.002' },
  { depth: 0, task_id: 'sales', step: 'sales', kind: 'agent', agent_id: 'sales', state: 'skipped' }
];

export function columns(): { spans: Data; texts: string[] } {
  const texts: string[] = [];
  const place = (value: string): number => (texts.includes(value) ? texts.indexOf(value) : texts.push(value) - 1);
  const words = ['task_id', 'step', 'kind', 'agent_id', 'target', 'model', 'state'];
  const made: Record<string, unknown[]> = {};
  for (const name of words) {
    made[name] = rows.map(row => place(String(row[name] ?? '')));
  }
  for (const [name, usual] of [['depth', 0], ['item', null], ['call', 0], ['attempt', 1], ['start_s', null], ['latency_ms', null], ['queued_ms', 0], ['input_tokens', 0], ['output_tokens', 0], ['cost_usd', null]] as const) {
    made[name] = rows.map(row => row[name] ?? usual);
  }
  return { spans: { count: rows.length, columns: made }, texts };
}

export function run(more: Data = {}): Data {
  return {
    v: 1, kind: 'run', run: '7', graph: 'support', status: 'done', wall_s: 2.5, pictures: [picture()], spans: rows,
    bill: {
      limit_usd: '0.05', total: { name: 'run', calls: 3, input_tokens: 80, output_tokens: 20, spent_usd: '0.003', saved_usd: '0.031', reused: 1 },
      steps: [{ name: 'triage', calls: 1, spent_usd: '0.001' }, { name: 'map', calls: 2, spent_usd: '0.002' }],
      agents: [{ name: 'triage', calls: 1, spent_usd: '0.001' }, { name: 'worker', calls: 2, spent_usd: '0.002' }],
      models: [{ name: 'small', calls: 1, spent_usd: '0.001' }, { name: 'mid', calls: 2, spent_usd: '0.002' }]
    },
    details: {
      0: { answer: '{"category": "billing"}', reads: { ticket: 'My payment failed' }, decisions: [{ asked: 'by triage.category', saw: 'billing', outcome: '→ billing', target: 'billing', scores: { billing: 0.8, sales: 0.2 } }] },
      1: { said: [['user', 'Classify: My payment failed']], answer: '{"category": "billing"}', route: { offer: 'small', because: 'it is named', candidates: [{ offer: 'small', expected_usd: '0.001', refused: '' }, { offer: 'big', expected_usd: '0.03', refused: 'too dear' }] } }
    },
    ...more
  };
}
