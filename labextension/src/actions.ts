/** What can be done with a run. Where the kernel must do something that belongs in the notebook, a cell says it. */

import { NotebookActions, type NotebookPanel } from '@jupyterlab/notebook';
import { Notification } from '@jupyterlab/apputils';
import type { Link } from './comm.js';
import type { Asked, RunRow } from './model/client.js';
import { text, type Fields } from './model/validate.js';
import { openOutput } from './outputs.js';

/** A cell with this text below the active one. */
export function insertCell(panel: NotebookPanel, source: string, edit: boolean): void {
  NotebookActions.insertBelow(panel.content);
  const cell = panel.content.activeCell;
  if (cell !== null) {
    cell.model.sharedModel.setSource(source);
    panel.content.mode = edit ? 'edit' : 'command';
    void panel.content.scrollToCell(cell, 'smart');
  }
}

function runInCell(link: Link, line: string): void {
  insertCell(link.panel, line, false);
  void NotebookActions.run(link.panel.content, link.panel.sessionContext);
}

export function openTrace(link: Link, run: string): void {
  if (!openOutput(link.panel, run)) {
    runInCell(link, `%orch trace ${run}`);
  }
}

export function resume(link: Link, run: string): void {
  runInCell(link, `%orch resume ${run}`);
}

/** Stop by word; where nobody hears it, by the kernel's interrupt. */
export async function stop(link: Link, run: string): Promise<void> {
  if ((await tell(link, 'stop', { run })) === null) {
    await link.panel.sessionContext.session?.kernel?.interrupt();
  }
}

/** Whether the answer was taken. */
export async function answer(link: Link, row: RunRow, asked: Asked, action: string, value: string): Promise<boolean> {
  const told = await tell(link, 'answer', { run: row.run, node: asked.key, shown_hash: asked.hash, action, value });
  return told !== null && told['ok'] === true;
}

/** What is refused is said where people look. */
async function tell(link: Link, name: string, more: Record<string, string>): Promise<Fields | null> {
  const told = await link.ask(name, more);
  if (told !== null && told['ok'] !== true) {
    Notification.error(`${text(told['error'], 300)} ${text(told['hint'], 200)}`.trim(), { autoClose: 8000 });
  }
  return told;
}
