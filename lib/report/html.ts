import { createHash } from 'node:crypto';
import * as format from './format';
import { embeddableJson, html, type Markup, verbatim } from './markup';
import { pageLibraries } from './page-libraries';
import { PAGE_SCRIPT } from './page-script';
import { PAGE_STYLE } from './page-style';
import { plotData } from './plot-data';
import type { Comparison, LatencyPercentiles, Report, Stage, WeightRow } from './schema';

/** Options of {@link renderHtml}. */
export interface PageOptions {
  /** Heading and title of the page, default 'Compression report'. */
  readonly title?: string;
}

/** The text of a script element may not hold what ends it; inside a JavaScript string `\/` is `/`. */
function scriptText(code: string): string {
  return code
    .replace(/<\/(?=script)/gi, '<\\/')
    .replace(/<!--/g, '<\\!--')
    .replace(/\r\n?/g, '\n');
}

/** Only the page's own scripts, by their hashes, and no request of any kind. */
function contentSecurityPolicy(scripts: readonly string[]): string {
  const hashes = scripts.map((script) => `'sha256-${createHash('sha256').update(script, 'utf8').digest('base64')}'`);
  const script = hashes.length === 0 ? "'none'" : hashes.join(' ');
  return `default-src 'none'; script-src ${script}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'`;
}

/** A name from a file: `bdi` keeps right-to-left marks in it from turning around its neighbours; lines break after dots. */
function name(text: string): Markup {
  const parts = text.split(/(?<=[._/])/).map((part, i) => (i === 0 ? html`${part}` : html`<wbr>${part}`));
  return html`<bdi>${parts}</bdi>`;
}

function ratio(stage: Stage, report: Report): string {
  return format.formatRatio(stage.bytes, report.baseline.bytes).replace('x', '×');
}

function comparisonMarkup(comparison: Comparison): Markup {
  const verdict = comparison.low > 0 ? 'better' : comparison.high < 0 ? 'worse' : 'muted';
  return html`<span class="${verdict}">${format.formatDifference(comparison)} ${format.formatInterval(comparison)}</span>`;
}

function metricMean(stage: Stage, metric: string): string {
  const value = stage.metrics[metric];
  return value === undefined ? '–' : format.formatMetric(metric, value);
}

function metricDifference(stage: Stage, metric: string): Markup {
  const comparison = stage.comparisons?.[metric];
  return comparison === undefined ? html`` : comparisonMarkup(comparison);
}

function card(stage: Stage, report: Report, metrics: readonly string[]): Markup {
  const size = format.formatBytes(stage.bytes);
  const change = format.sizeChange(stage.bytes, report.baseline.bytes);
  const figure =
    change === undefined
      ? html`<p class="figure">${size}</p><p class="muted">on disk</p>`
      : html`<p class="figure">${change[0]} <small>${change[1]}</small></p><p class="muted">${size} on disk</p>`;
  const rows = metrics.map(
    (metric) =>
      html`<div><dt>${metric}</dt><dd>${metricMean(stage, metric)}</dd><dd>${metricDifference(stage, metric)}</dd></div>`,
  );
  return html`<li class="card panel"><h3>${name(stage.name)}</h3>
${figure}
<dl>${rows}<div><dt>p50, batch of 1</dt><dd>${format.formatMilliseconds(stage.latencyMs.batch1.p50)} ms</dd></div></dl></li>
`;
}

function latencyCell(latency: LatencyPercentiles): Markup {
  return html`<td>${format.formatLatency(latency)}</td>`;
}

function stageRow(stage: Stage, report: Report, metrics: readonly string[]): Markup {
  const largest = Math.max(report.baseline.bytes, ...report.stages.map(({ bytes }) => bytes), 1);
  const share = ((100 * stage.bytes) / largest).toFixed(1);
  const size = html`${format.formatBytes(stage.bytes)}<span class="muted">${ratio(stage, report)}</span><span class="bar" aria-hidden="true"><i style="width:${share}%"></i></span>`;
  return html`<tr${stage === report.baseline ? verbatim(' class="baseline"') : ''}><th scope="row">${name(stage.name)}</th>${metrics.map((metric) => html`<td>${metricMean(stage, metric)}${metricDifference(stage, metric)}</td>`)}<td>${size}</td><td>${format.formatCount(stage.parameters)}</td><td>${format.formatCount(stage.nonzeros)}</td><td>${format.formatCount(stage.macs)}</td>${latencyCell(stage.latencyMs.batch1)}${latencyCell(stage.latencyMs.batch128)}</tr>
`;
}

function stagesSection(report: Report, metrics: readonly string[]): Markup {
  const stages = [report.baseline, ...report.stages];
  const comparison = report.stages.flatMap((stage) => Object.values(stage.comparisons ?? {}))[0];
  const interval =
    comparison === undefined
      ? ''
      : ` Under a metric: its difference to ${comparison.against} in percentage points with the ${format.formatConfidence(comparison.confidence)} interval of a paired bootstrap.`;
  return html`<section aria-labelledby="stages">
<h2 id="stages">Stages</h2>
<p class="note">Sizes are bytes of the file on disk (1 KB = 1,000 bytes); MACs are those of one example; latency is p50 / p99 of one call.${interval}</p>
<div class="scroll panel" tabindex="0" role="region" aria-labelledby="stages">
<table><caption>Stages: metrics, size, operations and latency</caption>
<thead><tr><th scope="col">stage</th>${metrics.map((metric) => html`<th scope="col">${metric}</th>`)}<th scope="col">size</th><th scope="col">parameters</th><th scope="col">nonzeros</th><th scope="col">MACs</th><th scope="col">batch 1<span>ms, p50 / p99</span></th><th scope="col">batch 128<span>ms, p50 / p99</span></th></tr></thead>
<tbody>
${stages.map((stage) => stageRow(stage, report, metrics))}</tbody></table></div>
</section>
`;
}

function plotSection(metric: string, json: string): Markup {
  return html`<section aria-labelledby="trade-off">
<h2 id="trade-off">Size against ${metric}</h2>
<p class="note">Hollow dot and dashed line: the baseline. Bars: the interval of the difference to it. Up and to the left is better.</p>
<figure class="panel"><div id="plot"><noscript>The plot needs JavaScript; the table of stages has the same numbers.</noscript></div></figure>
<script type="application/json" id="plot-data">${verbatim(json)}</script>
</section>
`;
}

function weightRow(weight: WeightRow): Markup {
  return html`<tr><th scope="row">${name(weight.name)}</th><td class="left wrap">${weight.representation}</td><td>${format.formatBytes(weight.bytes)}</td><td>${format.formatSqnr(weight.sqnrDb)}</td><td class="left wrap muted">${weight.skipped ?? ''}</td></tr>
`;
}

function weightsSection(report: Report): Markup {
  const stages = [report.baseline, ...report.stages].filter((stage) => stage.weights.length > 0);
  const tables = stages.map(
    (stage, i) => html`<div class="scroll panel weights" tabindex="0" role="region" aria-labelledby="weights-${i}">
<table><caption>Weights of ${stage.name}</caption>
<thead><tr><th scope="col" id="weights-${i}"><h3>${name(stage.name)}</h3></th><th scope="col" class="left">representation</th><th scope="col">size</th><th scope="col">SQNR</th><th scope="col" class="left">not compressed because</th></tr></thead>
<tbody>
${stage.weights.map(weightRow)}</tbody></table></div>
`,
  );
  return html`<section aria-labelledby="weights">
<h2 id="weights">Weights</h2>
<p class="note">SQNR: signal-to-quantization-noise ratio of the stored weight, 10·log10(Σw² / Σ(w − ŵ)²).</p>
${tables}</section>
`;
}

function environmentSection(report: Report): Markup {
  const { environment } = report;
  const rows: [string, string | number][] = [
    ['date', environment.date],
    ['seed', report.seed],
    ['Tersor', environment.tersor],
    ['Node', environment.node],
    ['platform', `${environment.platform} ${environment.arch}`],
    ['processor', environment.cpu],
    ['cores', environment.cores],
    ['threads', environment.threads],
    ['device', environment.device],
    ['instruction set', environment.isa],
    ['report schema', report.schemaVersion],
  ];
  return html`<section aria-labelledby="environment">
<h2 id="environment">Settings and environment</h2>
<dl class="environment panel">${rows.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>
</section>
`;
}

/**
 * A report as one self-contained HTML page: a plot of size against the first metric (Observable Plot, inlined) and tables
 * of stages, weights and environment, which are there without JavaScript too. The page makes no request and its
 * Content-Security-Policy forbids any; names from the report are escaped.
 *
 * @throws TersorError ERR_TERSOR_IO when the plotting libraries are not installed
 *
 * @example
 * writeFileAtomic('out/report.html', renderHtml(report, { title: 'MLP on MNIST digits' }));
 */
export function renderHtml(report: Report, options: PageOptions = {}): string {
  const { title = 'Compression report' } = options;
  const stages = [report.baseline, ...report.stages];
  const metrics = format.metricNames(stages);
  const plot = plotData(report);
  const scripts = plot === undefined ? [] : [...pageLibraries(), PAGE_SCRIPT].map(scriptText);
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="data:,">
<style>${verbatim(PAGE_STYLE)}</style>
</head>
<body>
<main>
<header>
<h1>${name(title)}</h1>
<p class="muted">Tersor ${report.environment.tersor} on ${report.environment.device} (${report.environment.isa}), <time datetime="${report.environment.date}">${report.environment.date.slice(0, 10)}</time></p>
</header>
<ul class="cards">
${stages.map((stage) => card(stage, report, metrics))}</ul>
${plot === undefined ? '' : plotSection(plot.metric, embeddableJson(plot))}${stagesSection(report, metrics)}${weightsSection(report)}${environmentSection(report)}</main>
${scripts.map((script) => html`<script>${verbatim(script)}</script>\n`)}</body>
</html>
`.markup;
}
