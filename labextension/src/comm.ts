/** One comm for each notebook's kernel, and what came over it. Where the kernel has not loaded orch_nb there is none. */

import type { JupyterFrontEndPlugin } from '@jupyterlab/application';
import { INotebookTracker, type NotebookPanel } from '@jupyterlab/notebook';
import type { Kernel, KernelMessage } from '@jupyterlab/services';
import type { JSONObject } from '@lumino/coreutils';
import { Token } from '@lumino/coreutils';
import { addStyles } from './theme.js';
import { Client, TARGET } from './model/client.js';
import { fields, type Fields } from './model/validate.js';

/** A notebook, its client, and the way to its kernel. */
export class Link {
  readonly client = new Client();
  private comm: Kernel.IComm | null = null;
  private kernel: Kernel.IKernelConnection | null = null;
  private asked = 0;
  private readonly open = new Map<number, (answer: Fields | null) => void>();

  constructor(readonly panel: NotebookPanel) {
    panel.sessionContext.kernelChanged.connect(() => this.attach());
    panel.sessionContext.statusChanged.connect((_, status) => (status === 'restarting' || status === 'dead') && this.drop());
    panel.disposed.connect(() => this.drop());
    void panel.sessionContext.ready.then(() => this.attach());
  }

  /** Ask the kernel; null where nobody is there to answer. */
  ask(name: string, more: JSONObject = {}): Promise<Fields | null> {
    const comm = this.comm;
    if (comm === null || comm.isDisposed) {
      return Promise.resolve(null);
    }
    const id = ++this.asked;
    const answer = new Promise<Fields | null>(done => this.open.set(id, done));
    comm.send({ ...more, ask: name, id });
    return answer;
  }

  private attach(): void {
    const kernel = this.panel.sessionContext.session?.kernel ?? null;
    if (kernel === this.kernel) {
      return;
    }
    this.drop();
    this.kernel = kernel;
    if (kernel === null) {
      return;
    }
    kernel.registerCommTarget(TARGET, comm => this.take(comm));
    void kernel.requestCommInfo({ target_name: TARGET }).then(reply => this.takeUp(kernel, reply));
  }

  /** The page was loaded again: the kernel's comm is there already. */
  private takeUp(kernel: Kernel.IKernelConnection, reply: KernelMessage.IReplyErrorContent | KernelMessage.ICommInfoReplyMsg): void {
    const found = fields(fields(fields(reply)['content'])['comms']);
    const id = Object.keys(found).at(-1);
    if (id !== undefined && kernel === this.kernel && !kernel.hasComm(id)) {
      this.take(kernel.createComm(TARGET, id));
    }
  }

  private take(comm: Kernel.IComm): void {
    this.comm = comm;
    comm.onMsg = message => this.hear(message.content.data);
    comm.onClose = () => this.drop();
    this.client.connect(true);
    void this.ask('hello');
  }

  private hear(data: unknown): void {
    const message = fields(data);
    if (message['kind'] !== 'reply') {
      this.client.take(message);
      return;
    }
    const id = Number(message['id']);
    this.open.get(id)?.(message);
    this.open.delete(id);
  }

  private drop(): void {
    this.comm = null;
    for (const done of this.open.values()) {
      done(null);
    }
    this.open.clear();
    this.client.connect(false);
  }
}

/** Every open notebook's link. */
export interface Links {
  /** That of a notebook. */
  of(panel: NotebookPanel): Link;
  /** That of the notebook in front. */
  current(): Link | null;
  /** That of the notebook which an element lies in. */
  around(node: Node): Link | null;
  /** Be told when another notebook comes to the front. */
  follow(listener: () => void): void;
}

export const ILinks = new Token<Links>('@orch-nb/labextension:ILinks', 'The runs of every open notebook, and the way to its kernel.');

const plugin: JupyterFrontEndPlugin<Links> = {
  id: '@orch-nb/labextension:link',
  description: 'Listens to the kernels that have loaded orch_nb.',
  autoStart: true,
  requires: [INotebookTracker],
  provides: ILinks,
  activate: (_app, tracker: INotebookTracker): Links => {
    addStyles();
    const links = new WeakMap<NotebookPanel, Link>();
    const of = (panel: NotebookPanel): Link => {
      const link = links.get(panel) ?? new Link(panel);
      links.set(panel, link);
      return link;
    };
    tracker.widgetAdded.connect((_, panel) => void of(panel));
    tracker.forEach(panel => void of(panel));
    return {
      of,
      current: () => (tracker.currentWidget === null ? null : of(tracker.currentWidget)),
      around: node => {
        const panel = tracker.find(one => one.node.contains(node));
        return panel === undefined ? null : of(panel);
      },
      follow: listener => void tracker.currentChanged.connect(listener)
    };
  }
};

export default plugin;
