/**
 * The script of the page, as text: it runs in the browser after D3 and Observable Plot and draws the plot data that the
 * page holds as JSON. Labels are placed here because only the browser knows how wide they are.
 */
export const PAGE_SCRIPT = String.raw`
(() => {
  'use strict';
  const data = JSON.parse(document.getElementById('plot-data').textContent);
  const figure = document.getElementById('plot');
  const { points } = data;
  const font = '600 13px ' + getComputedStyle(document.body).fontFamily;
  const pen = document.createElement('canvas').getContext('2d');
  pen.font = font;

  const significant = d3.format('.3~s');
  const bytesText = (bytes) => significant(bytes).replace(/([a-zA-Z]?)$/, (_, prefix) => ' ' + prefix.toUpperCase() + 'B');

  function sizeAxis(width) {
    const sizes = points.map((d) => d.bytes);
    const [smallest, largest] = d3.extent(sizes);
    if (!data.logarithmic) return { type: 'linear', domain: [0, largest * 1.12], ticks: Math.max(3, Math.floor(width / 110)) };
    const domain = [smallest / 1.4, largest * 1.6];
    const decades = d3.range(Math.floor(Math.log10(domain[0])), Math.ceil(Math.log10(domain[1])) + 1);
    const inside = (mantissas) => decades.flatMap((e) => mantissas.map((m) => m * 10 ** e)).filter((t) => t >= domain[0] && t <= domain[1]);
    const choices = [[1, 2, 5], [1, 3], [1]].map(inside);
    const ticks = choices.find((choice) => choice.length * 68 <= width) ?? choices[2].filter((_, i) => i % 2 === 0);
    return { type: 'log', domain, ticks };
  }

  function valueAxis() {
    const [low, high] = d3.extent(points.flatMap((d) => [d.value, ...(d.interval ?? [])]));
    const margin = Math.max((high - low) * 0.12, Math.abs(high) * 1e-3, 1e-9);
    const step = d3.tickStep(low - margin, high + margin, 6);
    const factor = data.percent ? 100 : 1;
    const digits = Math.max(0, -Math.floor(Math.log10(step * factor) + 1e-9));
    const text = (value) => (value * factor).toFixed(digits).replace('-', '\u2212') + (data.percent ? ' %' : '');
    return { domain: [low - margin, high + margin], ticks: 6, tickFormat: text };
  }

  const overlap = (a, b) =>
    Math.max(0, Math.min(a.x2, b.x2) - Math.max(a.x1, b.x1)) * Math.max(0, Math.min(a.y2, b.y2) - Math.max(a.y1, b.y1));
  const shorten = (name) => ([...name].length > 28 ? [...name].slice(0, 27).join('') + '\u2026' : name);

  // Each label takes the free place nearest to its dot; earlier labels, dots and intervals are obstacles.
  function placeLabels(x, y, frame) {
    const obstacles = points.map((d) => ({ x1: x(d.bytes) - 7, x2: x(d.bytes) + 7, y1: y(d.value) - 7, y2: y(d.value) + 7 }));
    for (const d of points) {
      if (d.interval) obstacles.push({ x1: x(d.bytes) - 5, x2: x(d.bytes) + 5, y1: y(d.interval[1]), y2: y(d.interval[0]) });
    }
    const reference = points.find((d) => d.baseline);
    const rule = reference && { x1: frame.x1, x2: frame.x2, y1: y(reference.value) - 1, y2: y(reference.value) + 1 };
    return points.map((d) => {
      const text = shorten(d.name);
      const width = pen.measureText(text).width;
      const height = 17;
      let best;
      for (const distance of [12, 20, 32, 46, 62, 80, 100, 124]) {
        for (const [dx, dy] of [[1, 0], [-1, 0], [0.9, -0.5], [-0.9, -0.5], [0.9, 0.5], [-0.9, 0.5], [0.5, -0.9], [-0.5, -0.9], [0.5, 0.9], [-0.5, 0.9], [0, -1], [0, 1]]) {
          const x1 = x(d.bytes) + dx * distance - (dx > 0 ? 0 : dx < 0 ? width : width / 2);
          const y1 = y(d.value) + dy * distance - height / 2;
          const box = { x1, x2: x1 + width, y1, y2: y1 + height };
          const outside = Math.max(0, frame.x1 - box.x1, box.x2 - frame.x2) + Math.max(0, frame.y1 - box.y1, box.y2 - frame.y2);
          const hidden = d3.sum(obstacles, (obstacle) => overlap(box, obstacle)) + (rule ? 0.5 * overlap(box, rule) : 0);
          const cost = 1000 * outside + 10 * hidden + distance;
          if (!best || cost < best.cost) best = { cost, box, text, distance, d };
        }
      }
      obstacles.push(best.box);
      return best;
    });
  }

  function labels(index, scales, channels, { width, height, marginTop, marginRight, marginBottom, marginLeft }) {
    const frame = { x1: marginLeft, x2: width - marginRight, y1: marginTop, y2: height - marginBottom };
    const group = d3.create('svg:g').attr('aria-hidden', 'true').attr('text-anchor', 'start');
    for (const { box, text, distance, d } of placeLabels(scales.x, scales.y, frame)) {
      const [x, y] = [scales.x(d.bytes), scales.y(d.value)];
      if (distance > 26) {
        group.append('line').attr('class', 'leader').attr('x1', x).attr('y1', y)
          .attr('x2', Math.min(Math.max(x, box.x1), box.x2)).attr('y2', Math.min(Math.max(y, box.y1), box.y2));
      }
      group.append('text').attr('class', 'label').attr('x', box.x1).attr('y', box.y1 + 13).text(text);
    }
    return group.node();
  }

  function draw() {
    const width = figure.clientWidth;
    const measured = points.filter((d) => d.interval);
    const plot = Plot.plot({
      width,
      height: width < 560 ? 320 : 420,
      marginTop: 34,
      marginRight: 16,
      marginBottom: 46,
      marginLeft: 62,
      style: { fontSize: '12px', fontFamily: 'inherit', background: 'transparent', overflow: 'visible' },
      ariaLabel: 'Size on disk against ' + data.metric,
      ariaDescription: 'The same numbers are in the table of stages.',
      x: { ...sizeAxis(width - 78), label: null },
      y: { ...valueAxis(), label: null },
      marks: [
        Plot.gridY({ ticks: 6, stroke: 'var(--line)', strokeOpacity: 1 }),
        Plot.axisY({ ticks: 6, tickSize: 0, tickFormat: valueAxis().tickFormat, label: '\u2191 ' + data.metric, labelArrow: 'none', fill: 'var(--muted)' }),
        Plot.axisX({ tickFormat: bytesText, ticks: sizeAxis(width - 78).ticks, label: data.logarithmic ? 'size on disk (logarithmic) \u2192' : 'size on disk \u2192', labelArrow: 'none', fill: 'var(--muted)', stroke: 'var(--muted)' }),
        Plot.ruleY(points.filter((d) => d.baseline), { y: 'value', stroke: 'var(--muted)', strokeDasharray: '3 4' }),
        Plot.ruleX(measured, { x: 'bytes', y1: (d) => d.interval[0], y2: (d) => d.interval[1], stroke: 'var(--accent)', strokeWidth: 1.5 }),
        ...[0, 1].map((end) => Plot.text(measured, { x: 'bytes', y: (d) => d.interval[end], text: () => '\u2014', fill: 'var(--accent)', fontWeight: 700, fontSize: 11 })),
        Plot.dot(points, {
          x: 'bytes', y: 'value', r: 6, strokeWidth: 2.5, className: 'dots',
          fill: (d) => (d.baseline ? 'var(--surface)' : 'var(--accent)'),
          stroke: (d) => (d.baseline ? 'var(--text)' : 'var(--surface)'),
        }),
        labels,
        Plot.tip(points, Plot.pointer({ x: 'bytes', y: 'value', title: (d) => [d.name, ...d.lines].join('\n'), fill: 'var(--surface)', stroke: 'var(--edge)', textPadding: 10, lineHeight: 1.45, fontSize: 13 })),
      ],
    });
    plot.setAttribute('role', 'img');
    figure.replaceChildren(plot);
  }

  let drawn = 0;
  new ResizeObserver(() => {
    if (figure.clientWidth === drawn || figure.clientWidth === 0) return;
    drawn = figure.clientWidth;
    draw();
  }).observe(figure);
})();
`;
