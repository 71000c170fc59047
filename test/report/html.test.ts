import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect } from 'chai';
import { type Browser, chromium, type Page } from 'playwright-core';
import { renderHtml } from '../../lib/report/html';
import type { Report } from '../../lib/report/schema';
import { sampleReport } from './sample';

const EXECUTABLE = process.env.CHROMIUM ?? '/usr/bin/chromium';
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const HOSTILE = [
  '</script><script>window.hacked = 1</script>',
  '<img src=x onerror="window.hacked = 1">',
  '"><svg onload=window.hacked=1>',
  "' onmouseover='window.hacked=1",
  '<!--<script>',
  '&lt;b&gt; \u2028 \u202e {{x}}',
];

/** What the page did besides showing itself. */
interface Visit {
  page: Page;
  complaints: string[];
  requests: string[];
}

describe('renderHtml in a browser', function () {
  this.timeout(60_000);
  let browser: Browser;
  let folder: string;

  before(async function () {
    if (!existsSync(EXECUTABLE) && process.env.CI !== 'true') {
      console.log(`      no Chromium at ${EXECUTABLE} (set CHROMIUM): the page is not opened`);
      this.skip();
    }
    folder = mkdtempSync(path.join(os.tmpdir(), 'tersor-page-'));
    browser = await chromium.launch({ executablePath: EXECUTABLE, args: FLAGS });
  });

  after(async () => {
    if (browser === undefined) return;
    await browser.close();
    rmSync(folder, { recursive: true });
  });

  async function visit(report: Report, options: Parameters<Browser['newPage']>[0] = {}): Promise<Visit> {
    const file = path.join(folder, 'report.html');
    writeFileSync(file, renderHtml(report));
    const page = await browser.newPage({ viewport: { width: 1200, height: 900 }, ...options });
    const complaints: string[] = [];
    const requests: string[] = [];
    const url = pathToFileURL(file).href;
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (request.url() !== url && !request.url().startsWith('data:')) requests.push(request.url());
    });
    await page.goto(url);
    if (options.javaScriptEnabled !== false && report.stages.length > 0) await page.waitForSelector('#plot svg .label');
    return { page, complaints, requests };
  }

  const dots = (page: Page): Promise<number> => page.locator('#plot [aria-label="dot"] circle').count();

  it('plots every stage, without a complaint in the console and without a request', async () => {
    const { page, complaints, requests } = await visit(sampleReport());
    expect(await dots(page)).to.equal(4);
    const names = ['fp32', 'fp32 (control)', 'pruned-int8', 'svd-16'];
    expect(await page.locator('#plot .label').allTextContents()).to.deep.equal(names);
    expect(complaints).to.deep.equal([]);
    expect(requests).to.deep.equal([]);
    await page.close();
  });

  it('shows the stages, weights and environment in tables with captions and headings', async () => {
    const { page } = await visit(sampleReport());
    const stages = page.locator('table', { hasText: 'nonzeros' });
    expect(await stages.locator('tbody th').allTextContents()).to.deep.equal([
      'fp32',
      'fp32 (control)',
      'pruned-int8',
      'svd-16',
    ]);
    expect(await stages.locator('tbody tr').nth(2).locator('th, td').allTextContents()).to.deep.equal([
      'pruned-int8',
      '97.75 %+0.45 pp [+0.05, +0.85]',
      '31.2 KB14.0×',
      '109,386',
      '22,557',
      '22,355',
      '0.019 / 0.030',
      '0.301 / 0.466',
    ]);
    const weights = page.locator('table', { hasText: 'Weights of pruned-int8' });
    expect(await weights.locator('tbody th, tbody td').allTextContents()).to.deep.equal([
      ...['layers.0.weight', 'int8 symmetric per channel, 80.0 % sparse, int8 inputs', '25.3 KB', '38.4 dB', ''],
      ...['layers.1.weight', 'int8 symmetric per channel, 80.0 % sparse, int8 inputs', '2.1 KB', '37.0 dB', ''],
      ...[
        'layers.2.weight',
        'int8 symmetric per channel, int8 inputs',
        '680 B',
        '42.9 dB',
        'prune: no pattern matches it',
      ],
    ]);
    expect(await page.locator('table').count()).to.equal(await page.locator('table > caption').count());
    expect(await page.locator('.environment').textContent())
      .to.include('avx512_vnni')
      .and.include('2025-01-02');
    expect(await page.locator('#plot svg').getAttribute('aria-label')).to.equal('Size on disk against accuracy');
    await page.close();
  });

  it('keeps the numbers where scripts are switched off', async () => {
    const { page } = await visit(sampleReport(), { javaScriptEnabled: false });
    const text = await page.locator('main').textContent();
    expect(text).to.include('The plot needs JavaScript').and.include('pruned-int8').and.include('22,557');
    await page.close();
  });

  it('shows hostile names as text and runs none of them', async () => {
    const report = sampleReport();
    report.stages = HOSTILE.map((name) => ({
      ...report.stages[1]!,
      name,
      metrics: { accuracy: 0.9, [name]: 0.5 },
      comparisons: { accuracy: { against: name, difference: 0, low: 0, high: 0, confidence: 0.95 } },
      weights: [{ name, representation: name, bytes: 1, sqnrDb: null, skipped: name }],
    }));
    report.environment.cpu = HOSTILE[0]!;
    const { page, complaints, requests } = await visit(report);
    expect(await page.evaluate('window.hacked')).to.equal(undefined);
    expect(complaints).to.deep.equal([]);
    expect(requests).to.deep.equal([]);
    expect(await page.locator('main img, main svg[onload], main table script, [onmouseover]').count()).to.equal(0);
    const stages = page.locator('table', { hasText: 'nonzeros' });
    expect(await stages.locator('tbody th').allTextContents()).to.deep.equal(['fp32', ...HOSTILE]);
    expect(await dots(page)).to.equal(7);
    await page.close();
  });

  it('forbids scripts other than its own, and every request', async () => {
    const { page, complaints } = await visit(sampleReport());
    await page.evaluate(`(() => {
      const script = document.createElement('script');
      script.textContent = 'window.hacked = 1';
      document.body.append(script);
      const image = new Image();
      image.src = 'https://example.invalid/x.png';
      document.body.append(image);
    })()`);
    await page.waitForTimeout(100);
    expect(await page.evaluate('window.hacked')).to.equal(undefined);
    expect(complaints.join('\n'))
      .to.match(/Content Security Policy/i)
      .and.include('example.invalid');
    await page.close();
  });

  it('puts labels apart from each other, also of points on the same spot and on a phone', async () => {
    const report = sampleReport();
    report.stages = Array.from({ length: 7 }, (_, i) => ({
      ...report.stages[1]!,
      name: `variant-${i}`,
      bytes: 30_000 + 500 * (i % 3),
      metrics: { accuracy: 0.97 + 0.0002 * i },
      comparisons: {},
    }));
    for (const width of [1200, 400]) {
      const { page } = await visit(report, { viewport: { width, height: 800 } });
      // getBBox is the text without its halo.
      const boxes = await page.evaluate<{ x: number; y: number; width: number; height: number }[]>(
        `[...document.querySelectorAll('#plot .label')].map((label) => {
          const { x, y, width, height } = label.getBBox();
          return { x, y, width, height };
        })`,
      );
      expect(boxes).to.have.length(8);
      for (const [i, a] of boxes.entries()) {
        expect(a.x >= 0 && a.x + a.width <= width, `label ${i} inside the plot at ${width}`).to.equal(true);
        for (const b of boxes.slice(i + 1)) {
          const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x);
          const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y);
          expect(across > 0 && down > 0, `labels overlap by ${across} x ${down} px at ${width}`).to.equal(false);
        }
      }
      await page.close();
    }
  });

  it('does not scroll sideways on a phone, follows its dark setting and prints on white', async () => {
    const { page } = await visit(sampleReport(), { viewport: { width: 360, height: 700 }, colorScheme: 'dark' });
    expect(await page.evaluate('document.documentElement.scrollWidth')).to.equal(360);
    const background = (): Promise<unknown> => page.evaluate('getComputedStyle(document.body).backgroundColor');
    expect(await background()).to.equal('rgb(14, 17, 22)');
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    expect(await background()).to.equal('rgb(255, 255, 255)');
    await page.close();
  });

  it('shows the numbers of the dot under the pointer', async () => {
    const { page } = await visit(sampleReport());
    const dot = await page.locator('#plot [aria-label="dot"] circle').nth(2).boundingBox();
    await page.mouse.move(dot!.x + 20, dot!.y + 8);
    await page.mouse.move(dot!.x + 6, dot!.y + 6);
    const tip = page.locator('#plot [aria-label="tip"]');
    await tip.getByText('31.2 KB, 14.0× smaller').waitFor({ timeout: 5000 });
    expect(await tip.textContent())
      .to.include('pruned-int8')
      .and.include('+0.45 pp [+0.05, +0.85]');
    await page.close();
  });

  it('draws the edge cases: baseline alone, equal sizes, one value, an empty file, no metric', async () => {
    const alone = sampleReport();
    alone.stages = [];
    const same = sampleReport();
    same.stages = [{ ...same.baseline, name: 'copy' }];
    const empty = sampleReport();
    empty.stages = [{ ...empty.baseline, name: 'empty', bytes: 0, metrics: { accuracy: 0 } }];
    for (const report of [alone, same, empty]) {
      const { page, complaints } = await visit(report);
      await page.waitForSelector('#plot svg .label');
      expect(await dots(page)).to.equal(1 + report.stages.length);
      expect(await page.locator('#plot svg').innerHTML()).to.not.include('NaN');
      expect(complaints).to.deep.equal([]);
      await page.close();
    }
    const unmeasured = sampleReport();
    unmeasured.baseline.metrics = {};
    unmeasured.stages = [];
    const { page, complaints } = await visit(unmeasured);
    expect(await page.locator('#plot').count()).to.equal(0);
    expect(await page.locator('table').count()).to.equal(2);
    expect(complaints).to.deep.equal([]);
    await page.close();
  });
});
