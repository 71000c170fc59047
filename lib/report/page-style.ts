const DARK = `
  --page: #0e1116; --surface: #161a21; --text: #e9ecf0; --muted: #9ba5b1; --line: #262c35; --edge: #3a424e;
  --accent: #5aa7ff; --wash: #1b2430; --better: #56c88f; --worse: #ff8d85;`;

/** Style sheet of the page: light and dark by the reader's setting, always light on paper; system fonts only. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --page: #f5f6f8; --surface: #ffffff; --text: #14181d; --muted: #5a6470; --line: #e4e7eb; --edge: #c9cfd6;
  --accent: #1668dc; --wash: #edf3fc; --better: #17784a; --worse: #b93a32;
}
@media screen and (prefers-color-scheme: dark) { :root {${DARK} } }
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Liberation Sans", Arial, sans-serif;
  font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100%;
}
main { max-width: 1160px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 27px; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 18px; letter-spacing: -0.005em; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
p { margin: 0; }
.muted, .note { color: var(--muted); }
.note { font-size: 13px; }
.better { color: var(--better); }
.worse { color: var(--worse); }
section { margin-top: 40px; }
.panel { background: var(--surface); border: 1px solid var(--line); border-radius: 12px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 248px), 1fr)); gap: 14px; list-style: none; margin: 28px 0 0; padding: 0; }
.card { padding: 18px 20px; }
.card .figure { font-size: 34px; line-height: 1.15; font-weight: 650; letter-spacing: -0.025em; margin: 8px 0 2px; }
.card .figure small { font-size: 16px; font-weight: 500; letter-spacing: 0; color: var(--muted); }
.card dl { margin: 14px 0 0; font-size: 14px; }
.card dl div { display: flex; flex-wrap: wrap; justify-content: space-between; column-gap: 12px; margin-top: 4px; }
.card dt { color: var(--muted); overflow-wrap: anywhere; }
.card dd { margin: 0; text-align: right; white-space: nowrap; }
.card dd + dd { flex: 1 0 100%; }
.card dd span { display: block; font-size: 12.5px; }
figure { margin: 14px 0 0; padding: 20px 20px 12px; }
#plot { min-height: 320px; }
#plot svg { display: block; max-width: 100%; }
#plot .label { font-size: 13px; font-weight: 600; fill: var(--text); stroke: var(--surface); stroke-width: 4px; stroke-linejoin: round; paint-order: stroke; }
#plot .leader { stroke: var(--edge); }
.scroll { overflow-x: auto; margin-top: 14px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
caption { text-align: left; }
.scroll caption { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
th, td { padding: 11px 14px; text-align: right; vertical-align: top; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { border-top: 0; font-size: 12.5px; font-weight: 600; color: var(--muted); vertical-align: bottom; line-height: 1.35; }
thead span, td > span { display: block;  font-size: 12.5px; font-weight: 400; }
th:first-child { text-align: left; position: sticky; left: 0; background: var(--surface); max-width: 260px; min-width: 116px; white-space: normal; overflow-wrap: break-word; }
.left, thead th.left { text-align: left; }
.wrap { white-space: normal; min-width: 180px; overflow-wrap: anywhere; }
.bar { display: block; height: 4px; margin: 5px 0 0 auto; width: 84px; border-radius: 2px; background: var(--line); overflow: hidden; }
.bar i { display: block; height: 100%; min-width: 2px; border-radius: 2px; background: var(--accent); }
.baseline .bar i { background: var(--muted); }
.weights + .weights { margin-top: 18px; }
.weights th:first-child { width: 26%; }
.weights th:nth-child(2) { width: 30%; }
.weights th:nth-child(3), .weights th:nth-child(4) { width: 10%; }
.weights h3 { color: var(--text); }
.environment { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 14px 24px; margin: 14px 0 0; padding: 20px; }
.environment dt { font-size: 12.5px; color: var(--muted); }
.environment dd { margin: 0; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 640px) {
  main { padding: 24px 14px 40px; }
  h1 { font-size: 23px; }
  section { margin-top: 32px; }
  .cards { grid-template-columns: 1fr; gap: 10px; margin-top: 20px; }
  figure { padding: 14px 8px 8px; }
  th, td { padding: 9px 10px; }
  th:first-child { max-width: 132px; }
}
@media print {
  :root { color-scheme: light; --page: #fff; }
  main { max-width: none; padding: 0; zoom: 0.7; }
  .card, figure, tr, .environment div { break-inside: avoid; }
  h2, h2 + .note { break-after: avoid; }
  .cards { grid-template-columns: repeat(4, 1fr); }
  .scroll { overflow: visible; }
  th:first-child { position: static; }
}
`;
