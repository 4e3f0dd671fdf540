/** What this extension adds to JupyterLab and Notebook, besides the renderers of mime.ts. Wiring only. */

import highlight from './highlight.js';

export { STAMP } from './stamp.js';
export default [highlight];
