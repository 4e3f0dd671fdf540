/** The side panel of runs. */

import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { LabIcon } from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import { answer, openTrace, resume, stop } from './actions.js';
import { ILinks, type Link, type Links } from './comm.js';
import type { RunRow } from './model/client.js';
import { tellOutputs } from './outputs.js';
import { RunList } from './view/runs.js';

export const RUNS = 'orch-runs';

const icon = new LabIcon({
  name: '@orch-nb/labextension:runs',
  svgstr: '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3" fill="#616161"><circle cx="5" cy="12" r="3"/><circle cx="18" cy="5.5" r="3"/><circle cx="18" cy="18.5" r="3"/><path d="M7 10.4 15.4 5.2l.9 1.4L7.9 11.8zM7.9 12.2l8.4 5.2-.9 1.4L7 13.6z"/></g></svg>'
});

class RunsPanel extends Widget {
  private link: Link | null = null;
  private leave = (): void => undefined;
  private frame = 0;
  private readonly list = new RunList({
    trace: row => this.with(link => openTrace(link, row.run)),
    stop: row => this.with(link => void stop(link, row.run)),
    resume: row => this.with(link => resume(link, row.run)),
    answer: async (row: RunRow, asked, action, value) => this.link !== null && answer(this.link, row, asked, action, value)
  });

  constructor(private readonly links: Links) {
    super();
    this.id = RUNS;
    this.title.icon = icon;
    this.title.caption = 'Runs of this notebook';
    this.addClass('orch-side');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Runs of this notebook');
    this.node.append(this.list.node);
    links.follow(() => this.turn());
    this.turn();
  }

  private turn(): void {
    this.leave();
    this.link = this.links.current();
    this.leave = this.link?.client.follow(() => this.changed()) ?? (() => undefined);
    this.changed();
  }

  /** Drawn at most once a frame, and not while it cannot be seen. */
  private changed(): void {
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.isVisible && this.list.show(this.link?.client ?? null));
  }

  protected override onAfterShow(): void {
    this.changed();
  }

  private with(act: (link: Link) => void): void {
    if (this.link !== null) {
      act(this.link);
    }
  }
}

const plugin: JupyterFrontEndPlugin<void> = {
  id: '@orch-nb/labextension:runs',
  description: 'Lists the runs of the notebook, and tells its outputs what they say.',
  autoStart: true,
  requires: [ILinks],
  activate: (app: JupyterFrontEnd, links: Links) => {
    app.shell.add(new RunsPanel(links), 'right', { rank: 750, type: 'Orchestration' });
    const followed = new WeakSet<Link>();
    const follow = (): void => {
      const link = links.current();
      if (link !== null && !followed.has(link)) {
        followed.add(link);
        link.client.follow(() => tellOutputs(link.panel, link.client.runs));
      }
    };
    links.follow(follow);
    follow();
  }
};

export default plugin;
