"use strict";(self.rspackChunk_orch_nb_labextension=self.rspackChunk_orch_nb_labextension||[]).push([[700],{646(o,r,e){var a=e(601),t=e.n(a),n=e(314),i=(e.n(n))()(t());i.push([o.id,`/* Graph, trace and bill. Every colour is one of JupyterLab's, mixed with its ink where words need contrast (AA). */

.orch-output {
  overflow: auto;
  padding: 2px 0;
}

.orch-panel {
  --o-ink: var(--jp-ui-font-color1, CanvasText);
  --o-paper: var(--jp-layout-color1, Canvas);
  --o-quiet: color-mix(in srgb, var(--jp-ui-font-color0, CanvasText) 68%, var(--o-paper));
  --o-line: color-mix(in srgb, var(--jp-ui-font-color0, CanvasText) 14%, var(--o-paper));
  --o-edge: color-mix(in srgb, var(--jp-ui-font-color0, CanvasText) 46%, var(--o-paper));
  --o-side: color-mix(in srgb, var(--jp-ui-font-color0, CanvasText) 3%, var(--o-paper));
  --o-run: var(--jp-brand-color1, #1976d2);
  --o-run-pale: color-mix(in srgb, var(--o-run) 32%, var(--o-paper));
  --o-select: color-mix(in srgb, var(--o-run) 13%, var(--o-paper));
  --o-ok: color-mix(in srgb, var(--jp-success-color1, #388e3c) 78%, var(--jp-ui-font-color0, CanvasText));
  --o-warn: color-mix(in srgb, var(--jp-warn-color1, #f57c00) 62%, var(--jp-ui-font-color0, CanvasText));
  --o-bad: color-mix(in srgb, var(--jp-error-color1, #d32f2f) 80%, var(--jp-ui-font-color0, CanvasText));
  --o-reuse: color-mix(in srgb, #7b61c9 76%, var(--jp-ui-font-color0, CanvasText));
  --o-mono: var(--jp-code-font-family, monospace);

  background: var(--o-paper);
  border: 1px solid var(--o-line);
  border-radius: 4px;
  box-sizing: border-box;
  color: var(--o-ink);
  container-type: inline-size;
  font-family: var(--jp-ui-font-family, system-ui, sans-serif);
  font-size: 13px;
  line-height: 1.45;
  overflow: hidden;
}

.orch-panel *,
.orch-panel *::before {
  box-sizing: border-box;
}

.orch-panel [hidden] {
  display: none !important;
}

.orch-panel button,
.orch-panel select,
.orch-panel input {
  background: transparent;
  border: 0;
  border-radius: 3px;
  color: inherit;
  font: inherit;
  margin: 0;
  padding: 0;
}

.orch-panel button {
  cursor: pointer;
}

.orch-panel :focus-visible {
  outline: 2px solid var(--o-run);
  outline-offset: -2px;
}

.orch-quiet {
  color: var(--o-quiet);
}

.orch-figure {
  font-variant-numeric: tabular-nums;
  text-align: right;
  white-space: nowrap;
}

.orch-none,
.orch-refused {
  color: var(--o-quiet);
  padding: 14px 12px;
}

/* ------------------------------------------------------------------ tones */
.orch-tone-ok { --o-tone: var(--o-ok); }
.orch-tone-run { --o-tone: color-mix(in srgb, var(--o-run) 85%, var(--jp-ui-font-color0, CanvasText)); }
.orch-tone-warn { --o-tone: var(--o-warn); }
.orch-tone-bad { --o-tone: var(--o-bad); }
.orch-tone-reuse { --o-tone: var(--o-reuse); }
.orch-tone-quiet { --o-tone: var(--o-quiet); }

.orch-glyph {
  color: var(--o-tone);
  display: inline-block;
  font-weight: 600;
  margin-right: 1px;
  min-width: 1em;
  text-align: center;
}

.orch-state {
  white-space: nowrap;
}

/* ------------------------------------------------------------------ head and tabs */
.orch-top {
  align-items: center;
  border-bottom: 1px solid var(--o-line);
  display: flex;
  flex-wrap: wrap;
  gap: 4px 16px;
  padding: 8px 12px;
}

.orch-title {
  font-size: 14px;
  font-weight: 700;
}

.orch-status {
  font-weight: 600;
}

.orch-money-head {
  align-items: center;
  display: flex;
  flex-wrap: wrap;
  font-variant-numeric: tabular-nums;
  gap: 4px 8px;
  margin-left: auto;
}

.orch-money-head .orch-share {
  width: 84px;
}

.orch-saved {
  color: var(--o-reuse);
  margin-left: 8px;
}

.orch-problem,
.orch-asks,
.orch-error {
  border-left: 3px solid var(--o-bad);
  overflow-wrap: anywhere;
  padding: 6px 12px;
}

.orch-asks {
  border-left-color: var(--o-warn);
}

.orch-notices > * {
  border-bottom: 1px solid var(--o-line);
}

.orch-error {
  background: color-mix(in srgb, var(--o-bad) 7%, var(--o-paper));
  margin-top: 10px;
  padding: 6px 10px;
}

.orch-tabs {
  border-bottom: 1px solid var(--o-line);
  display: flex;
  gap: 2px;
  overflow-x: auto;
  padding: 0 6px;
}

.orch-panel .orch-tab {
  border-bottom: 2px solid transparent;
  border-radius: 0;
  color: var(--o-quiet);
  padding: 6px 10px 5px;
}

.orch-panel .orch-tab:hover {
  color: var(--o-ink);
}

.orch-panel .orch-tab[aria-selected='true'] {
  border-bottom-color: var(--o-run);
  color: var(--o-ink);
  font-weight: 600;
}

/* ------------------------------------------------------------------ tools */
.orch-body {
  position: relative;
}

.orch-tools {
  align-items: center;
  display: flex;
  flex-wrap: wrap;
  gap: 6px 12px;
  min-height: 34px;
  padding: 5px 12px 0;
}

.orch-heat {
  align-items: center;
  display: flex;
  font-size: 12px;
  gap: 2px;
  margin-left: auto;
  padding-right: 96px;
}

.orch-heat .orch-quiet {
  margin-right: 4px;
}

.orch-panel .orch-chip {
  border: 1px solid transparent;
  border-radius: 10px;
  color: var(--o-quiet);
  font-size: 12px;
  padding: 1px 8px;
}

.orch-panel .orch-chip:hover {
  border-color: var(--o-line);
  color: var(--o-ink);
}

.orch-panel .orch-chip-on {
  background: var(--o-select);
  color: var(--o-ink);
  font-weight: 600;
}

.orch-chips {
  display: flex;
  flex-wrap: wrap;
  gap: 2px;
}

.orch-panel .orch-choose,
.orch-panel .orch-search {
  border: 1px solid var(--o-line);
  font-size: 12px;
  height: 24px;
  max-width: 180px;
  padding: 0 6px;
}

.orch-panel .orch-choose option {
  background: var(--o-paper);
  color: var(--o-ink);
}

.orch-panel .orch-search {
  flex: 1 1 120px;
}

.orch-panel .orch-search::placeholder {
  color: var(--o-quiet);
  opacity: 1;
}

.orch-panel .orch-tool {
  color: var(--o-quiet);
  font-size: 14px;
  height: 24px;
  line-height: 22px;
  width: 24px;
}

.orch-panel .orch-tool:hover {
  background: var(--o-select);
  color: var(--o-ink);
}

.orch-panel .orch-link {
  color: inherit;
  text-align: left;
  text-decoration: underline;
  text-decoration-color: var(--o-edge);
  text-underline-offset: 2px;
}

/* ------------------------------------------------------------------ graph */
.orch-canvas {
  border-bottom: 1px solid var(--o-line);
  padding: 4px 12px 8px;
  position: relative;
}

.orch-zoom {
  background: var(--o-paper);
  display: flex;
  position: absolute;
  right: 8px;
  top: -29px;
}

.orch-window {
  contain: strict;
  cursor: grab;
  min-height: 120px;
  overflow: hidden;
  position: relative;
  touch-action: pan-y;
}

.orch-window::before,
.orch-window::after {
  bottom: 0;
  content: '';
  opacity: 0;
  pointer-events: none;
  position: absolute;
  top: 0;
  width: 36px;
  z-index: 1;
}

.orch-window::before {
  background: linear-gradient(to left, transparent, var(--o-paper));
  left: 0;
}

.orch-window::after {
  background: linear-gradient(to right, transparent, var(--o-paper));
  right: 0;
}

.orch-more-left::before,
.orch-more-right::after {
  opacity: 1;
}

.orch-dragging {
  cursor: grabbing;
}

.orch-picture {
  display: block;
  font-family: inherit;
  left: 0;
  overflow: visible;
  position: absolute;
  top: 0;
  transform-origin: 0 0;
  user-select: none;
}

.orch-moving {
  will-change: transform;
}

.orch-picture text {
  fill: var(--o-ink);
}

.orch-far .orch-node text,
.orch-far .orch-edge text,
.orch-far .orch-choice text {
  display: none;
}

/* Seen from far a node is a spot in the tone of its state. */
.orch-far .orch-node:not(.orch-selected) > .orch-shape {
  fill: color-mix(in srgb, var(--o-tone) 34%, var(--o-paper));
  stroke: var(--o-edge);
  stroke-width: 2;
}

.orch-group rect {
  fill: color-mix(in srgb, var(--o-ink) 3%, transparent);
  stroke: var(--o-line);
  stroke-dasharray: 2 3;
}

.orch-picture .orch-group text,
.orch-picture .orch-edge text,
.orch-picture .orch-small,
.orch-picture .orch-word {
  fill: var(--o-quiet);
}

.orch-line {
  fill: none;
  stroke: var(--o-edge);
  stroke-width: 1.2;
}

.orch-head {
  fill: var(--o-edge);
}

.orch-edge-taken > .orch-line {
  stroke: var(--o-ink);
  stroke-width: 1.5;
}

.orch-edge-taken > .orch-head {
  fill: var(--o-ink);
}

.orch-edge-not-taken > .orch-line {
  stroke: color-mix(in srgb, var(--o-edge) 62%, var(--o-paper));
  stroke-dasharray: 4 3;
  stroke-width: 1.1;
}

.orch-edge-not-taken > .orch-head {
  fill: color-mix(in srgb, var(--o-edge) 62%, var(--o-paper));
}

.orch-edge-loop:not(.orch-edge-not-taken) > .orch-line {
  stroke: var(--o-warn);
}

.orch-edge-loop:not(.orch-edge-not-taken) > .orch-head,
.orch-picture .orch-edge-loop:not(.orch-edge-not-taken) text {
  fill: var(--o-warn);
}

.orch-shape {
  fill: var(--o-paper);
  stroke: var(--o-ink);
  stroke-width: 1.1;
}

.orch-inner {
  fill: none;
  stroke: var(--o-edge);
}

.orch-solid {
  fill: var(--o-ink);
}

.orch-node {
  cursor: pointer;
  outline: none;
}

.orch-idle > .orch-shape,
.orch-input > .orch-shape,
.orch-choice > .orch-shape {
  stroke: var(--o-edge);
}

.orch-picture .orch-name {
  font-weight: 600;
}

.orch-mark {
  fill: var(--o-tone);
  font-weight: 700;
}

.orch-node.orch-tone-run > .orch-shape,
.orch-node.orch-tone-bad > .orch-shape,
.orch-node.orch-tone-warn > .orch-shape {
  fill: color-mix(in srgb, var(--o-tone) 7%, var(--o-paper));
  stroke: var(--o-tone);
  stroke-width: 1.7;
}

.orch-skipped > .orch-shape {
  stroke: color-mix(in srgb, var(--o-edge) 62%, var(--o-paper));
}

.orch-picture .orch-skipped > .orch-name,
.orch-picture .orch-skipped text {
  fill: var(--o-quiet);
  font-weight: 400;
}

.orch-unknown > .orch-shape {
  stroke-dasharray: 5 3;
}

.orch-bar-room {
  fill: color-mix(in srgb, var(--o-run) 14%, transparent);
}

.orch-bar {
  fill: var(--o-run);
}

.orch-node:hover > .orch-shape {
  fill: var(--o-side);
}

.orch-node.orch-selected > .orch-shape,
.orch-node:focus-visible > .orch-shape {
  fill: var(--o-select);
  stroke: var(--o-run);
  stroke-width: 2.2;
}

/* ------------------------------------------------------------------ trace and detail */
.orch-split {
  display: grid;
  grid-template-columns: minmax(0, 1fr);
}

.orch-trace {
  min-width: 0;
}

.orch-filter {
  align-items: center;
  border-bottom: 1px solid var(--o-line);
  display: flex;
  flex-wrap: wrap;
  font-size: 12px;
  gap: 6px;
  padding: 6px 12px;
}

.orch-filter .orch-quiet {
  margin-left: auto;
}

.orch-grid {
  overflow-x: hidden;
  overflow-y: auto;
  position: relative;
}

.orch-row {
  align-items: center;
  display: grid;
  grid-template-columns: minmax(130px, 1.15fr) minmax(96px, 1fr) 52px 62px var(--o-money, 9ch);
  height: 25px;
  padding-right: 12px;
}

.orch-head-row {
  background: var(--o-paper);
  border-bottom: 1px solid var(--o-line);
  color: var(--o-quiet);
  font-size: 12px;
  position: sticky;
  top: 0;
  z-index: 2;
}

.orch-head-row .orch-step {
  padding-left: 30px;
}

.orch-sheet {
  margin: 3px 0 6px;
  position: relative;
}

.orch-layer .orch-row {
  cursor: default;
  left: 0;
  position: absolute;
  right: 0;
}

.orch-layer .orch-row:hover {
  background: var(--o-side);
}

.orch-layer .orch-row.orch-selected {
  background: var(--o-select);
}

.orch-grid:focus-visible {
  outline: none;
}

.orch-grid:focus-visible .orch-current {
  box-shadow: inset 0 0 0 2px var(--o-run);
}

.orch-cell {
  min-width: 0;
  overflow: hidden;
  padding: 0 4px;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.orch-layer .orch-step {
  padding-left: 0;
}

.orch-layer .orch-glyph,
.orch-foot .orch-glyph {
  margin-right: 4px;
}

.orch-layer .orch-step > .orch-quiet {
  font-size: 12px;
  margin-left: 5px;
}

.orch-twist {
  color: var(--o-quiet);
  cursor: pointer;
  display: inline-block;
  font-size: 10px;
  text-align: center;
  width: 22px;
}

.orch-call .orch-label,
.orch-call .orch-figure,
.orch-layer .orch-skipped .orch-label {
  color: var(--o-quiet);
}

.orch-foot {
  font-size: 12px;
  overflow-wrap: anywhere;
  padding: 0 12px 8px 24px;
}

.orch-panel .orch-detail-in > .orch-section:first-child h4 {
  margin-top: 0;
}

.orch-axis {
  display: flex;
  font-variant-numeric: tabular-nums;
  justify-content: space-between;
  padding: 0 0 0 1px;
}

.orch-time {
  background-image: linear-gradient(to right, var(--o-line) 1px, transparent 1px);
  background-size: 25% 100%;
  height: 100%;
  overflow: visible;
  padding: 0;
  position: relative;
}

.orch-piece {
  border-radius: 2px;
  height: 8px;
  position: absolute;
  top: 8px;
}

.orch-piece-queued {
  background: color-mix(in srgb, var(--o-edge) 38%, var(--o-paper));
  border-radius: 2px 0 0 2px;
}

.orch-piece-own {
  background: var(--o-run-pale);
}

.orch-piece-work {
  background: var(--o-run);
}

.orch-call .orch-piece {
  height: 4px;
  top: 10px;
}

.orch-piece-bad.orch-piece-work {
  background: var(--o-tone);
}

.orch-critical {
  box-shadow: 0 2px 0 var(--o-ink);
}

.orch-detail {
  background: var(--o-side);
  border-top: 1px solid var(--o-line);
  min-width: 0;
  overflow: auto;
  padding: 10px 12px 12px;
}

@container (min-width: 780px) {
  .orch-split:not(.orch-alone) {
    grid-template-columns: minmax(0, 1.7fr) minmax(260px, 1fr);
  }

  .orch-split:not(.orch-alone) .orch-detail {
    border-left: 1px solid var(--o-line);
    border-top: 0;
    max-height: 440px;
  }
}

@container (max-width: 779px) {
  .orch-detail {
    max-height: 380px;
  }
}

@container (max-width: 560px) {
  .orch-row {
    grid-template-columns: minmax(120px, 1.2fr) minmax(70px, 1fr) 44px var(--o-money, 9ch);
  }

  .orch-row > :nth-child(4) {
    display: none;
  }
}

.orch-detail-head {
  align-items: baseline;
  display: flex;
  gap: 10px;
}

.orch-panel h3,
.orch-panel h4 {
  color: inherit;
  font-family: inherit;
  font-weight: 600;
  line-height: 1.4;
  margin: 0;
}

.orch-panel h3 {
  flex: 1;
  font-size: 14px;
  min-width: 0;
  overflow-wrap: anywhere;
}

.orch-panel h3 .orch-quiet {
  font-weight: 400;
}

.orch-panel h4 {
  color: var(--o-quiet);
  font-size: 12px;
  margin: 12px 0 4px;
}

.orch-panel p {
  margin: 6px 0;
  overflow-wrap: anywhere;
}

.orch-note,
.orch-because,
.orch-role {
  color: var(--o-quiet);
  font-size: 12px;
}

.orch-panel .orch-because {
  margin: 0 0 4px;
}

.orch-panel dl.orch-facts {
  display: flex;
  flex-wrap: wrap;
  gap: 2px 18px;
  margin: 6px 0 0;
}

.orch-facts > div {
  display: flex;
  gap: 6px;
  max-width: 100%;
}

.orch-panel .orch-facts dt {
  color: var(--o-quiet);
  float: none;
  font-weight: 400;
  white-space: nowrap;
  width: auto;
}

.orch-panel .orch-facts dd {
  float: none;
  font-variant-numeric: tabular-nums;
  margin: 0;
  min-width: 0;
  overflow-wrap: anywhere;
}

.orch-panel .orch-code,
.orch-panel code {
  background: transparent;
  color: inherit;
  font-family: var(--o-mono);
  font-size: 12px;
}

.orch-panel .orch-code {
  background: var(--o-paper);
  border: 1px solid var(--o-line);
  border-radius: 3px;
  line-height: 1.5;
  margin: 0 0 4px;
  max-height: 260px;
  overflow: auto;
  overflow-wrap: anywhere;
  padding: 6px 8px;
  white-space: pre-wrap;
  word-break: normal;
}

.orch-code mark {
  background: color-mix(in srgb, var(--o-run) 17%, var(--o-paper));
  border-radius: 2px;
  color: inherit;
}

.orch-added { color: var(--o-ok); }
.orch-removed { color: var(--o-bad); }

/* ------------------------------------------------------------------ tables and the bill */
.orch-page {
  max-height: 560px;
  overflow: auto;
  padding: 10px 12px;
}

.orch-scroll {
  overflow-x: auto;
}

.orch-output .orch-panel table {
  border-collapse: collapse;
  border-spacing: 0;
  color: inherit;
  font-size: 12.5px;
  margin: 0;
  table-layout: auto;
}

.orch-output .orch-panel .orch-table {
  width: 100%;
}

.orch-output .orch-panel tr,
.orch-output .orch-panel tbody tr:nth-child(odd),
.orch-output .orch-panel tbody tr:hover {
  background: transparent;
}

.orch-output .orch-panel :is(td, th) {
  border: 0;
  border-bottom: 1px solid var(--o-line);
  color: inherit;
  font-weight: 400;
  max-width: none;
  overflow-wrap: anywhere;
  padding: 3px 8px;
  text-align: left;
  vertical-align: top;
  white-space: normal;
}

.orch-output .orch-panel :is(td, th).orch-figure {
  font-variant-numeric: tabular-nums;
  text-align: right;
  white-space: nowrap;
}

.orch-output .orch-panel th {
  color: var(--o-quiet);
  font-size: 12px;
}

.orch-output .orch-panel tfoot td {
  border-bottom: 0;
  font-weight: 600;
}

.orch-output .orch-panel tbody tr.orch-chosen {
  background: var(--o-select);
}

.orch-output .orch-panel .orch-bill .orch-table td {
  vertical-align: middle;
}

.orch-output .orch-panel .orch-table .orch-share {
  min-width: 60px;
  width: 100%;
}

.orch-share {
  background: color-mix(in srgb, var(--o-run) 16%, var(--o-paper));
  border-radius: 2px;
  display: inline-block;
  height: 5px;
  overflow: hidden;
  vertical-align: middle;
}

.orch-share-fill {
  background: var(--o-run);
  display: block;
  height: 100%;
}

.orch-share-over {
  background: var(--o-bad);
}

.orch-output .orch-panel .orch-bill .orch-table {
  min-width: 520px;
  table-layout: fixed;
}

.orch-output .orch-panel .orch-bill .orch-table :is(td, th):first-child {
  width: 26%;
}

.orch-bill-head {
  align-items: flex-start;
  display: flex;
  flex-wrap: wrap;
  gap: 12px 40px;
  justify-content: space-between;
}

.orch-output .orch-panel .orch-summary :is(td, th) {
  border: 0;
  padding: 1px 12px 1px 0;
}

.orch-output .orch-panel .orch-summary tr:first-child .orch-figure {
  font-weight: 700;
}

.orch-chart text {
  fill: var(--o-quiet);
  font-variant-numeric: tabular-nums;
}

.orch-chart-axis { stroke: var(--o-line); }
.orch-chart-line { fill: none; stroke: var(--o-run); stroke-width: 1.6; }
.orch-chart-fill { fill: color-mix(in srgb, var(--o-run) 12%, transparent); }
.orch-chart-limit { stroke: var(--o-warn); stroke-dasharray: 4 3; }

.orch-decision + .orch-decision {
  margin-top: 8px;
}

.orch-cell-text summary {
  color: var(--o-quiet);
  cursor: pointer;
  margin-bottom: 4px;
}

@media (prefers-reduced-motion: no-preference) {
  .orch-node > .orch-shape,
  .orch-panel .orch-tab {
    transition: fill 120ms, border-color 120ms;
  }
}

@media (forced-colors: active) {
  .orch-piece,
  .orch-share-fill {
    forced-color-adjust: none;
  }
}
`,""]),e.d(r,{},{A:i})},314(o){o.exports=function(o){var r=[];return r.toString=function(){return this.map(function(r){var e="",a=void 0!==r[5];return r[4]&&(e+="@supports (".concat(r[4],") {")),r[2]&&(e+="@media ".concat(r[2]," {")),a&&(e+="@layer".concat(r[5].length>0?" ".concat(r[5]):""," {")),e+=o(r),a&&(e+="}"),r[2]&&(e+="}"),r[4]&&(e+="}"),e}).join("")},r.i=function(o,e,a,t,n){"string"==typeof o&&(o=[[null,o,void 0]]);var i={};if(a)for(var c=0;c<this.length;c++){var p=this[c][0];null!=p&&(i[p]=!0)}for(var h=0;h<o.length;h++){var l=[].concat(o[h]);a&&i[l[0]]||(void 0!==n&&(void 0===l[5]||(l[1]="@layer".concat(l[5].length>0?" ".concat(l[5]):""," {").concat(l[1],"}")),l[5]=n),e&&(l[2]&&(l[1]="@media ".concat(l[2]," {").concat(l[1],"}")),l[2]=e),t&&(l[4]?(l[1]="@supports (".concat(l[4],") {").concat(l[1],"}"),l[4]=t):l[4]="".concat(t)),r.push(l))}},r}},601(o){o.exports=function(o){return o[1]}},72(o){var r=[];function e(o){for(var e=-1,a=0;a<r.length;a++)if(r[a].identifier===o){e=a;break}return e}function a(o,a){for(var t={},n=[],i=0;i<o.length;i++){var c=o[i],p=a.base?c[0]+a.base:c[0],h=t[p]||0,l="".concat(p," ").concat(h);t[p]=h+1;var s=e(l),d={css:c[1],media:c[2],sourceMap:c[3],supports:c[4],layer:c[5]};if(-1!==s)r[s].references++,r[s].updater(d);else{var u=function(o,r){var e=r.domAPI(r);return e.update(o),function(r){r?(r.css!==o.css||r.media!==o.media||r.sourceMap!==o.sourceMap||r.supports!==o.supports||r.layer!==o.layer)&&e.update(o=r):e.remove()}}(d,a);a.byIndex=i,r.splice(i,0,{identifier:l,updater:u,references:1})}n.push(l)}return n}o.exports=function(o,t){var n=a(o=o||[],t=t||{});return function(o){o=o||[];for(var i=0;i<n.length;i++){var c=e(n[i]);r[c].references--}for(var p=a(o,t),h=0;h<n.length;h++){var l=e(n[h]);0===r[l].references&&(r[l].updater(),r.splice(l,1))}n=p}}},659(o){var r={};o.exports=function(o,e){var a=function(o){if(void 0===r[o]){var e=document.querySelector(o);if(window.HTMLIFrameElement&&e instanceof window.HTMLIFrameElement)try{e=e.contentDocument.head}catch(o){e=null}r[o]=e}return r[o]}(o);if(!a)throw Error("Couldn't find a style target. This probably means that the value for the 'insert' parameter is invalid.");a.appendChild(e)}},540(o){o.exports=function(o){var r=document.createElement("style");return o.setAttributes(r,o.attributes),o.insert(r,o.options),r}},56(o,r,e){o.exports=function(o){var r=e.nc;r&&o.setAttribute("nonce",r)}},825(o){o.exports=function(o){if("u"<typeof document)return{update:function(){},remove:function(){}};var r=o.insertStyleElement(o);return{update:function(e){var a,t,n;a="",e.supports&&(a+="@supports (".concat(e.supports,") {")),e.media&&(a+="@media ".concat(e.media," {")),(t=void 0!==e.layer)&&(a+="@layer".concat(e.layer.length>0?" ".concat(e.layer):""," {")),a+=e.css,t&&(a+="}"),e.media&&(a+="}"),e.supports&&(a+="}"),(n=e.sourceMap)&&"u">typeof btoa&&(a+="\n/*# sourceMappingURL=data:application/json;base64,".concat(btoa(unescape(encodeURIComponent(JSON.stringify(n))))," */")),o.styleTagTransform(a,r,o.options)},remove:function(){var o;null===(o=r).parentNode||o.parentNode.removeChild(o)}}}},113(o){o.exports=function(o,r){if(r.styleSheet)r.styleSheet.cssText=o;else{for(;r.firstChild;)r.removeChild(r.firstChild);r.appendChild(document.createTextNode(o))}}},959(o,r,e){var a=e(72),t=e.n(a),n=e(825),i=e.n(n),c=e(659),p=e.n(c),h=e(56),l=e.n(h),s=e(540),d=e.n(s),u=e(113),x=e.n(u),f=e(646),v={};v.styleTagTransform=x(),v.setAttributes=l(),v.insert=p().bind(null,"head"),v.domAPI=i(),v.insertStyleElement=d(),t()(f.A,v),f.A&&f.A.locals&&f.A.locals}}]);