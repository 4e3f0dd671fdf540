/** The palette's entries. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { insertCell, openTrace, stop } from './actions.js';
import { ILinks, type Link, type Links } from './comm.js';
import { AGENT_CELL, GRAPH_CELL } from './model/cell.js';
import { RUNS } from './runs.js';

const CATEGORY = 'Orchestration';

interface Entry {
  readonly id: string;
  readonly label: string;
  /** Whether it makes sense now. */
  readonly may: (link: Link) => boolean;
  readonly act: (link: Link) => void;
}

function entries(app: JupyterFrontEnd): Entry[] {
  const always = (): boolean => true;
  const here = (link: Link): string[] => link.client.runs.filter(row => row.here).map(row => row.run);
  return [
    { id: 'run-cell', label: 'Run Cell', may: always, act: () => void app.commands.execute('notebook:run-cell') },
    { id: 'stop-run', label: 'Stop Runs of This Notebook', may: link => here(link).length > 0, act: link => here(link).forEach(run => void stop(link, run)) },
    { id: 'open-trace', label: 'Open Trace of the Last Run', may: link => link.client.runs.length > 0, act: link => openTrace(link, link.client.runs[0]?.run ?? '') },
    { id: 'show-budget', label: 'Show Budget and Runs', may: always, act: () => app.shell.activateById(RUNS) },
    { id: 'insert-agent', label: 'Insert Agent Cell', may: always, act: link => insertCell(link.panel, AGENT_CELL, true) },
    { id: 'insert-graph', label: 'Insert Graph Cell', may: always, act: link => insertCell(link.panel, GRAPH_CELL, true) }
  ];
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: '@orch-nb/labextension:commands',
  description: 'Entries of the command palette.',
  autoStart: true,
  requires: [ILinks],
  optional: [ICommandPalette],
  activate: (app: JupyterFrontEnd, links: Links, palette: ICommandPalette | null) => {
    for (const entry of entries(app)) {
      const command = `orch:${entry.id}`;
      app.commands.addCommand(command, {
        label: entry.label,
        isEnabled: () => ((link): boolean => link !== null && entry.may(link))(links.current()),
        execute: () => ((link): void => void (link !== null && entry.act(link)))(links.current())
      });
      palette?.addItem({ command, category: CATEGORY });
    }
  }
};

export default plugin;
