/** Spent and budget of the notebook in front, in the status bar. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Widget } from '@lumino/widgets';
import { ILinks, type Link, type Links } from './comm.js';
import { RUNS } from './runs.js';
import { moneyView } from './view/money.js';

class Money extends Widget {
  private leave = (): void => undefined;
  private link: Link | null = null;

  constructor(private readonly links: Links, private readonly open: () => void) {
    super();
    links.follow(() => this.turn());
    this.turn();
  }

  private turn(): void {
    this.leave();
    this.link = this.links.current();
    this.leave = this.link?.client.follow(() => this.draw()) ?? (() => undefined);
    this.draw();
  }

  private draw(): void {
    const client = this.link?.client;
    this.node.replaceChildren(...(client?.budget ? [moneyView(client.budget, client.runs, this.open)] : []));
  }
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: '@orch-nb/labextension:status',
  description: 'Shows what the notebook has spent.',
  autoStart: true,
  requires: [ILinks],
  optional: [IStatusBar],
  activate: (app: JupyterFrontEnd, links: Links, bar: IStatusBar | null) => {
    if (bar === null) {
      return;
    }
    const item = new Money(links, () => app.shell.activateById(RUNS));
    bar.registerStatusItem('@orch-nb/labextension:money', { item, align: 'left', rank: 90 });
  }
};

export default plugin;
