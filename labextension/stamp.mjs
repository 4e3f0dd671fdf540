// The build says what it was built from: a SHA-256 over the sources, kept beside the built files.
// `node stamp.mjs write` puts it into src/stamp.ts (so that the running extension knows it), `seal` into the build.
// tests/test_labextension.py computes the same in Python.
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

const FILES = ['bundle.config.cjs', 'package.json', 'tsconfig.json', 'yarn.lock'];
const FOLDERS = ['src', 'style'];
const MADE = 'src/stamp.ts';

/** Every source's path, with `/`, in the order of its characters' codes. */
function sources() {
  const found = [...FILES];
  for (const folder of FOLDERS) {
    for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
      const path = relative('.', join(entry.parentPath ?? entry.path, entry.name)).split(sep).join('/');
      if (entry.isFile() && path !== MADE) {
        found.push(path);
      }
    }
  }
  return found.sort((a, b) => (a < b ? -1 : 1));
}

/** One hash over names and contents. Line ends count as LF, so that a checkout on Windows has the same. */
function stamp() {
  const hash = createHash('sha256');
  for (const path of sources()) {
    hash.update(`${path}\0${readFileSync(path, 'utf8').replaceAll('\r\n', '\n')}\0`);
  }
  return hash.digest('hex');
}

/** The style sheet without comments and without room between its words: a third less to load. */
function small(css) {
  const words = css.replace(/\/\*[^]*?\*\//g, '').replace(/\s+/g, ' ');
  return words.replace(/ ?([{};,>]) ?/g, '$1').replace(/: /g, ':').replaceAll(';}', '}').trim();
}

const made = [
  '/** Of the sources that this was built from, and the style sheet made small; written by stamp.mjs. */',
  `export const STAMP = '${stamp().slice(0, 12)}';`,
  `export const STYLE = ${JSON.stringify(small(readFileSync('style/index.css', 'utf8')))};\n`
].join('\n');
if (process.argv[2] === 'write') {
  writeFileSync(MADE, made);
} else {
  writeFileSync('../orch_nb/labextension/stamp.json', `${JSON.stringify({ sources: stamp() })}\n`);
}
