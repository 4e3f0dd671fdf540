/** The outputs of a notebook that show a run: found by its number, told what it says, brought into sight. */

import type { NotebookPanel } from '@jupyterlab/notebook';
import type { RunRow } from './model/client.js';

export const LIVE = 'orch-live';
export const OPEN = 'orch-open';

function outputs(panel: NotebookPanel, run: string): HTMLElement[] {
  return [...panel.node.querySelectorAll<HTMLElement>('.orch-output')].filter(one => one.dataset['run'] === run);
}

/** What a run says between two drawings of it. */
export function tellOutputs(panel: NotebookPanel, rows: readonly RunRow[]): void {
  for (const row of rows.filter(one => one.here)) {
    outputs(panel, row.run).forEach(one => one.dispatchEvent(new CustomEvent(LIVE, { detail: row })));
  }
}

/** The newest output of a run, its trace opened; whether there is one. */
export function openOutput(panel: NotebookPanel, run: string): boolean {
  const found = outputs(panel, run).at(-1);
  found?.dispatchEvent(new CustomEvent(OPEN));
  found?.scrollIntoView({ block: 'nearest' });
  return found !== undefined;
}
